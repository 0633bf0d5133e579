"""The linter of MIDI files: every rule has a file that breaks it, and what the exporter writes breaks none."""

import random
from dataclasses import replace

import pytest
from midibytes import C4, D4, END, header, text_event, track, tune
from music import BAR, QUARTER, drums, line, score
from walks import walk

from composer.generation import continuation
from composer.generation.composer import open_model
from composer.generation.form_spec import Form
from composer.generation.tasks import make
from composer.music.keys import parse_key
from composer.music.score import KeySignature, Score, Tempo, Text, Track, make_notes
from composer.request import Request, SamplerSpec
from composer.types import Piece
from composer_midifile.linting import lint, scanning
from composer_midifile.linting.rules import SEVERITY
from composer_midifile.reading import MidiReader
from composer_midifile.writing import MidiExporter

NAME, PROGRAM = text_event(b"Flute", kind=3), "00 C0 49"
TEMPO, METRE = "00 FF 51 03 07 A1 20", "00 FF 58 04 04 02 18 08"
LONG = "FF FF FF 7F"  # a time of 268,435,455 ticks
CLEAN = tune(NAME, PROGRAM, TEMPO, METRE, "00 FF 59 02 00 00")


def of_two(first, second, **head):
    """A file of a track without notes, and another one."""
    return header(tracks=2, **head) + track(*first, END) + track(*second, END)


def drum(pitch):
    return f"00 99 {pitch:02X} 50  83 60 89 {pitch:02X} 00"


BREACHES = [
    # errors
    ("no-header", b""),
    ("no-header", b"<html>"),
    ("no-header", CLEAN[:10]),
    ("header-length", CLEAN[:7] + b"\x04" + CLEAN[8:]),
    ("division", tune(division=0)),
    ("division", tune(division=0xEF28)),
    ("file-type", tune(kind=7)),
    ("file-type", header(kind=0, tracks=2) + track(C4, END) * 2),
    ("track-count", tune(tracks=5)),
    ("chunk-length", CLEAN[:-3]),
    ("no-end-of-track", header() + track(C4)),
    ("long-quantity", header() + track("81 80 80 80 80 00 90 3C 50")),
    ("broken-event", header() + track("00 90 3C")),
    ("broken-event", header() + track("00 F0 FF 7F 01")),
    ("running-status", header() + track("00 3C 50", END)),
    ("data-byte", header() + track("00 90 3C C8", END)),
    ("system-message", tune("00 F8")),
    ("meta-length", tune("00 FF 51 02 07 A1")),
    ("tempo-value", tune("00 FF 51 03 00 00 00")),
    ("time-signature-value", tune("00 FF 58 04 00 02 18 08")),
    ("time-signature-value", tune("00 FF 58 04 04 FF 18 08")),
    ("key-signature-value", tune("00 FF 59 02 80 00")),
    ("key-signature-value", tune("00 FF 59 02 00 02")),
    ("unclosed-note", header() + track(C4, "00 90 40 50", END)),
    # warnings
    ("junk-before-header", b"RIFF\x60\0\0\0RMIDdata\x50\0\0\0" + CLEAN),
    ("trailing-bytes", CLEAN + b"garbage"),
    ("independent-sequences", header(kind=2, tracks=2) + track(C4, END) * 2),
    ("film-frames", tune(division=0xE728)),
    ("after-end-of-track", header() + track(C4, END, D4)),
    ("status-across-event", header() + track("00 90 3C 50  00 FF 01 00  83 60 3C 00", END)),
    ("unfinished-sysex", tune("00 F0 02 41 10")),
    ("tempo-range", tune("00 FF 51 03 00 00 01")),
    ("misplaced-tempo", of_two([], [TEMPO, C4])),
    ("misplaced-time-signature", of_two([], [METRE, C4])),
    ("tempo-twice", tune(TEMPO, "00 FF 51 03 06 EF 91")),
    ("time-signature-twice", tune(METRE, "00 FF 58 04 03 02 18 08")),
    ("metre-off-bar", tune(METRE, C4, "00 FF 58 04 03 02 18 08")),
    ("huge-silence", tune(f"{LONG} B0 07 64")),
    ("text-encoding", tune(text_event(b"f\xfcr", kind=3))),
    ("control-characters", tune(text_event(b"\x1b[2J", kind=6))),
    ("long-name", tune(text_event(b"A" * 300, kind=3))),
    ("no-notes", header() + track(END)),
    ("orphan-note-off", tune("00 80 3C 00")),
    ("zero-length-note", tune("00 90 3C 50  00 80 3C 00")),
    ("overlapping-notes", header() + track("00 90 3C 50  10 90 3C 50  10 80 3C 00  10 80 3C 00", END)),
    ("note-order", header() + track("00 90 3C 50  10 90 3C 50  00 80 3C 00  10 80 3C 00", END)),
    ("duplicate-note", header() + track("00 90 3C 50  00 90 3C 50  10 80 3C 00  00 80 3C 00", END)),
    ("crossing-tracks", of_two([PROGRAM, C4], [PROGRAM, "10 90 3C 50  10 80 3C 00"])),
    ("silent-notes", header() + track("00 90 3C 00  10 90 3E 00", END)),
    ("late-program", tune(C4, PROGRAM)),
    ("shared-channel", of_two([PROGRAM, C4], ["00 C0 05", C4])),
    ("drums-off-channel-10", tune(text_event(b"Drum kit", kind=3))),
    ("outside-drum-map", header() + track(drum(100), END)),
    ("hanging-pedal", tune("00 B0 40 7F")),
    # hints
    ("long-header", b"MThd" + bytes.fromhex("0000000A 0001 0001 01E0 00000000") + track(C4, END)),
    ("alien-chunk", header() + b"XFIH\0\0\0\2ab" + track(C4, END)),
    ("coarse-division", tune(division=1)),
    ("misplaced-key-signature", of_two([], ["00 FF 59 02 00 00", C4])),
    ("metronome-clicks", tune("00 FF 58 04 04 02 00 08")),
    ("no-tempo", tune(METRE)),
    ("no-time-signature", tune(TEMPO)),
    ("late-tempo", tune(C4, TEMPO)),
    ("silence", tune("82 B4 00 B0 07 64")),  # 39,424 ticks
    ("late-name", tune(C4, NAME)),
    ("second-name", tune(NAME, NAME)),
    ("no-name", tune()),
    ("empty-track", of_two([C4], [])),
    ("loud-notes", header() + track(*["00 90 3C 7F  10 80 3C 00"] * 16, END)),
    ("duplicate-track", of_two([C4], ["00 91 3C 50  83 60 81 3C 00"])),
    ("program-change", tune(PROGRAM, C4, "00 C0 05")),
    ("no-program", tune()),
    ("several-channels", tune("00 91 3C 50  10 81 3C 00")),
    ("shared-drums", of_two([drum(36)], [drum(36)])),
    ("rare-drum-sound", header() + track(drum(27), END)),
    ("late-port", tune(C4, "00 FF 21 01 01")),
    ("hanging-bend", tune("00 E0 00 50")),
    ("all-notes-off", tune("00 B0 7B 00")),
    ("sysex", tune("00 F0 03 41 10 F7")),
]


def rules(data):
    return [finding.rule for finding in lint(data)]


def grave(data):
    """What is graver than a hint."""
    return [f"{finding.rule}: {finding.text}" for finding in lint(data) if finding.severity != "hint"]


@pytest.mark.parametrize(("rule", "data"), BREACHES, ids=[rule for rule, _ in BREACHES])
def test_a_breach_is_found_once_and_told_in_a_sentence(rule, data):
    found = [finding for finding in lint(data) if finding.rule == rule]
    assert len(found) == 1 or {finding.track for finding in found} == {1, 2}
    assert found[0].severity == SEVERITY[rule]
    assert found[0].text.endswith(".")
    assert found[0].text.isprintable()
    assert found[0].text[0].isupper()


def test_every_rule_has_a_file_that_breaks_it():
    assert {rule for rule, _ in BREACHES} | {"too-large", "too-many-events"} == set(SEVERITY)


def test_what_is_too_large_is_not_looked_at(monkeypatch):
    assert rules(b"MThd" + bytes(2**24)) == ["too-large"]
    monkeypatch.setattr(scanning, "MOST_EVENTS", 100)
    many = lint(header(tracks=2) + track("00 B0 07 64" * 90, END) + track("00 B0 07 64" * 11, END))
    assert [(finding.rule, finding.track) for finding in many if finding.severity == "error"] == [
        ("too-many-events", 2)
    ]


def test_a_plain_file_has_no_findings():
    assert lint(CLEAN) == []


def test_a_finding_says_where_and_how_often():
    hanging = header() + track(METRE, C4, C4, C4, C4, "00 90 40 50", "00 90 41 50", END)
    (finding,) = (finding for finding in lint(hanging) if finding.rule == "unclosed-note")
    assert (finding.track, finding.bar, finding.tick, finding.times) == (1, 2, 1920, 2)
    assert finding.text == "E4 is never ended."


def test_bars_are_counted_through_changes_of_metre():
    three_four = "00 FF 58 04 03 02 18 08"
    late = header() + track(METRE, C4 * 4, three_four, C4 * 3, "00 90 40 50  00 80 40 00", END)
    (finding,) = (finding for finding in lint(late) if finding.rule == "zero-length-note")
    assert finding.bar == 3


def test_what_many_tracks_break_is_told_of_a_few():
    found = lint(header(tracks=3000) + track(END) * 3000)
    told = [finding for finding in found if finding.rule == "empty-track"]
    assert len(told) == 5
    assert told[-1].text == "The track has no notes, and so it is in 2,994 more tracks."


def test_a_program_change_may_use_running_status():
    assert grave(header() + track(NAME, TEMPO, METRE, "00 C0 05  00 06", C4, END)) == []


def test_a_track_that_breaks_off_is_not_said_to_be_empty():
    assert "no-notes" not in rules(tune("00 F8"))


def test_it_never_raises():
    draw = random.Random(7)
    files = [data for _, data in BREACHES]
    for _ in range(1500):
        data = bytearray(draw.choice(files))
        for _ in range(draw.randint(1, 4)):
            start = draw.randrange(len(data) + 1)
            data[start : start + draw.randint(0, 2)] = draw.randbytes(draw.randint(0, 3))
        assert all(finding.text.isprintable() for finding in lint(bytes(data)))


# --- what the exporter writes -----------------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path):
    """The bytes of a piece as MIDI."""

    def write(piece):
        MidiExporter()([piece if isinstance(piece, Piece) else Piece(piece)], tmp_path / "a.mid")
        return (tmp_path / "a.mid").read_bytes()

    return write


TUNE = line((60, 1), (62, 1), ((64, 67), 2), name="tune")
BASS = line((48, 2), (43, 2), name="bass", program=32)
KIT = drums((0, 36), (1, 38), (2, 36), (3, 38))
PLAIN = score(TUNE, BASS)


@pytest.mark.parametrize(
    "music",
    [
        pytest.param(PLAIN, id="two voices"),
        pytest.param(Score(), id="nothing", marks=pytest.mark.xfail(reason="it has no notes", strict=True)),
        pytest.param(score(TUNE, KIT, replace(KIT, name="more drums"), BASS), id="drums twice"),
        pytest.param(score(TUNE, KIT, replace(KIT, program=25)), id="two kits"),
        pytest.param(score(*(replace(TUNE, name=str(i), program=i) for i in range(20))), id="20 tracks"),
        pytest.param(score(*(replace(TUNE, name=str(i), program=i % 3) for i in range(300)), KIT), id="300 tracks"),
        pytest.param(replace(PLAIN, tempos=tuple(Tempo(i * 60, 60 + i) for i in range(100))), id="a ritardando"),
        pytest.param(score(TUNE, metres=((0, 1, 4), (480, 3, 4))), id="metres"),
        pytest.param(score(TUNE, metres=((0, 6, 8),), upbeat=240), id="upbeat"),
        pytest.param(score(TUNE, metres=((0, 3, 4),), upbeat=7), id="an upbeat that no bar has"),
        pytest.param(Score((TUNE,), upbeat=960), id="no metre"),
        pytest.param(
            replace(
                PLAIN, key_signatures=tuple(KeySignature(i * BAR, parse_key(k)) for i, k in enumerate(("Ebm", "F#")))
            ),
            id="keys",
        ),
        pytest.param(replace(PLAIN, markers=(Text(0, "A"), Text(BAR, "Ё"), Text(2 * BAR, "end"))), id="markers"),
        pytest.param(replace(PLAIN, title="für Elise\u2028"), id="a title"),
        pytest.param(
            Score((Track(make_notes([(0, 960, 60, 1), (0, 480, 60, 9), (240, 480, 60, 127)]), "over"),)), id="overlaps"
        ),
        pytest.param(Score((Track(make_notes([(i, 1, 60, 64) for i in range(50)]), "short"),)), id="one tick each"),
    ],
)
def test_what_the_exporter_writes_has_no_faults(written, music):
    assert grave(written(music)) == []


def test_random_music_has_no_faults(written):
    for number in range(40):
        assert grave(written(walk(number))) == []


WISHES = [
    Request(seed=1, bars=4),
    Request(seed=2, bars=4, key="Dm", time_signature="3/4", tempo=92.0),
    Request(seed=3, bars=4, samplers=(SamplerSpec("range", {"range": "C3:G5"}), SamplerSpec("ending"))),
]


@pytest.mark.parametrize("name", ["chorales", "tunes"])
def test_what_the_models_write_has_no_faults_and_the_same_notes(written, tmp_path, name):
    player = open_model(name)
    requests = [replace(player.suggested, seed=1, bars=4), *WISHES]
    primed = continuation.add_primer(player, requests[0], score(line((67, 1), (65, 1), (64, 2))))
    for piece in make(player, [*requests, primed, Form.parse(replace(requests[0], bars=2), "AA'B")]):
        assert grave(written(piece)) == []
        assert MidiReader()(tmp_path / "a.mid").note_count == piece.score.note_count
        assert all(finding.rule == "no-tempo" for finding in lint(written(piece)))


def test_a_metre_that_changes_within_a_bar_is_warned_of(written):
    assert grave(written(score(TUNE, metres=((0, 4, 4), (2 * QUARTER, 3, 4))))) == [
        "metre-off-bar: The metre changes within bar 1, 960 ticks after its beginning."
    ]
