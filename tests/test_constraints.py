"""Constraints hold in every piece: read back from the MIDI file and checked note by note, without any mask."""

import json
import re
from collections import Counter, namedtuple
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest
import symusic
from octaves import Octaves

from composer.errors import BadOption, RequestWarning
from composer.generation.composer import open_model
from composer.generation.generator import Generator, generate
from composer.io.outputs import write_piece
from composer.music.chords import parse_chord
from composer.request import Request, SamplerSpec
from composer.sampling.batch_state import begin, build_context
from composer.sampling.feasibility import check_request
from composer.testing import make_random_model
from composer_harmony.scale import Scale
from composer_ranges import Range
from composer_texture.patterns import NoRepeat

Note = namedtuple("Note", "start end pitch track")
Bar = namedtuple("Bar", "start origin length beat")

MODELS = ("chorales", "tunes", "remi", "frames")
BARS = {"chorales": 3, "tunes": 4, "remi": 2, "frames": 4}
LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@lru_cache
def player(name):
    if name in ("chorales", "tunes"):
        return open_model(name)
    return Generator(make_random_model("gru", name, hidden_size=16, embedding_size=16))


# --- what is written --------------------------------------------------------------------------------------------------


def notes_of(path):
    """The pitched notes of a MIDI file, in the order of time, in ticks of 480 to a quarter."""
    midi = symusic.Score(str(path))
    found = [
        Note(note.start * 480 // midi.tpq, note.end * 480 // midi.tpq, note.pitch, number)
        for number, track in enumerate(midi.tracks)
        for note in track.notes
        if not track.is_drum
    ]
    return sorted(found)


def drums_of(path):
    midi = symusic.Score(str(path))
    return [note.start * 480 // midi.tpq for track in midi.tracks for note in track.notes if track.is_drum]


def bars_of(score, until):
    """The bars of a piece up to a tick, and the last that was asked for."""
    metres = [(s.tick, s.numerator, s.denominator) for s in score.time_signatures] or [(0, 4, 4)]
    found, tick = [], 0
    while tick < until:
        _, top, bottom = next(metre for metre in reversed(metres) if metre[0] <= max(tick, 0))
        length, unit = 1920 * top // bottom, 1920 // bottom
        beat = 3 * unit if bottom >= 8 and top > 3 and top % 3 == 0 else unit
        origin = score.upbeat - length if tick == 0 and score.upbeat else tick
        found.append(Bar(tick, origin, length, beat))
        tick = origin + length
    return found


class Written:
    """One piece as it stands in its file."""

    def __init__(self, piece, path, request):
        self.notes, self.drums, self.request = notes_of(path), drums_of(path), request
        self.tracks = [track.name.lower() for track in piece.score.tracks]
        self.upbeat = piece.score.upbeat
        keys = piece.score.key_signatures
        self.key = (keys[0].key.tonic, keys[0].key.minor) if keys else None
        many = bars_of(piece.score, 10**5)
        self.bars = many[: request.bars + (self.upbeat > 0)]
        self.frames = not piece.score.time_signatures

    def bar(self, tick):
        return max(number for number, bar in enumerate(self.bars) if bar.start <= tick)

    def place(self, tick):
        return tick - self.bars[self.bar(tick)].origin


# --- the rules, in words of their own ---------------------------------------------------------------------------------


def class_of(name):
    return (LETTERS[name[0]] + name.count("#") - name[1:].count("b")) % 12


def pitch_of(name):
    return class_of(name[:-1]) + 12 * (int(name[-1]) + 1)


SCALES = {"D dorian": "D E F G A B C", "A minor": "A B C D E F F# G G#", "Bb major": "Bb C D Eb F G A"}


def in_scale(piece, scale):
    classes = {class_of(name) for name in SCALES[scale].split()}
    return [note for note in piece.notes if note.pitch % 12 not in classes]


CHORDS = {
    "Dm7": "D F A C",
    "G7": "G B D F",
    "Cmaj7": "C E G B",
    "Am7": "A C E G",
    "D7": "D F# A C",
    "Gmaj7": "G B D F#",
    "C": "C E G",
    "F#m7b5": "F# A C E",
    "B7": "B D# F# A",
    "Em/G": "E G B",
}


def on_chords(piece, chords):
    bars = [bar.split() for bar in chords.split("|")]
    tones = {name: {class_of(tone) for tone in CHORDS[name].split()} for bar in bars for name in bar}
    wrong = []
    for note in piece.notes:
        number = piece.bar(note.start)
        bar, place = piece.bars[number], piece.place(note.start)
        here = bars[(number - (piece.upbeat > 0)) % len(bars)]
        if place % bar.beat == 0:
            admitted = tones[here[place * len(here) // bar.length]]
        else:
            admitted = set().union(*tones.values())
        wrong += [note] if note.pitch % 12 not in admitted else []
    return wrong


def in_range(piece, range):  # noqa: A002
    wrong = []
    for part in range.split(","):
        voice, _, bounds = part.rpartition("=")
        low, high = map(pitch_of, bounds.split(":"))
        wrong += [
            note
            for note in piece.notes
            if (voice in ("", "all") or piece.tracks[note.track] == voice) and not low <= note.pitch <= high
        ]
    return wrong


def wide_leaps(piece, widest_leap):
    if not set(piece.tracks) <= {"soprano", "alto", "tenor", "bass", "tune"}:  # a model without voices
        return []
    lines = [[note for note in piece.notes if note.track == track] for track in range(len(piece.tracks))]
    return [pair for line in lines for pair in pairwise(line) if abs(pair[1].pitch - pair[0].pitch) > widest_leap]


def at_once(piece, polyphony):
    counts = {note.start: sum(other.start <= note.start < other.end for other in piece.notes) for note in piece.notes}
    return [start for start, count in counts.items() if count > polyphony]


def in_a_bar(piece, density, per="bar"):
    if per == "bar":
        counts = Counter(piece.bar(note.start) for note in piece.notes)
    else:
        counts = Counter(
            (piece.bar(note.start), piece.place(note.start) // piece.bars[piece.bar(note.start)].beat)
            for note in piece.notes
        )
    return [place for place, count in counts.items() if count > density]


def on_grid(piece, rhythm):
    starts = {note.start for note in piece.notes} | set(piece.drums)
    if rhythm.startswith("1/"):
        return [start for start in starts if piece.place(start) % (1920 // int(rhythm[2:]))]
    wrong = []
    for start in starts:
        length = piece.bars[piece.bar(start)].length
        begins = [length * number / len(rhythm) for number, sign in enumerate(rhythm) if sign == "x"]
        wrong += [start] if piece.place(start) not in begins else []
    return wrong


def figures(piece, n, window=64):
    # Notes that begin together are written from the top voice down, or in one part from the bottom up; in frames, from
    # the top.
    order = sorted(piece.notes, key=lambda note: (note.start, note.track, -note.pitch if piece.frames else note.pitch))
    wrong = []
    for number, note in enumerate(order):
        recent = [other.pitch for other in order[max(0, number - window) : number] if other.track == note.track]
        now = [*recent[len(recent) - n + 1 :], note.pitch] if len(recent) >= n - 1 else None
        before = [recent[i : i + n] for i in range(len(recent) - n + 1)]
        wrong += [note] if now in before else []
    return wrong


def ending(piece, ending=True, key=None):
    tonic, minor = (class_of(key.rstrip("m")), key.endswith("m")) if key else piece.key
    bar = piece.bars[-1]
    end, start = bar.origin + bar.length, max(note.start for note in piece.notes)
    beats = bar.length // bar.beat
    strong = {0, bar.length // 2} if beats >= 4 and beats % 2 == 0 else {0}
    sounding = [note for note in piece.notes if note.end > start]
    degrees = {(note.pitch - tonic) % 12 for note in sounding}
    chords = [{0, 4, 7}, {0, 3, 7}] if minor else [{0, 4, 7}]
    wrong = []
    wrong += ["not in the last bar"] if start < bar.start else []
    wrong += ["not on a strong beat"] if start - bar.origin not in strong else []
    wrong += ["not held"] if any(note.end != end for note in sounding) else []
    wrong += ["no tonic chord"] if not any(degrees <= chord for chord in chords) else []
    wrong += ["no tonic below"] if min(note.pitch for note in sounding) % 12 != tonic else []
    return wrong


RULES = {
    "scale": in_scale,
    "chords": on_chords,
    "range": in_range,
    "widest-leap": wide_leaps,
    "polyphony": at_once,
    "density": in_a_bar,
    "rhythm": on_grid,
    "no-repeat": figures,
    "ending": ending,
}

ALONE = {
    "a scale": [("scale", {"scale": "D dorian"})],
    "a minor scale": [("scale", {"scale": "A minor"})],
    "chords": [("chords", {"chords": "Dm7 G7 | Cmaj7 | Am7 D7 | Gmaj7"})],
    "a range": [("range", {"range": "all=F3:E5"})],
    "no wide leap": [("widest-leap", {"widest_leap": 5})],
    "two notes": [("polyphony", {"polyphony": 2})],
    "few in a bar": [("density", {"density": 5})],
    "few in a beat": [("density", {"density": 2, "per": "beat"})],
    "a grid": [("rhythm", {"rhythm": "1/4"})],
    "a pattern": [("rhythm", {"rhythm": "x..x..x."})],
    "no figure twice": [("no-repeat", {"n": 3, "window": 48})],
    "an ending": [("ending", {})],
}
TOGETHER = {
    "scale, range, ending": [
        ("scale", {"scale": "Bb major"}),
        ("range", {"range": "all=E2:G5"}),
        ("ending", {"key": "Bb"}),
    ],
    "chords, rhythm, polyphony": [
        ("chords", {"chords": "C | F#m7b5 B7 | Em/G"}),
        ("rhythm", {"rhythm": "1/8"}),
        ("polyphony", {"polyphony": 3}),
    ],
    "all but chords": [
        ("scale", {"scale": "A minor"}),
        ("range", {"range": "all=E2:E6"}),
        ("polyphony", {"polyphony": 3}),
        ("density", {"density": 9}),
        ("rhythm", {"rhythm": "1/8"}),
        ("no-repeat", {"n": 4, "window": 24}),
        ("ending", {"key": "Am"}),
    ],
    "chords, ending, no figure twice": [
        ("chords", {"chords": "C | G7 | Am7 | C"}),
        ("ending", {"key": "C"}),
        ("no-repeat", {"n": 4, "window": 24}),
    ],
}
VOICES = {"chorales": "bass=E2:C4,soprano=C4:G5", "tunes": "tune=D4:A5"}


def asked(name, model):
    """The chain of that name, for that model."""
    found = []
    for sampler, options in {**ALONE, **TOGETHER}[name]:
        if sampler == "range" and model in VOICES:
            options = {"range": VOICES[model]}
        if sampler == "ending" and model == "frames":
            options = {"key": "C", **options}
        if sampler == "ending" and model != "frames" and "all" not in name and "chords" not in name:
            options = {}  # the key that is written
        found.append((sampler, options))
    return found


def check(model, name, seeds, folder):
    chain = asked(name, model)
    links = tuple(SamplerSpec(sampler, options) for sampler, options in chain)
    bars = 4 if "chords, ending" in name else BARS[model]
    requests = [Request(seed=5, index=index, bars=bars, samplers=links) for index in range(seeds)]
    for number, piece in enumerate(generate(player(model), requests)):
        write_piece(piece, folder / "piece.mid")
        written = Written(piece, folder / "piece.mid", requests[number])
        for sampler, options in chain:
            if written.notes or sampler == "ending":
                wrong = RULES[sampler](written, **options)
                assert not wrong, (model, name, number, sampler, wrong[:5])


@pytest.mark.uncounted
@pytest.mark.parametrize("name", [*ALONE, *TOGETHER])
@pytest.mark.parametrize("model", MODELS)
def test_no_piece_breaks_a_constraint(model, name, tmp_path):
    check(model, name, 10, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("name", [*ALONE, *TOGETHER])
@pytest.mark.parametrize("model", MODELS)
def test_no_piece_of_many_breaks_a_constraint(model, name, tmp_path):
    check(model, name, 300, tmp_path)


# --- constraints that a model suggests --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wishes", "widest"), [({}, 12), ({"temperature": 1.0}, 12), ({"scale": "C"}, 12), ({"widest_leap": 24}, 24)]
)
def test_chorales_leap_by_an_octave_at_most_unless_more_is_asked_for(wishes, widest):
    piece = open_model("chorales").generate(bars=2, key="C", seed=1, **wishes)
    chain = piece.provenance["request"]["samplers"]
    leaps = [link["options"]["widest_leap"] for link in chain if link["name"] == "widest-leap"]
    assert leaps == [widest]


def test_a_given_melody_may_leap_farther():
    piece = open_model("chorales").harmonize("C4 E4 G5 E5 D5 C5", key="C", seed=1, particles=2)
    assert piece.score.tracks[0].notes["pitch"].tolist()[:3] == [60, 64, 79]


def test_leaps_of_a_model_without_voices_are_free_and_that_is_told():
    band = Generator(make_random_model("gru", "remi", hidden_size=8, embedding_size=8))
    with pytest.warns(RequestWarning, match="widest_leap changes nothing: this model writes no voices"):
        generate(band, [Request(bars=1, samplers=(SamplerSpec("widest-leap", {"widest_leap": 2}),))])


# --- wishes that cannot be met ----------------------------------------------------------------------------------------

TURNAROUND = "Dm7 G7 | Cmaj7 | Am7 D7 | Gmaj7"


@pytest.mark.parametrize(
    ("model", "wishes", "links", "said"),
    [
        (
            "tunes",
            {"bars": 4},
            {"scale": {"scale": "C major"}, "chords": {"chords": "C | F#"}},
            "scale 'C major' and chords 'C | F#' together leave no note on beat 1 of bar 2.",
        ),
        (
            "chorales",
            {"bars": 4},
            {"range": {"range": "bass=E2:F2"}, "rhythm": {"rhythm": "1/8"}, "chords": {"chords": "D"}},
            "range 'bass=E2:F2' and chords 'D' together leave no note for Bass on beat 1 of bar 1.",
        ),
        (
            "tunes",
            {"bars": 4, "key": "Bb", "time_signature": "3/4"},
            {"ending": {}, "chords": {"chords": TURNAROUND}},
            "ending and chords 'Dm7 G7 | Cmaj7 | Am7 D7 | Gmaj7' together leave no note on beat 1 of the last bar.",
        ),
        ("tunes", {}, {"ending": {}, "chords": {"chords": TURNAROUND}}, "if that is the last; ask for --bars"),
        ("tunes", {"key": "F#"}, {"ending": {}, "scale": {"scale": "D dorian"}}, "ending and scale 'D dorian'"),
        ("chorales", {}, {"range": {"range": "bas=E2:C4"}}, "this model has no voice 'bas' for a range: did you mean"),
        ("remi", {}, {"range": {"range": "drum=E2:C4"}}, "this model has no voice 'drum' for a range: did you mean"),
        (
            "frames",
            {},
            {"range": {"range": "C0:D0"}},
            "the range C0:D0 of all is outside A0:C8, the range of this model",
        ),
        (
            "frames",
            {"bars": 2},
            {"ending": {}},
            "writes no keys; state the key of the ending",
        ),
        ("frames", {}, {"ending": {"key": "C"}}, "does not announce its end; --ending needs --bars"),
    ],
)
def test_wishes_that_contradict_each_other_are_refused_in_one_sentence(model, wishes, links, said):
    chain = tuple(SamplerSpec(name, options) for name, options in links.items())
    with pytest.raises(BadOption) as caught:
        generate(player(model), [Request(samplers=chain, **wishes)])
    assert said in str(caught.value)
    assert re.fullmatch(r"[^\n]+[.?]", str(caught.value))


def test_of_the_keys_only_those_are_written_in_which_the_chords_leave_an_ending():
    chain = (SamplerSpec("chords", {"chords": TURNAROUND}), SamplerSpec("ending", {}))
    for bars, keys in [(4, {"G"}), (2, {"C", "G", "Em"})]:  # of the nearest, those with their tonic in the last chord
        pieces = generate(player("tunes"), [Request(index=n, bars=bars, samplers=chain) for n in range(10)])
        assert {str(piece.score.key_signatures[0].key) for piece in pieces} <= keys


def test_a_scale_is_asked_of_a_model_as_the_nearest_key_unless_a_key_is_asked_for():
    for scale, key, heard in [("D dorian", None, "Dm"), ("G mixolydian", None, "G"), ("D dorian", "C", "C")]:
        chain = (SamplerSpec("scale", {"scale": scale}),)
        for piece in generate(player("tunes"), [Request(index=n, bars=1, key=key, samplers=chain) for n in range(3)]):
            assert str(piece.score.key_signatures[0].key) == heard


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "tones"),
    [
        *CHORDS.items(),
        ("Bdim", "B D F"),
        ("Bdim7", "B D F G#"),
        ("Faug", "F A C#"),
        ("Gsus4", "G C D"),
        ("D/F#", "F# A D"),
        ("C/D", "D C E G"),
        ("F#m", "F# A C#"),
        ("Bb6", "Bb D F G"),
        ("Em9", "E G B D F#"),
        ("Am7b5", "A C Eb G"),
        ("Ebmaj7", "Eb G Bb D"),
    ],
)
def test_a_chord_has_the_tones_that_its_name_says(name, tones):
    assert parse_chord(name).tones == {class_of(tone) for tone in tones.split()}


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        *SCALES.items(),
        ("C major pentatonic", "C D E G A"),
        ("c#", "C# D# E F# G# A A# B C"),
        ("Gm", "G A Bb C D Eb E F F#"),
        ("F lydian", "F G A B C D E"),
        ("chromatic", "C C# D D# E F F# G G# A A# B"),
    ],
)
def test_a_scale_has_the_notes_that_its_name_says(text, notes):
    assert Scale(text).classes == {class_of(note) for note in notes.split()}


# --- the command line -------------------------------------------------------------------------------------------------


def test_the_examples_of_the_command_line(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wishes = ["--bars", 6, "--scale", "D dorian", "--range", "bass=E2:C4", "--tempo", 92, "--ending", "--seed", 3]
    ran = run("generate", "a.mid", *wishes)
    assert ran.status == 0, ran.err
    assert re.search(r" 6 bars, constraints cost \d+\.\d nats, seed 3$", ran.out.strip())
    assert run("generate", "b.mid", "--chords", TURNAROUND, "--model", "tunes", "--bars", 8, "--quiet").status == 0
    told = json.loads((tmp_path / "a.mid.json").read_text())
    assert told["nats"]["constraints"] > 0
    assert [link["name"] for link in told["request"]["samplers"]][:3] == ["scale", "range", "ending"]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--scale", "D dorien", "there is no scale 'dorien': did you mean 'dorian'?"),
        ("--scale", "H major", "'H major' is not a scale"),
        ("--chords", "Dm7 | H7", "'H7' is not a chord"),
        ("--chords", "Dm7 | | G7", "has no chord"),
        ("--range", "bass=E2", "'bass=E2' is not a range"),
        ("--range", "bass=C4:E2", "has its bounds reversed"),
        ("--range", "bass=E2:C4,bass=C3:C4", "two ranges of bass"),
        ("--polyphony", "0", "polyphony must be from 1 to 32"),
        ("--density", "many", "is 'many', which is not int"),
        ("--density-per", "hour", "needs the option 'density'"),
        ("--rhythm", "1/7000", "is neither a note value such as 1/8"),
        ("--rhythm", "....", "is neither a note value such as 1/8"),
        ("--no-repeat", "0", "n must be from 1 to 64"),
        ("--ending-key", "H", "'H' is not a key"),
    ],
)
def test_a_bad_value_is_one_sentence(run, tmp_path, monkeypatch, option, value, said):
    monkeypatch.chdir(tmp_path)
    ran = run("generate", "x.mid", "--model", "tunes", option, value)
    assert ran.status == 2
    assert ran.err.count("\n") == 1
    assert said in ran.err
    assert not list(tmp_path.iterdir())


# --- pitches that a state alone tells ---------------------------------------------------------------------------------


def test_a_range_holds_where_the_octave_of_a_note_is_in_the_state():
    tokenizer, wanted, request = Octaves(), Range("G4:C5"), Request(bars=2)
    assert check_request(tokenizer, [wanted, NoRepeat(1, 16)], request).all()
    found = {}
    for octave in (5, 6):
        words = ("TimeSignature_4/4", "Key_C", "Upbeat_0", "Bar_2", "Position_0", f"Octave_{octave}")
        rows = begin(tokenizer, [], [request])
        for word in words:
            rows = rows.advance(tokenizer, np.array([tokenizer.vocabulary.index(word)]))
        allowed = wanted.mask(build_context(tokenizer, rows))[0]
        found[octave] = [c for c in range(12) if allowed[tokenizer.vocabulary.index(f"Class_{c}")]]
    assert found == {5: [7, 8, 9, 10, 11], 6: [0]}
