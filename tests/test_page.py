"""The page: one file that needs nothing else, and that a real browser, without a network, opens, plays and steers."""

import base64
import gzip
import hashlib
import json
import re
import shutil
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from music import BAR, QUARTER, drums, line, score

from composer.errors import CannotWrite
from composer.io import formats
from composer.music.score import ChordSymbol, Score, Tempo, Text, Track, make_notes
from composer.plugins.discovery import Plugin
from composer.plugins.offers import Offer, Registry
from composer.plugins.registry import registry
from composer.types import Piece
from composer_page import exporter
from composer_page.forms import find_bars

HOSTILE = '</script><img src=x onerror="window.pwned=1"><!--DATA--><b>\'&quot;\x00\ud800\u2028'
MADE_BY = {"model": "tunes", "model_hash": "ab" * 32, "request": {"seed": 7, "bars": 4}, "licence": "none"}
TWO = score(
    line(*[(72 + n % 5, 1) for n in range(16)], name="High", program=73),
    line(*[(48 + n, 4) for n in range(4)], name="Low", program=32),
    drums(*[(n, 36 + 2 * (n % 2)) for n in range(16)]),
    tempos=(Tempo(0, 240.0),),
    markers=(Text(0, "Verse"), Text(2 * BAR, "Chorus")),
    title="Two voices",
)
VEROVIO = """<svg xmlns="http://www.w3.org/2000/svg" width="100mm" height="50mm" viewBox="0 0 1000 500">
<svg class="definition-scale" viewBox="0 0 10000 5000"><g class="page-margin" transform="translate(500, 1000)">
<g class="measure"><g class="staff"><path d="M0 0 L4000 0"/><path d="M0 800 L4000 800"/></g></g>
<g class="measure"><g class="staff"><path d="M4000 0 L9000 0"/><path d="M4000 800 L9000 800"/></g></g>
</g></svg></svg>"""


@dataclass(frozen=True)
class Engraver:
    """Writes the same two bars for every piece, or refuses."""

    fails: bool = False

    def __call__(self, pieces, path):
        if self.fails:
            raise CannotWrite(f"{path}: is not to my taste.")
        path.write_text(VEROVIO)


@pytest.fixture
def forms(monkeypatch):
    """`forms({".svg": Engraver})`: only these exporters beside `.mid`, whoever is installed."""

    def only(exporters, *, mid=True):
        found = registry()
        plugin = Plugin("forms", "forms", "1")
        offers = {suffix: Offer("exporters", suffix, make, plugin) for suffix, make in exporters.items()}
        if mid:
            offers[".mid"] = found.offers["exporters"][".mid"]
        made = Registry({**found.offers, "exporters": offers}, found.plugins)
        monkeypatch.setattr("composer_page.forms.registry", lambda: made)

    only({})
    return only


class Page(HTMLParser):
    """What is in a page: tags with their attributes, and texts by the tag or, of scripts, the type that they are in."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.inside = [], {}, ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.inside = dict(attributes).get("type", tag)

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        self.texts[self.inside] = self.texts.get(self.inside, "") + data

    @property
    def pieces(self):
        return json.loads(self.texts["application/json"])["pieces"]


def written(tmp_path, *pieces, **options):
    path = tmp_path / "page.html"
    formats.write(pieces, path, **options)
    return Page(path.read_text(encoding="utf-8"))


def unpacked(text):
    return gzip.decompress(base64.b64decode(text))


# --- the file ---------------------------------------------------------------------------------------------------------


def test_it_is_one_small_file_that_refers_to_nothing(tmp_path, forms):
    page = written(tmp_path, Piece(TWO, MADE_BY))
    text = (tmp_path / "page.html").read_text()
    assert len(text) < 120_000
    assert "http:" not in text
    assert "https:" not in text
    assert [tag for tag, _ in page.tags if tag in ("link", "iframe", "object", "embed", "base")] == []
    for tag, attributes in page.tags:
        assert not {"src", "href", "style", "action"} & {*attributes} or attributes.get("href") == "#transport", tag
        assert not [name for name in attributes if name.startswith("on")], tag
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    formats.write([Piece(TWO, MADE_BY)], tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text() == text


def test_only_its_own_script_and_style_may_run(tmp_path, forms):
    page = written(tmp_path, Piece(TWO))
    policies = [attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes]
    rules = dict(rule.strip().split(" ", 1) for rule in policies[0].split(";"))
    assert len(policies) == 1
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    for kind, text in (("script", page.texts["module"]), ("style", page.texts["style"])):
        found = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[f"{kind}-src"] == f"'sha256-{found}'"
    assert "unsafe" not in policies[0]
    assert page.tags.index(("meta", {"http-equiv": "Content-Security-Policy", "content": policies[0]})) < 4


def test_the_piece_is_all_there(tmp_path, forms):
    music = replace(TWO, upbeat=QUARTER, chords=(ChordSymbol(QUARTER, "Dm7"),))
    (piece,) = written(tmp_path, Piece(music, MADE_BY)).pieces
    assert (piece["title"], piece["file"], piece["key"]) == ("Two voices", "two-voices", "C major")
    assert [(track["name"], track["program"], track["drums"]) for track in piece["tracks"]] == [
        ("High", 73, False),
        ("Low", 32, False),
        ("Drums", 0, True),
    ]
    assert piece["tracks"][1]["notes"][:8] == [0, 1920, 48, 80, 1920, 1920, 49, 80]
    assert piece["bars"] == [0, 480, 2400, 4320, 6240, 8160]
    assert (piece["firstBar"], piece["upbeat"]) == (QUARTER - BAR, True)
    assert (piece["metres"], piece["tempos"]) == ([[0, "4/4", 480]], [[0, 240.0]])
    assert (piece["markers"], piece["chords"]) == ([[0, "Verse"], [3840, "Chorus"]], [[480, "Dm7"]])
    assert piece["madeBy"] == MADE_BY


def test_downloads_are_what_the_other_plugins_write(tmp_path, forms):
    piece = Piece(TWO, MADE_BY)
    formats.write([piece], tmp_path / "own.mid")
    forms({".svg": Engraver, ".musicxml": Engraver})
    (shown,) = written(tmp_path, piece).pieces
    assert unpacked(shown["forms"][".mid"]) == (tmp_path / "own.mid").read_bytes()
    assert unpacked(shown["forms"][".musicxml"]).decode() == VEROVIO
    (shown,) = written(tmp_path, piece, score="no").pieces
    assert {*shown["forms"]} == {".mid", ".musicxml"}
    assert {*written(tmp_path, *[piece] * 25).pieces[0]["forms"]} == {".mid", ".musicxml"}
    long = Score((Track(make_notes([(n * 60, 60, 60, 80) for n in range(20_001)])),))
    assert {*written(tmp_path, Piece(long)).pieces[0]["forms"]} == {".mid"}


@pytest.mark.parametrize("asked", [["--bars", "2"], ["--form", "A A'", "--bars", "2"], ["--primer", "D4 E4 F4*2"]])
def test_the_command_on_a_page_makes_its_midi_file_again(run, tmp_path, monkeypatch, forms, asked):
    monkeypatch.chdir(tmp_path)
    assert run("generate", "a.mid", "a.html", "--model", "tunes", "--bars", "2", *asked).status == 0
    (shown,) = Page(Path("a.html").read_text(encoding="utf-8")).pieces
    Path("saved.mid").write_bytes(unpacked(shown["forms"][".mid"]))
    assert run("regenerate", "saved.mid", "again.mid").status == 0
    assert Path("again.mid").read_bytes() == Path("saved.mid").read_bytes() == Path("a.mid").read_bytes()


def test_what_nobody_writes_is_left_out_and_a_fault_costs_its_part_alone(tmp_path, forms):
    forms({}, mid=False)
    (shown,) = written(tmp_path, Piece(TWO)).pieces
    assert (shown["forms"], shown["missing"]) == ({}, {})
    forms({".svg": lambda: Engraver(fails=True), ".musicxml": lambda: 1 // 0})
    (shown,) = written(tmp_path, Piece(TWO)).pieces
    assert {*shown["forms"]} == {".mid"}
    assert shown["missing"][".svg"] == "is not to my taste."
    assert shown["missing"][".musicxml"].startswith("ZeroDivisionError")


def test_bars_are_found_on_an_engraved_score():
    found = find_bars(VEROVIO.encode(), 2)
    assert [place[0] for place in found] == pytest.approx([0.05, 0.45])
    assert [place[2] for place in found] == pytest.approx([0.4, 0.5])
    assert [place[1] + place[3] / 2 for place in found] == pytest.approx([0.28, 0.28])
    assert find_bars(VEROVIO.encode(), 3) == []
    for other in (b"", b"<svg", b"<svg viewBox='1 2'/>", b"<svg><svg/></svg>"):
        assert find_bars(other, 1) == []


def hostile_piece():
    tracks = (replace(TWO.tracks[0], name=HOSTILE), *TWO.tracks[1:])
    texts = (Text(0, HOSTILE), Text(BAR, HOSTILE))
    music = replace(TWO, tracks=tracks, markers=texts, chords=texts, title=HOSTILE)
    request = {"seed": HOSTILE, "samplers": [{"name": HOSTILE, "options": {HOSTILE: HOSTILE}}, HOSTILE, None]}
    return Piece(music, {"model": HOSTILE, "model_hash": HOSTILE, "licence": HOSTILE, "request": request})


def test_an_engraved_score_is_on_the_page_with_its_bars(tmp_path):
    if ".svg" not in registry().offers["exporters"]:
        pytest.skip("nobody engraves here")
    (piece,) = written(tmp_path, Piece(TWO, {**MADE_BY, "title": "Under its own title"})).pieces
    assert len(piece["places"]) == 4
    assert b"Under its own title" in unpacked(piece["forms"][".svg"])
    assert (tmp_path / "page.html").stat().st_size < 300_000


@pytest.mark.parametrize("count", [1, 3])
def test_names_from_outside_are_no_markup(tmp_path, forms, count):
    harmless = written(tmp_path, *[Piece(TWO, MADE_BY)] * count)
    page = written(tmp_path, *[hostile_piece()] * count)
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in harmless.tags]
    assert "<img src=x" in page.pieces[0]["title"]
    assert re.fullmatch(r"[a-z0-9-]{1,60}", page.pieces[0]["file"])


def test_what_made_a_piece_is_cut_where_nobody_would_read_it():
    long = {**MADE_BY, "request": {"seed": 7, "primer": [*range(90_000)]}}
    made_by = exporter.describe_piece(Piece(TWO, long), 0)["madeBy"]
    assert made_by["request"] == {"seed": 7, "primer": "(too long to be shown)"}
    deep = {**MADE_BY, "request": {str(n): "x" * 400 for n in range(500)}}
    assert len(json.dumps(exporter.describe_piece(Piece(TWO, deep), 0)["madeBy"])) < 25_000


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ([], r"no piece to show\."),
        ([Piece(Score())] * 501, r"a page holds 500 pieces at most, and here are 501\."),
        ([Piece(Score((TWO.tracks[0],) * 20_000))], r"a page shows 200 tracks at most, and the piece has 20,000\."),
        (
            [Piece(Score((Track(make_notes([(n, 1, 60, 80) for n in range(200_001)])),)))],
            r"a page holds 200,000 notes at most, and here are 200,001\.",
        ),
        ([Piece(Score((Track(make_notes([(10**12, 1, 60, 80)])),)))], r"cannot be shown: more than 100000 bars\."),
    ],
)
def test_what_no_browser_would_bear_is_refused_in_one_sentence(tmp_path, forms, pieces, said):
    with pytest.raises(CannotWrite, match=r"x\.html: " + said + "$"):
        formats.write(pieces, tmp_path / "x.html")
    assert list(tmp_path.iterdir()) == []


# --- a browser --------------------------------------------------------------------------------------------------------

LISTEN = """
const connect = AudioNode.prototype.connect;
window.started = 0;
AudioNode.prototype.connect = function (other, ...more) {
  if (other instanceof AudioDestinationNode) {
    window.ear = this.context.createAnalyser();
    connect.call(this, window.ear);
  }
  return connect.call(this, other, ...more);
};
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (...when) { window.started++; return start.apply(this, when); };
window.loudness = () => {
  const samples = new Float32Array(window.ear.fftSize);
  window.ear.getFloatTimeDomainData(samples);
  return Math.max(...samples.map(Math.abs));
};
"""
"""An ear at what the page sends to the loudspeaker, laid before the page's own script runs."""
RENDER = """
const done = arguments[arguments.length - 1];
async function loudest(tracks, notes) {
  const context = new OfflineAudioContext(2, 11025, 22050);
  const synth = createSynth(context, tracks);
  for (const note of notes) synth.play(...note);
  return (await context.startRendering()).getChannelData(0).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}
const chord = [[0, 48], [0, 64], [0, 67], [0, 72]].map((note) => [...note, 100, 0.02, 0.3]);
const families = Array.from({ length: 16 }, (_, family) => loudest([{ program: family * 8, drums: false }], chord));
const kit = [36, 49].map((sound) => loudest([{ program: 0, drums: true }], [[0, sound, 127, 0.02, 0.1]]));
Promise.all([...families, ...kit]).then(done, (error) => done([String(error)]));
"""
"""The loudest sample of a chord of each family, and of two drums; it follows the synthesiser's own script."""
EDGES = """
const done = arguments[arguments.length - 1];
const END = 0.52, RATE = 22050;  // a note from 0.02 s on
async function edges(program, until) {
  const context = new OfflineAudioContext(1, 4 * RATE, RATE);
  createSynth(context, [{ program, drums: false }]).play(0, 48, 100, 0.02, 0.5);
  const sound = (await context.startRendering()).getChannelData(0);
  const steepest = (from, to) => {
    let most = 0;
    for (let i = Math.floor(from * RATE) + 1; i < to * RATE; i++) {
      most = Math.max(most, Math.abs(sound[i] - sound[i - 1]));
    }
    return most;
  };
  const stops = END + TIMBRES[program >> 3].release * 4;
  const whole = steepest(0, END);
  return [steepest(0, 0.0205), steepest(END, END + 0.05), steepest(stops - 0.01, stops + 0.02)].map((it) => it / whole);
}
Promise.all(TIMBRES.map((_, family) => edges(family * 8))).then(done, (error) => done([String(error)]));
"""
"""How steep the sound of each family is where a note begins, is let go and is over, beside the whole of it."""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium, of the extra `test`, drives the browser")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    program, driver = next(filter(None, map(shutil.which, names)), None), shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip("there is no Chromium with a chromedriver here")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    nowhere = "--host-resolver-rules=MAP * ~NOTFOUND"
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", nowhere):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": LISTEN})
    browser.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    yield browser
    browser.quit()


@dataclass(frozen=True)
class Opened:
    """A page in the browser, by the ids of its parts."""

    browser: object
    folder: Path

    def part(self, name):
        return self.browser.find_element("id", name)

    def text(self, name):
        return self.run("return document.getElementById(arguments[0]).textContent.trim()", name)

    def run(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def press(self, *keys):
        self.browser.switch_to.active_element.send_keys(*keys)

    def wait(self, true):
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.browser, 15, 0.05).until(lambda _: true())

    def position(self):
        return float(self.part("position").get_property("value"))

    def playhead(self):
        return self.run("return document.getElementById('playhead').getBoundingClientRect().left")

    def shows(self, width=1200, height=900, **media):
        features = [{"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in media.items()]
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def picture(self, name):
        shot = self.browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
        (self.folder / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))


@pytest.fixture
def opened(chromium, tmp_path, forms):
    """`opened(piece, …)`: their page, opened from disk; at the end, nothing may have gone wrong in it."""

    def open_page(*pieces):
        formats.write(pieces, tmp_path / "page.html")
        page = Opened(chromium, tmp_path)
        page.shows()
        chromium.get((tmp_path / "page.html").as_uri())
        return page

    yield open_page
    assert [entry for entry in chromium.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


@pytest.mark.browser
def test_it_plays_and_can_be_heard(opened):
    page = opened(Piece(TWO, MADE_BY))
    assert (page.text("title"), page.text("total"), page.text("place")) == ("Two voices", "0:04", "bar 1, beat 1")
    before = page.playhead()
    page.press("l")  # round and round, however slow the machine
    page.part("play").click()
    assert page.part("play").get_attribute("aria-label") == "Pause"
    page.wait(lambda: page.position() > 0.4 and page.run("return loudness()") > 0.01)
    assert page.playhead() > before
    assert page.run("return started") > 0
    page.picture("playing")
    page.part("play").click()
    assert page.part("play").get_attribute("aria-label") == "Play"
    assert page.text("said").startswith("Paused at bar ")
    page.wait(lambda: page.run("return loudness()") < 0.001)
    resting = page.position()
    assert page.position() == resting
    page.press("l", "\ue010")  # End
    assert page.text("place") == "bar 4, beat 4"
    page.press("\ue012", " ")  # back by a beat, and Space on the button that has the focus
    page.wait(lambda: page.text("said") == "The end")
    assert page.part("play").get_attribute("aria-label") == "Play"
    assert page.position() == 4


@pytest.mark.browser
def test_it_goes_where_it_is_told(opened):
    from selenium.webdriver import ActionChains

    page = opened(Piece(TWO))
    where = lambda: page.text("place")  # noqa: E731
    page.press("\ue014")
    assert where() == "bar 1, beat 2"
    page.press("\ue008\ue014")
    assert where() == "bar 2, beat 1"
    page.press("\ue012")
    assert where() == "bar 1, beat 4"
    page.press("\ue011")
    assert where() == "bar 1, beat 1"
    roll = page.part("roll-scroller")
    bar = (roll.size["width"] - 52 - 12) / 4
    to_third = 52 + 2.1 * bar - roll.size["width"] / 2
    ActionChains(page.browser).move_to_element_with_offset(roll, to_third, 40).click().perform()
    assert where() == "bar 3, beat 1"
    assert page.text("said").startswith("bar 3, beat 1, 0:02")
    assert page.part("position").get_attribute("aria-valuetext") == "bar 3, beat 1, 0:02 of 0:04"
    assert 2.0 < page.position() < 2.3


@pytest.mark.browser
def test_tracks_are_muted_and_heard_alone(opened):
    page = opened(Piece(TWO))
    pressed = lambda: [  # noqa: E731
        button.get_attribute("aria-label")
        for button in page.part("tracks").find_elements("css selector", "[aria-pressed=true]")
    ]
    page.press("l")
    page.part("play").click()
    page.wait(lambda: page.run("return loudness()") > 0.01)
    page.press("1", "2", "3")
    assert pressed() == ["Mute High", "Mute Low", "Mute Drums"]
    page.wait(lambda: page.run("return loudness()") < 0.002)
    page.run("document.querySelector('[aria-label=\"Solo Low\"]').click()")
    assert pressed() == ["Mute High", "Mute Low", "Solo Low", "Mute Drums"]
    page.wait(lambda: page.run("return loudness()") > 0.01)
    page.press("1")
    assert page.text("said") == "High: not muted"
    page.part("play").click()


@pytest.mark.browser
def test_bars_are_looped_and_the_tempo_is_changed(opened):
    page = opened(Piece(TWO))
    page.run("const t = document.getElementById('tempo'); t.value = 200; t.dispatchEvent(new Event('input'))")
    assert page.text("tempo-shown") == "480 bpm"
    for name in ("loop-from", "loop-to"):
        page.run("const e = document.getElementById(arguments[0]); e.value = 2", name)
    page.run("document.getElementById('loop-to').dispatchEvent(new Event('change'))")
    seen = []
    page.part("play").click()
    page.wait(lambda: seen.append(page.position()) or sum(b < a for a, b in pairwise(seen)) >= 2)
    page.part("play").click()
    back = next(n for n in range(1, len(seen)) if seen[n] < seen[n - 1])
    assert all(1.0 <= at < 2.05 for at in seen[back:])


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_every_screen_in_both_lights(opened, forms, scheme):
    forms({".svg": Engraver, ".musicxml": Engraver})
    page = opened(Piece(TWO, MADE_BY))
    page.wait(lambda: page.run("return document.getElementById('score').naturalWidth") > 0)
    for width in (1200, 360):
        page.shows(width, color_scheme=scheme, reduced_motion="reduce")
        assert page.run("return document.documentElement.scrollWidth") <= width
        page.picture(f"{scheme}-{width}")
    light = page.run("return getComputedStyle(document.body).backgroundColor").strip("rgb()").split(", ")
    assert (int(light[0]) > 128) == (scheme == "light")
    assert page.text("command") == "composer regenerate two-voices.mid again.mid"
    assert [button.text for button in page.part("downloads").find_elements("tag name", "button")] == [
        "MIDI",
        "MusicXML",
    ]


@pytest.mark.browser
def test_downloads_are_saved(opened, tmp_path):
    page = opened(Piece(TWO, MADE_BY))
    behaviour = {"behavior": "allow", "downloadPath": str(tmp_path)}
    page.browser.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
    page.part("downloads").find_element("tag name", "button").click()
    page.wait((tmp_path / "two-voices.mid").exists)
    formats.write([Piece(TWO, MADE_BY)], tmp_path / "own.mid")
    assert (tmp_path / "two-voices.mid").read_bytes() == (tmp_path / "own.mid").read_bytes()


@pytest.mark.browser
def test_a_gallery_is_chosen_from_and_marked(opened, tmp_path):
    page = opened(*[Piece(replace(TWO, title=f"Piece {name}"), MADE_BY) for name in "ABC"])
    page.browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    assert page.text("gallery-title") == "3 pieces"
    page.press("n")
    assert page.text("title") == "Piece B"
    page.browser.find_element("css selector", "[aria-label='4 stars']").click()
    page.part("note").send_keys("the one with <b>")
    page.press("\ue004")  # Tab
    page.part("pieces").find_elements("tag name", "button")[2].click()
    assert page.text("title") == "Piece C"
    page.picture("gallery")
    page.part("save-marks").click()
    page.wait((tmp_path / "marks.json").exists)
    saved = json.loads((tmp_path / "marks.json").read_text())["marks"]
    assert [(mark["title"], mark["stars"], mark["note"]) for mark in saved] == [
        ("Piece A", 0, ""),
        ("Piece B", 4, "the one with <b>"),
        ("Piece C", 0, ""),
    ]
    assert saved[1]["made_by"] == MADE_BY
    page.browser.refresh()
    assert page.browser.find_elements("class name", "piece-stars")[1].text == "★★★★ ✎"


@pytest.mark.browser
def test_names_from_outside_do_nothing_in_a_browser(opened):
    page = opened(*[hostile_piece()] * 2)
    page.part("play").click()
    page.wait(lambda: page.position() > 0)
    page.part("play").click()
    assert page.run("return window.pwned") is None
    assert page.run("return document.querySelectorAll('img[src=x], main b').length") == 0
    assert "<img src=x" in page.text("title")
    page.run("const s = document.createElement('script'); s.textContent = 'window.pwned = 1'; document.body.append(s)")
    assert page.run("return window.pwned") is None
    assert "Content Security Policy" in page.browser.get_log("browser")[0]["message"]


@pytest.mark.browser
def test_the_synthesiser_is_neither_silent_nor_too_loud(opened):
    page = opened(Piece(TWO))
    scripts = [Path(exporter.__file__).with_name(name).read_text() for name in ("music.js", "sound.js")]
    most = page.browser.execute_async_script("\n".join([*scripts, RENDER]))
    assert len(most) == 18
    assert all(0.02 < peak < 0.9 for peak in most)


@pytest.mark.browser
def test_notes_begin_and_end_without_a_click(opened):
    page = opened(Piece(TWO))
    scripts = [Path(exporter.__file__).with_name(name).read_text() for name in ("music.js", "sound.js")]
    found = page.browser.execute_async_script("\n".join([*scripts, EDGES]))
    assert len(found) == 16
    for begun, let_go, over in found:
        assert begun < 0.5
        assert let_go <= 1.01
        assert over < 0.05


@pytest.mark.browser
def test_odd_pieces_open_too(opened):
    for music in (Score(), score(line((60, 0.01))), Score((drums((0, 36)),)), replace(TWO, upbeat=QUARTER, tempos=())):
        page = opened(Piece(music))
        page.press(" ", "l", "\ue014", "\ue012", "[", "]", "-", "+", "1", "n", " ")
        assert page.text("place").startswith("bar ")
