"""Form: the same letter is the same music; a prime keeps its head; bars, markers, cadences; the same bytes again."""

import json
from dataclasses import replace

import pytest

from composer.errors import BadOption
from composer.generation import form, generator, infilling
from composer.generation.composer import open_model
from composer.generation.form_spec import Form, parse_form
from composer.generation.generator import Generator
from composer.generation.tasks import make
from composer.io.formats import read
from composer.model import ComponentSpec, Model, save
from composer.music.score import compute_bars
from composer.plugins.registry import registry
from composer.request import Request, SamplerSpec
from composer.sampling import loop

FEW = {"particles": 2}


def asked(text, seed=1, index=0, few=FEW, **fields):
    """A form of two bars a section, unless others are asked for."""
    request = Request(seed=seed, index=index, backend="numpy", **{"bars": 2, **fields})
    return replace(Form.parse(request, text), **few)


def section_ticks(score, each=2):
    return each * compute_bars(score).signatures[-1].bar_ticks


def struck(score, place, each=2):
    """(track, tick, pitch) of the notes that begin in a section, counted from its upbeat."""
    length = section_ticks(score, each)
    return [
        (name, start - place * length, pitch)
        for name, track in enumerate(score.tracks)
        for start, _, pitch, _ in track.notes.tolist()
        if place * length <= start < (place + 1) * length
    ]


def sounding(score, place, each=2):
    """As `struck`, with lengths as far as the section goes."""
    length = section_ticks(score, each)
    return [
        (name, start - place * length, min(duration, (place + 1) * length - start), pitch, velocity)
        for name, track in enumerate(score.tracks)
        for start, duration, pitch, velocity in track.notes.tolist()
        if place * length <= start < (place + 1) * length
    ]


def whole_bars(score):
    return len(compute_bars(score).signatures) - (score.upbeat > 0)


def made_of(architecture, name, **options):
    """A random model, as small as can be, of a tokenizer with these options."""
    import torch

    tokenizer = registry().make("tokenizers", name, **options)
    layer = registry().make("architectures", architecture, hidden_size=8, layers=1, embedding_size=8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = layer.build_module([column.size for column in tokenizer.grammar.columns], len(tokenizer.vocabulary))
    weights = {key: tensor.numpy() for key, tensor in module.state_dict().items()}
    made = (
        ComponentSpec.describe("architectures", architecture, layer),
        ComponentSpec.describe("tokenizers", name, tokenizer),
    )
    return Generator(Model(*made, tokenizer.vocabulary, weights))


SMALL = {
    "voices": {"names": ("upper", "lower"), "steps_per_quarter": 2, "time_signatures": ("3/4", "4/4")},
    "remi": {"steps_per_quarter": 1, "programs": False, "drums": False, "time_signatures": ("3/4", "4/4"), "tempos": 4},
    "frames": {"most_notes": 4},
}


@pytest.fixture(scope="module", params=SMALL)
def any_player(request):
    """A random model of each tokenizer in turn."""
    return made_of("rnn", request.param, **SMALL[request.param])


@pytest.fixture(scope="module")
def player():
    """A random model of two voices."""
    return made_of("rnn", "voices", **SMALL["voices"])


@pytest.fixture(scope="module")
def model_file(player, tmp_path_factory):
    """The same as a file."""
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    save(player.model, path)
    return path


# --- sections ---------------------------------------------------------------------------------------------------------


def test_the_same_letter_is_the_same_music_with_every_tokenizer(any_player):
    (piece,) = make(any_player, [asked("AABA'")])
    score = piece.score
    assert whole_bars(score) <= 8
    assert score.length <= 4 * section_ticks(score) + score.upbeat
    first, second, other, varied = (struck(score, place) for place in range(4))
    assert first == second
    assert sounding(score, 0) == sounding(score, 1)
    assert other not in ([], first)
    half = section_ticks(score) // 2
    assert [note for note in varied if note[1] < half] == [note for note in first if note[1] < half]
    assert varied != first


@pytest.mark.parametrize("name", ["tunes", "chorales"])
def test_a_song_by_a_shipped_model(name):
    player = open_model(name)
    request = replace(player.suggested, seed=2, bars=2, key="G", tempo=90.0, backend="numpy")
    (piece,) = make(player, [replace(Form.parse(request, "AABA"), **FEW)])
    score = piece.score
    sections = [sounding(score, place) for place in range(4)]
    assert sections[0] == sections[1] == sections[3]
    assert sections[2] != sections[0]
    assert whole_bars(score) == 8
    ticks = section_ticks(score)
    assert [(m.tick - score.upbeat, m.text) for m in score.markers] == [
        (place * ticks, name) for place, name in enumerate("AABA")
    ]
    assert len(score.time_signatures) == 1
    assert [str(signature.key) for signature in score.key_signatures] == ["G"]
    assert [tempo.bpm for tempo in score.tempos] == [90.0]


def test_the_first_section_is_the_piece_without_a_form(player):
    (alone,) = generator.generate(player, [Request(seed=4, bars=2, time_signature="4/4", backend="numpy")])
    (piece,) = make(player, [asked("AB", seed=4, time_signature="4/4")])
    assert struck(piece.score, 0) == struck(alone.score, 0)


def test_variations_of_one_section_differ(player):
    (piece,) = make(player, [asked("A A' A'' A'", bars=3)])
    first, one, two, again = (struck(piece.score, place, 3) for place in range(4))
    assert one == again
    assert first != one != two != first
    head = section_ticks(piece.score, 3) * 2 // 3
    assert len({str([note for note in part if note[1] < head]) for part in (first, one, two)}) == 1


def test_an_upbeat_stands_before_every_section(any_player):
    if any_player.model.tokenizer.name == "frames":
        return  # it has none
    pieces = make(any_player, [asked("ABA", index=index) for index in range(3)])
    found = [piece.score for piece in pieces if piece.score.upbeat]
    assert found
    assert {len(score.time_signatures) for score in found} == {1}
    for score in found:
        ticks = section_ticks(score)
        assert [marker.tick for marker in score.markers][:3] == [score.upbeat + n * ticks for n in range(3)]
        assert struck(score, 0) == struck(score, 2)
        for track in score.tracks:  # nothing is held over the beginning of a section
            for start, duration, _, _ in track.notes.tolist():
                assert start >= 2 * ticks or start // ticks == (start + duration - 1) // ticks


def test_tempos_come_again_with_their_section():
    player = made_of("rnn", "remi", **SMALL["remi"])
    (piece,) = make(player, [asked("ABA", seed=3)])
    score, ticks = piece.score, section_ticks(piece.score)

    def tempo_at(tick):
        return [tempo.bpm for tempo in score.tempos if tempo.tick <= tick][-1]

    assert [tempo_at(tick) for tick in range(0, ticks, 480)] == [
        tempo_at(2 * ticks + tick) for tick in range(0, ticks, 480)
    ]


# --- constraints ------------------------------------------------------------------------------------------------------


def test_a_constraint_holds_in_all_sections(any_player):
    chain = (SamplerSpec("range", {"range": "C4:C5"}),)
    (piece,) = make(any_player, [asked("ABA'", samplers=chain)])
    assert all(60 <= pitch <= 72 for place in range(3) for _, _, pitch in struck(piece.score, place))


@pytest.mark.parametrize("text", ["ABA", "ABAB", "AB"])
def test_a_cadence_ends_the_whole_piece(player, text):
    chain = (SamplerSpec("ending"),)
    wanted = [asked(text, index=n, samplers=chain, key="C", few={"particles": 16}) for n in range(2)]
    for piece in make(player, wanted):
        score = piece.score
        bass = max((track for track in score.tracks if len(track.notes)), key=lambda t: -int(t.notes["pitch"][-1]))
        assert int(bass.notes["pitch"][-1]) % 12 == 0
        assert score.end == score.upbeat + len(text) * section_ticks(score)
        assert whole_bars(score) == 2 * len(text)


def test_chords_are_counted_through_the_piece(player):
    chain = (SamplerSpec("chords", {"chords": "C | F | G | Am"}),)
    wanted = asked("AB", time_signature="4/4", key="C", samplers=chain, few={"particles": 16})
    (piece,) = make(player, [wanted])
    tones = [{0, 4, 7}, {5, 9, 0}, {7, 11, 2}, {9, 0, 4}]
    for track in piece.score.tracks:
        for start, _, pitch, _ in track.notes.tolist():
            bar, place = divmod(start - piece.score.upbeat, 1920)
            assert place % 480 or pitch % 12 in tones[bar % 4]


# --- the same bytes ---------------------------------------------------------------------------------------------------


def test_a_piece_is_the_same_alone_and_among_others(player):
    wanted = [asked(text, index=n) for n, text in enumerate(["ABA", "A", "AA'B"])]
    together = make(player, wanted)
    for one, piece in zip(wanted, together, strict=True):
        (alone,) = make(player, [one])
        assert alone == piece


def test_the_cost_is_that_of_new_music(player):
    costs = [make(player, [asked(text)])[0].provenance["nats"]["model"] for text in ("A", "AAA", "AAAB")]
    assert costs[0] == costs[1] < costs[2]


def test_what_constraints_cost_is_told_of_all_sections(player):
    chain = (SamplerSpec("range", {"range": "C4:C5"}),)
    costs = [make(player, [asked(text, samplers=chain)])[0].provenance["nats"] for text in ("A", "AAB")]
    assert 0 < costs[0]["constraints"] < costs[1]["constraints"]
    assert set(costs[1]) >= {"model", "chain", "constraints"}


def test_a_section_has_its_own_stream(player):
    one, other = (make(player, [asked(text, seed=5)])[0].score for text in ("ABC", "ACB"))
    assert struck(one, 0) == struck(other, 0)
    assert struck(one, 1) != struck(other, 1)
    assert struck(one, 1) != struck(one, 2)


def test_a_form_is_plain_values_and_back():
    wanted = asked("A A B A’", seed=3, samplers=(SamplerSpec("temperature", {"temperature": 0.9}),))
    assert wanted.to_json()["form"]["sections"] == "A A B A'"
    assert Form.from_json(json.loads(json.dumps(wanted.to_json()))) == wanted


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_line_writes_a_form_and_writes_it_again(run, folder, model_file):
    options = ["--form", "A B A'", "--bars", "2", "--model", model_file, "--seed", "5", "--backend", "numpy"]
    assert run("generate", "out/", "--count", "2", *options).status == 0
    ran = run("generate", "one.mid", "--index", "1", *options)
    assert (ran.status, ", 6 bars, " in ran.out, ran.out.endswith("seed 5\n")) == (0, True, True)
    one = (folder / "one.mid").read_bytes()
    assert one == (folder / "out" / "5-000001.mid").read_bytes()
    assert run("regenerate", "one.mid", "again.mid").status == 0
    assert (folder / "again.mid").read_bytes() == one
    assert (folder / "again.mid.json").read_bytes() == (folder / "one.mid.json").read_bytes()
    assert [marker.text for marker in read(folder / "one.mid").markers] == ["A", "B", "A'"]


def test_some_bars_of_a_form_anew(run, folder, model_file):
    song = ["--form", "ABA", "--bars", "2", "--model", model_file, "--seed", "5", "--backend", "numpy"]
    assert run("generate", "out.mid", *song).status == 0
    options = ["--bars", "3-4", "--seed", "+1", "--particles", "2"]
    assert run("regenerate", "out.mid", "other.mid", *options).status == 0
    one, other = read(folder / "out.mid"), read(folder / "other.mid")
    start, end = infilling.locate_bars(one, (3, 4))
    kept = [
        [note[::2] for track in score.tracks for note in track.notes.tolist() if not start <= note[0] < end]
        for score in (one, other)
    ]
    assert kept[0] == kept[1]
    assert one.markers == other.markers
    assert run("regenerate", "other.mid", "again.mid").status == 0
    assert (folder / "again.mid").read_bytes() == (folder / "other.mid").read_bytes()


# --- what is no form --------------------------------------------------------------------------------------------------


def test_a_form_as_it_is_typed():
    assert parse_form("AABA") == ("A", "A", "B", "A")
    assert parse_form(" a A’ b A′' ") == ("A", "A'", "B", "A''")
    assert Form.parse(Request(), "AB").request.bars == 8


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--form", ""], "a form has a section at least"),
        (["--form", "A1B2"], "'A1B2' is no form such as AABA"),
        (["--form", "A'A"], "A' comes before the A that it varies"),
        (["--form", "AABB'C'"], "C' comes before the C that it varies"),
        (["--form", "'A"], "is no form such as AABA"),
        (["--form", "Ä"], "is no form such as AABA"),
        (["--form", "A" * 65], "64 sections at most, and here are 65"),
        (["--form", "AABA", "--bars", "2000"], "4 sections of 2000 bars are 8000 bars; a form has 4096 at most"),
        (["--form", "AABA", "--bars", "0"], "'bars' is 0"),
        (["--form", "AA'", "--bars", "1"], "A' keeps the first half of A; ask for sections of 2 bars or more"),
        (["--form", "AABA", "--primer", "C4 D4"], "begins with its first one, not with a primer"),
    ],
    ids=str,
)
def test_what_is_no_form_is_one_sentence_before_sampling(run, folder, model_file, arguments, said, monkeypatch):
    monkeypatch.setattr(loop, "run_steps", None)
    ran = run("generate", "out.mid", *arguments, "--model", model_file)
    assert ran.status == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    "values",
    [
        {"request": {"bars": 2}, "form": {}},
        {"request": {"bars": 2}, "form": []},
        {"request": {}, "form": {"sections": "AB", "particles": 2, "look_ahead": 2}},
        {"request": {"bars": 2}, "form": {"sections": 3, "particles": 2, "look_ahead": 2}},
        {"request": {"bars": 2}, "form": {"sections": "AB", "particles": 0, "look_ahead": 2}},
        {"request": {"bars": 2}, "form": {"sections": "AB", "particles": 2, "look_ahead": None}},
    ],
    ids=str,
)
def test_what_is_no_form_in_a_file_is_refused(values):
    with pytest.raises(BadOption):
        Form.from_json(values)


def test_a_section_that_comes_out_as_another_is_drawn_again(player, monkeypatch):
    wanted = asked("AB", seed=5)
    (before,) = make(player, [wanted])
    drawn = []
    unfit = form.is_unfit

    def once(draft, name):
        drawn.append(name)
        return len(drawn) == 1 or unfit(draft, name)

    monkeypatch.setattr(form, "is_unfit", once)
    (piece,) = make(player, [wanted])
    assert drawn == ["B", "B"]
    assert struck(piece.score, 1) != struck(before.score, 1)


def test_a_section_that_hardly_differs_is_drawn_without_the_figures_of_the_other(player):
    wanted = asked("AAB", bars=4, seed=5)
    draft = form.begin_draft(wanted, make(player, [wanted.request])[0])
    (other,) = make(player, [replace(wanted.request, seed=6)])
    alike, different = (replace(draft, known={**draft.known, "B": score}) for score in (draft.known["A"], other.score))
    assert form.is_unfit(alike, "B")
    assert not form.is_unfit(different, "B")
    chains = [[spec.name for spec in form.make_gap(draft, "B", n).wanted.request.samplers] for n in (0, 1)]
    assert "no-repeat" not in chains[0]
    assert chains[1][-1] == "no-repeat"
