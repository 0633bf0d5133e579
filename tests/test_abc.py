"""ABC files: what a player of the tune hears is what the score holds, and what is left out is said."""

import random
import re
import time
import warnings
from contextlib import suppress
from dataclasses import replace

import pytest
from music import notes

from composer.errors import LeftOutWarning, ReadingWarning, UnreadableFile
from composer.io import formats, lint
from composer.music.keys import ALL_KEYS
from composer.music.score import ChordSymbol, KeySignature, Score, Tempo, Text, TimeSignature, Track, make_notes
from composer.types import HasPieces, Piece
from composer_folder.dataset import Folder
from composer_notation.abc.symbols import MOST_SYMBOLS
from composer_notation.reader import NotationReader

Q = 480  # ticks of a quarter note


@pytest.fixture
def read(tmp_path):
    """Reads a file of that text; a warning is an error unless `said` takes it."""

    def read(text, said=None):
        path = tmp_path / "piece.abc"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ReadingWarning)
            score = NotationReader()(path)
        counts = {}
        for warning in caught:
            assert isinstance(warning.message, LeftOutWarning)
            counts |= warning.message.counts
        assert counts == (said or {})
        return score

    return read


@pytest.fixture
def tune(read):
    """Reads a tune in quarter notes of that music, with these fields in its header."""

    def tune(music, said=None, key="C", **header):
        fields = {"X": "1", "M": "4/4", "L": "1/4", **header}
        lines = [f"{letter}:{value}" for letter, value in fields.items() if value is not None]
        return read("\n".join([*lines, f"K:{key}", music, ""]), said)

    return tune


def pitches(score, track=0):
    return [int(pitch) for pitch in score.tracks[track].notes["pitch"]]


def letters(score):
    """The notes of the first track as letters of ABC, for tunes from C to c'."""
    names = dict(zip([60, 62, 64, 65, 67, 69, 71, 72, 74, 76, 77, 79, 81, 83], "CDEFGABcdefgab", strict=True))
    return "".join(names[pitch] for pitch in pitches(score))


def onsets(score, track=0):
    return [onset for onset, _, _ in notes(score.tracks[track])]


# --- tunes ------------------------------------------------------------------------------------------------------------

ABC = """X:1
T:A little tune
M:6/8
L:1/8
K:Ador
e|"Am"A3 Bcd|edc B2e|A3- A2B|cBA G2e|
A3 Bcd|edc B2G|ABc BAG|A3 A2|]
"""


def test_a_tune(read):
    score = read(ABC)
    assert (score.title, score.upbeat) == ("A little tune", Q // 2)
    assert score.time_signatures == (TimeSignature(0, 6, 8),)
    assert str(score.key_signatures[0].key) == "Am", "Dorian has a minor third"
    assert notes(score.tracks[0])[:5] == [(0, 0.5, 76), (0.5, 1.5, 69), (2, 0.5, 71), (2.5, 0.5, 72), (3, 0.5, 74)]
    assert max(length for _, length, _ in notes(score.tracks[0])) == 2.5, "the tied note"
    assert score.chords == (ChordSymbol(Q // 2, "Am"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("X:1\nK:C\nL:1/4\nCD|\n\nPlay it twice, and | faster.\n", "CD"),  # a text after the tune
        ("X:1\nK:C\nL:1/4\nCD|\n \t\nMore to come", "CD"),
        ("X:1\nK:C\nL:1/4\n% a comment is no empty line\nCD|\n%\nEF|", "CDEF"),
        ("X:1\nK:C\nL:1/4\nCD|\n%%begintext\nA word.\n\nAnd more | of it.\n%%endtext\nEF|", "CDEF"),
        ("X:1\nK:C\nL:1/4\nCD|\n%%begintext\nnever closed\n", ValueError),
        ("X:1\nK:C\nL:1/4\nCD|\n%%text Allegro\n%%vskip 1cm\nEF|", "CDEF"),
        ("X:1\nK:C\n\nL:1/4\nCD|\n", "CD"),  # a header apart from its music
        ("X:1\nT:t\n\nM:4/4\nL:1/4\nK:C\nCD|\n", "CD"),
        ("X:1\nL:1/4\nCD|", "CD"),  # without a key
        ("T:t\nL:1/4\nK:C\nCD|", "CD"),  # without a number
        ("%abc-2.1\nL:1/4\nU:h = !fermata!\n\nA word on this book.\n\nX:1\nK:C\nCD|", "CD"),  # a header of the file
        ("X:1\r\nL:1/4\r\nK:C\r\nCD|\r\nEF|\r\n", "CDEF"),
        ("X:1\rL:1/4\rK:C\rCD|\r", "CD"),
        ("\ufeffX:1\nL:1/4\nK:C\nCD|\n", "CD"),
        ("X:1\nL:1/4\nK:C\nCD|\\\nEF|\\ % goes on\nM:3/4\nGAB|\n", "CDEFGAB"),
        ("X:1\nL:1/4\nK:C\nCD|\nT:A second title\nN:a note\nR:reel\nEF|\n", "CDEF"),
        ("X:1\nL:1/4\nL:1/2\nK:C\nC|\n", [(0, 2, 60)]),  # the last of two
        ("X:1\nL:1/4\nH:a story\nthat goes on\nand on\nK:C\nCD|\n", "CD"),
    ],
)
def test_where_a_tune_begins_and_ends(read, text, expected):
    if expected is ValueError:
        with pytest.raises(UnreadableFile):
            read(text)
    elif isinstance(expected, str):
        assert letters(read(text)) == expected
    else:
        assert notes(read(text).tracks[0]) == expected


def test_music_after_an_empty_line_is_said_to_be_left_out(read):
    said = {"lines of music after an empty line": 2}
    assert letters(read("X:1\nL:1/4\nK:C\nCD|\n\nEF|GA|\nB c|\nThe end.\n", said)) == "CD"


def test_a_file_may_be_in_latin_1_or_in_utf_16(read):
    text = "X:1\nT:Für Élise\nL:1/4\nK:C\nCD|\n"
    for encoding in ("utf-8", "latin-1", "utf-16"):
        assert read(text.encode(encoding)).title == "Für Élise"


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("F\\\"ur \\'Elise", "Für Élise"),
        ("100\\% \\\\ gin &amp; tonic", "100% \\ gin & tonic"),
        ("caf&eacute; \\u00e9\\aa\\ss", "café éåß"),
        ("a title % and a comment", "a title"),
        ("\\qq \\", "\\qq \\"),
        ("\\ud800 \\U00110000", ""),
    ],
)
def test_a_title_as_it_is_meant(read, written, title):
    assert read(f"X:1\nT:{written}\nL:1/4\nK:C\nCD|\n").title == (title or "piece")


# --- keys and pitches -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "music", "expected", "name"),
    [
        ("D", "FC", [66, 61], "D"),
        ("Bb", "BE", [70, 63], "Bb"),
        ("D Phr ^f", "DEFG", [62, 63, 66, 67], "Dm"),
        ("D exp _b _e ^f", "EFB", [63, 66, 70], "D"),
        ("D maj =c", "FC", [66, 60], "D"),
        ("Dmix=c", "F", [66], "D"),
        ("F#Mix", "FE", [66, 64], "F#"),
        ("A MINOR", "C", [60], "Am"),
        ("none", "FB", [65, 71], None),
        ("", "FB", [65, 71], None),
        ("^f", "FB", [66, 71], None),
        ("HP", "FCG", [66, 61, 67], "A"),
        ("C octave=-1", "CDEF", [48, 50, 52, 53], "C"),
        ("C clef=bass octave=1", "C", [72], "C"),
        ("Am transpose=-3", "A", [66], "Am"),
        ("C treble-8", "C", [48], "C"),
        ("C clef=treble+8", "C", [72], "C"),
        ("C clef=bass middle=d", "C", [60], "C"),
        ("bass", "F", [65], None),
        ("G bass", "F", [66], "G"),
    ],
)
def test_keys_clefs_and_transposition(tune, key, music, expected, name):
    score = tune(music, key=key)
    assert pitches(score) == expected
    assert [str(signature.key) for signature in score.key_signatures] == ([name] if name else [])


def test_a_key_that_changes(tune):
    score = tune("CDEF|[K:D]DFAd|\nK:Bb octave=-1\nBBBB|[K:clef=bass]EEEE|")
    assert [(key.tick // Q, str(key.key)) for key in score.key_signatures] == [(0, "C"), (4, "D"), (8, "Bb")]
    assert pitches(score) == [60, 62, 64, 65, 62, 66, 69, 74, *[58] * 4, *[51] * 4]
    again = tune("|:CDEF|[K:D]DFAd:|")
    assert [key.tick // Q for key in again.key_signatures] == [0, 4, 8, 12], "the repeat is in C again"


@pytest.mark.parametrize(
    ("music", "expected"),
    [
        ("^F F f | F", [66, 66, 78, 65]),  # in its bar, in every octave
        ("^F =F F _F __F ^^F", [66, 65, 65, 64, 63, 67]),
        ("^f4- | f2 f2", [78, 77]),  # a tie carries it over the bar line, and no further
        ("[^F4A4]- | [FA]2 F2", [66, 69, 65]),
        ("[^F-A] F G A | F", [66, 69, 67, 69, 65]),
        ("%%propagate-accidentals octave\n^F F f | F", [66, 66, 77, 65]),
        ("%%propagate-accidentals not\n^F F f", [66, 65, 77]),
        ("%%MIDI nobarlines\n^F F f", [66, 65, 77]),
        ("C, C C' c c'", [48, 60, 72, 72, 84]),
        ("C,',", [48]),
    ],
)
def test_accidentals_and_octaves(tune, music, expected):
    assert pitches(tune(music)) == expected


def test_quarter_tones_are_said_to_be_left_out(tune):
    assert pitches(tune("^/c _3/2d e", {"quarter tones": 2})) == [72, 74, 76]


# --- rhythm -----------------------------------------------------------------------------------------------------------

THIRD, SIXTH, FIFTH = pytest.approx(1 / 3), pytest.approx(1 / 6), pytest.approx(1 / 5)


@pytest.mark.parametrize(
    ("music", "expected"),
    [
        ("C2 D/2 E/ F// G3/2 A3/4", [2, 0.5, 0.5, 0.25, 1.5, 0.75]),
        ("C>D E<F G>>A B<<<c", [1.5, 0.5, 0.5, 1.5, 1.75, 0.25, 0.125, 1.875]),
        ("C2 D>|E F", [2, 1.5, 0.5, 1]),  # over a bar line
        ("C{g}>D", [1.5, 0.5]),
        ("[CE]>D", [1.5, 1.5, 0.5]),
        ("(3CDE", [pytest.approx(2 / 3)] * 3),
        ("L:1/8\n(3CDE(3 CDE", [THIRD] * 6),
        ("L:1/8\n(3:2:4C2DE/F/", [pytest.approx(2 / 3), THIRD, SIXTH, SIXTH]),
        ("L:1/8\n(5CDEFG", [FIFTH] * 5),
        ("L:1/8\n(5CDEFG A", [*[FIFTH] * 5, 0.5]),
        ("M:6/8\nL:1/8\n(5CDEFG", [pytest.approx(0.3)] * 5),
        ("L:1/8\n(12:8:12CDEFGABcdefg", [THIRD] * 12),
        ("L:1/8\n(3::2CD E", [THIRD, THIRD, 0.5]),
        ("L:1/8\n(3[CE]zD E", [THIRD, THIRD, THIRD, 0.5]),
        ("C [L:1/8] C", [1, 0.5]),
        ("C\nL:1/16\nC", [1, 0.25]),
        ("[C2E2]3", [6, 6]),
        ("[C2E4]D", [2, 4, 1]),  # the next note begins when the first one ends
        ("[CE]/ D", [0.5, 0.5, 1]),
        ("C2-C2", [4]),
        ("C3-|C", [4]),
        ("C2-D2", [2, 2]),
        ("[CE-G] E", [1, 2, 1]),
        ("[CE]2-[CE]2", [4, 4]),
        ("[C2-E2-] [C2E2]", [4, 4]),
        ("C-C-\nC", [3]),
        ("C -C", [2]),
    ],
)
def test_lengths(tune, music, expected):
    said = {"grace notes": 1} if "{" in music else None
    found = sorted(notes(tune(music, said).tracks[0]), key=lambda note: (note[0], note[2]))
    assert [length for _, length, _ in found] == expected


@pytest.mark.parametrize(
    ("header", "length"),
    [
        ({"M": "4/4", "L": None}, 0.5),
        ({"M": "2/4", "L": None}, 0.25),
        ({"M": None, "L": None}, 0.5),
        ({"M": "none", "L": None}, 0.5),
        ({"M": "C|", "L": None}, 0.5),
        ({"L": "1"}, 4),
        ({"L": "1/512"}, 1 / 128),
    ],
)
def test_the_length_of_a_note_without_a_number(tune, header, length):
    assert notes(tune("C8", **header).tracks[0]) == [(0, 8 * length, 60)]


@pytest.mark.parametrize(
    ("rests", "quarters"),
    [("z4", 4), ("x4", 4), ("Z", 4), ("Z2", 8), ("X2", 8), ("Z2|z2 x2", 12), ("[M:3/4]Z4", 12), ("y z y2 z", 2)],
)
def test_rests(tune, rests, quarters):
    assert onsets(tune(f"C4|{rests}|C4|")) == [0, 4 + quarters]


def test_bars_of_rest_are_bars_in_every_voice(tune):
    score = tune("V:1\nC4|Z2|:E4:|\nV:2\nC,4|D,4|E,4|F,4|\n")
    assert onsets(score) == [0, 12, 16]
    assert pitches(score, 1) == [48, 50, 52, 53, 53]


@pytest.mark.parametrize(
    ("metre", "music", "expected"),
    [
        ("C", "C4|", ["4/4"]),
        ("C|", "C4|", ["2/2"]),
        ("2+3/8", "C5/2|D5/2|", ["5/8"]),
        ("(2+3+2)/8", "C7/2|", ["7/8"]),
        ("none", "CDEFG|", ["5/4"]),
        ("none", "CDEFG|CDE|CDE|", ["5/4", "3/4"]),
        (None, "CDE/|CDEF|", ["5/8", "4/4"]),
        ("3/4", "CDE|[M:none]CDEFG|", ["3/4", "5/4"]),
        ("3/4", "CDE|[M:2/4]CD|", ["3/4", "2/4"]),
        ("3/64", "C3/16|", ["3/64"]),
    ],
)
def test_metres(tune, metre, music, expected):
    assert [str(sign) for sign in tune(music, M=metre).time_signatures] == expected


# --- tempo ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "bpm"),
    [
        ("1/4=120", 120),
        ('"Allegro" 1/4 = 120', 120),
        ('3/8=50 "Slowly"', 75),
        ("5/8=40", 100),
        ("1/4 3/8=40", 100),
        ("1/4 3/8 1/4 3/8=40", 200),
        ("1/4=62.5", 62.5),
        ("120", 120),  # unit lengths, quarter notes here
        ("C2=60", 120),
        ("1/2=60", 120),
    ],
)
def test_tempos(tune, field, bpm):
    assert tune("CDEF|", Q=field).tempos == (Tempo(0, bpm),)


def test_tempos_in_words_and_absurd_ones(tune):
    for field in ('"Andante"', "1/0=3", "1/4=99999999", "0/4=60"):
        assert tune("CDEF|", {"tempos that are not understood": 1}, Q=field).tempos == ()


def test_tempos_change_where_they_are_written(tune):
    score = tune("CDEF|\nQ:1/4=60\nGABc|CD[Q:1/4=90]EF|", Q="1/4=120")
    assert score.tempos == (Tempo(0, 120.0), Tempo(4 * Q, 60.0), Tempo(10 * Q, 90.0))
    again = tune("|:CD[Q:1/4=90]EF:|", Q="1/4=120")
    assert [tempo.tick // Q for tempo in again.tempos] == [0, 2, 4, 6]
    below = tune("V:1\nCDEF|GABc|\nV:2\nC4|[Q:1/4=90]D4|\n", Q="1/4=120")
    assert below.tempos == (Tempo(0, 120.0), Tempo(4 * Q, 90.0)), "in a lower voice"


# --- voices -----------------------------------------------------------------------------------------------------------

VOICES = """X:1
M:3/4
L:1/4
Q:1/8=120
V:S name="Soprano"
V:B name="Bass" clef=bass
K:Bb clef=treble
V:S
|: "Bb"d2 e | [FAc]3 :| Z2 | "^slowly"B3 |]
V:B
|: B,3 | F,3 | x3 | z3 | B,,3 |]
"""


def test_voices_chords_and_rests(read):
    score = read(VOICES)
    assert [track.name for track in score.tracks] == ["Soprano", "Bass"]
    assert notes(score.tracks[0])[:5] == [(0, 2, 74), (2, 1, 75), (3, 3, 65), (3, 3, 69), (3, 3, 72)]
    assert notes(score.tracks[0])[-1] == (18, 3, 70)
    assert pitches(score, 1)[-1] == 46
    assert score.tempos == (Tempo(0, 60.0),)
    assert {(chord.tick, chord.text) for chord in score.chords} == {(0, "Bb"), (6 * Q, "Bb")}


@pytest.mark.parametrize(
    "body",
    [
        "[V:1]CDEF|[V:2]C,4|[V:1]GABc|[V:2]G,4|",
        "[V:1]CDEF|\n[V:2]C,4|\n[V:1]GABc|\n[V:2]G,4|",
        "V:1\nCDEF|GABc|\nV:2\nC,4|G,4|",
        "CDEF|GABc|\nV:2\nC,4|G,4|",  # music before any voice is that of the first
        "V:1\n!mf!CDEF|GABc|\nV:2 clef=bass octave=-1\nC4|G4|",
        "V:1\nCDEF|\\\nGABc|\nV:2 transpose=-12\nC4|G4|",
        "V:1 bass-8\ncdef|gabc'|\nV:2\nC,4|G,4|",
        "V:1\nCDEF|GABc|\nV:2\nC,4|[V:1] [V:2] G,4|",
        "V:1\nCDEF|GABc|\nV:2\nC,8|",  # bars are not needed in every voice
    ],
)
def test_voices_sound_together(tune, body):
    score = tune(body)
    assert pitches(score) == [60, 62, 64, 65, 67, 69, 71, 72]
    assert [round(onset) for onset in onsets(score, 1)] in ([0, 4], [0])
    assert pitches(score, 1) in ([48, 55], [48])


def test_repeats_stand_in_one_voice_alone(tune):
    score = tune("V:1\nCDEF|GABc|\nV:2\n|:C,4|G,4:|\n")
    assert onsets(score) == list(range(16))
    assert onsets(score, 1) == [0, 4, 8, 12]


def test_a_bar_that_is_short_in_one_voice_puts_the_others_out_of_step_in_no_other(tune):
    assert onsets(tune("V:1\nCDEF|GABc|\nV:2\nC,3|G,4|\nV:3\nC,4|G,4|\n"), 1) == [0, 4]


def test_a_field_before_the_first_voice_is_for_all(tune):
    score = tune("K:D\n%%MIDI program 5\nV:1\nF4|\nV:2\n%%MIDI program 6\nF,4|\n", {"changes of instrument": 1})
    assert [pitches(score, 0), pitches(score, 1)] == [[66], [54]]
    only = tune("V:1\n[K:D]F4|\nV:2\nF,4|\n")
    assert [pitches(only, 0), pitches(only, 1)] == [[66], [53]]


@pytest.mark.parametrize(
    ("header", "body", "programs"),
    [
        ({"I": "MIDI program 40"}, "C4|", [40]),
        ({}, "%%MIDI program 40\nC4|", [40]),
        ({}, "V:1\n%%MIDI program 40\nC4|\nV:2\n%%MIDI program 41\nC4|", [40, 41]),
        ({}, "V:1\n[I:MIDI program 40]C4|\nV:2\nC4|", [40, 0]),
        ({"I": "MIDI program 2 41"}, "V:1\nC4|\nV:2\nC4|", [0, 41]),
        ({"I": "MIDI voice 2 instrument=59 bank=1"}, "V:1\nC4|\nV:2\nC4|", [0, 58]),
        ({}, "V:1\n%%MIDI voice instrument=1\nC4|", [0]),
    ],
)
def test_instruments(tune, header, body, programs):
    assert [track.program for track in tune(body, **header).tracks] == programs


def test_drums(tune):
    score = tune(
        "V:1\nC4|\nV:2 perc\nC,,EC,,E|\nV:3\n%%MIDI channel 10\n%%MIDI drummap F 38\n%%MIDI drummap ^g 42\nF^g|\n"
    )
    assert [track.is_drum for track in score.tracks] == [False, True, True]
    assert [pitches(score, 1), pitches(score, 2)] == [[36, 64, 36, 64], [38, 42]]


def test_voices_of_one_player_are_one_track(tune):
    body = "V:1\nc4|\nV:2\nG4|\nV:3\nC,4|\nV:4\nF4|\n"
    names = {"V": 'RH\nV:1 name="Piano"\nV:2\nV:3\nV:4 nm="Flute"'}
    together = tune("%%score {(1 2) 3} 4\n" + body, **names)
    assert [(track.name, sorted(pitches(together, number))) for number, track in enumerate(together.tracks)] == [
        ("Piano", [48, 67, 72]),
        ("Flute", [65]),
    ]
    assert len(tune("%%score (1 2) (3 4)\n" + body).tracks) == 4, "none has a name"
    assert len(tune(body, **names).tracks) == 4


@pytest.mark.parametrize(
    ("music", "expected"),
    [
        ("CDEF & C,4|G4|", [(0, 48), (0, 60), (1, 62), (2, 64), (3, 65), (4, 67)]),
        ("C4 & E4 & G4|c4|", [(0, 60), (0, 64), (0, 67), (4, 72)]),
        ("C4|D4|\n&& E4|F4|\nG4|", [(0, 60), (0, 64), (4, 62), (4, 65), (8, 67)]),
        ("^F2 F2 & F4|", [(0, 65), (0, 66), (2, 66)]),  # accidentals are those of the layer
        ("|:C4 & E4:|", [(0, 60), (0, 64), (4, 60), (4, 64)]),
        ("C4- & E4|C4|", [(0, 60), (0, 64)]),
        ("& C4|", [(0, 60)]),
    ],
)
def test_overlays(tune, music, expected):
    score = tune(music)
    assert sorted(zip(onsets(score), pitches(score), strict=True)) == expected


# --- repeats, jumps and parts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("music", "expected"),
    [
        ("C4|D4:|E4|]", "CDCDE"),
        ("|:C4|D4:|:E4:|F4|]", "CDCDEEF"),
        ("C4|D4::E4:|", "CDCDEE"),
        ("C4:||:D4:|", "CCDD"),
        ("|:C4|1D4:|2E4|]F4|]", "CDCEF"),
        ("|:C4|[1D4:|[2E4|]", "CDCE"),
        ("|:C4|1 D4|E4:|2 F4|G4|]A4|]", "CDECFGA"),
        ("|:C4|1,3D4:|2E4:|", "CDCECD"),
        ("|:C4|1-3D4:|4E4:|", "CDCDCDCE"),
        ("|:C4|1D4|2E4|]", "CDCE"),  # without a sign
        ("|::C4|D4::|E4|]", "CDCDCDE"),
        ("|:::C4:::|", "CCCC"),
        ("|:C4::|D4|]", "CCCD"),
        ("C4||D4:|", "CDD"),  # from the double bar line
        ("|:C4||D4:|", "CDCD"),  # from the sign
        ("C4|]D4:|E4:|", "CDDEE"),
        ("|: :|C4|", "C"),
        (":|C4|D4|:", "CD"),
        ('|:C4|["1."D4:|["2."E4|]', "CDCE"),
    ],
)
def test_repeats(tune, music, expected):
    assert letters(tune(music)) == expected


@pytest.mark.parametrize(
    ("music", "expected"),
    [
        ("C4!fine!|D4!D.C.alfine!|", "CDC"),
        ("C4|!fine!D4|E4!D.C.!|]", "CDECD"),
        ("C4!fine!|D4|]!D.C.!", "CDC"),
        ('C4"^Fine"|D4"_D.C. al Fine"|]', "CDC"),
        ('C4 "Fine"|D4|]"D.C."\n', "CDC"),
        ("C4 !fine!|\nD4|\n!D.C.!E4|]", "CDEC"),
        ("C4|D4 !D.C.!|", "CDCD"),
        ("C4|!segno!D4|E4!D.S.!|]", "CDEDE"),
        ("C4|SD4|E4!fine!|F4!D.S.alfine!|]", "CDEFDE"),
        ("C4!dacoda!|D4!D.C.!|!coda!E4|]", "CDCE"),
        ("C4!coda!|D4!D.C.alcoda!|!coda!E4|]", "CDCE"),
        ("C4|OD4|E4!D.C.!|OF4|]", "CDECF"),
        ("!segno!C4|D4!tocoda!|E4!D.S.alcoda!|!coda!F4|]", "CDECDF"),
        ("|:C4:|D4!fine!|E4!D.C.!|]", "CCDECD"),
        ("C4!fine!|!D.C. al Fine!D4|", "CDC"),
        ("C4!fine!|D4!coda!|E4|]", "CDE"),  # nothing jumps
    ],
)
def test_jumps(tune, music, expected):
    assert letters(tune(music)) == expected


def test_a_jump_that_leads_nowhere_is_said(tune):
    assert letters(tune("C4|D4!D.S.!|", {"jumps to a sign that is not there": 1})) == "CD"


@pytest.mark.parametrize(
    ("order", "body", "expected", "said"),
    [
        ("ABA", "P:A\nC4|\nP:B\nD4|", "CDC", {}),
        ("A2B", "P:A\nC4|\nP:B\nD4|", "CCD", {}),
        ("(AB)2.C", "[P:A]C4|[P:B]D4|[P:C]E4|", "CDCDE", {}),
        ("((AB)2A)2", "[P:A]C4|[P:B]D4|", "CDCDC" * 2, {}),
        ("AB", "P:A\n|:C4:|\nP:B\nD4|1E4:|2F4|]", "CCDEDF", {}),
        ("BA", "G4|\nP:A\nC4|\nP:B\nD4|", "GDC", {}),  # what stands before the first
        ("AXB", "P:A\nC4|\nP:B\nD4|", "CD", {"parts that the P: field asks for in vain": 1}),
        ("AABB", "|:C4:|D4:|", "CCDD", {}),  # a tune without parts
        ("Modern version.", "C4|D4|", "CD", {}),
        ("AB", "V:1\nP:A\nC4|\nP:B\nD4|\nV:2\nE4|F4|", "CD", {}),
    ],
)
def test_the_order_of_parts(tune, order, body, expected, said):
    assert letters(tune(body, said, P=order)) == expected


def test_parts_are_markers_where_nothing_says_their_order(tune):
    score = tune("P:A\nC4|D4|\n[P:Verse \\u005b2\\u005d]E2 [P:Chorus]F2|")
    assert score.markers == (Text(0, "A"), Text(8 * Q, "Verse [2]"), Text(10 * Q, "Chorus"))
    assert [mark.tick // Q for mark in tune("P:A\nC4|\nP:B\nD4|", P="ABA").markers] == [0, 4, 8]


# --- above the music --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "chord"),
    [
        ("Am", "Am"),
        ("F#m7b5", "F#m7b5"),
        ("Bb/D", "Bb/D"),
        ("D/f#", "D/f#"),
        ("G(Em)", "G"),
        ("Cm(maj7)", "Cm(maj7)"),
        ("C7(b9)", "C7(b9)"),
        ("Am;slowly", "Am"),
        ("B\u266dmaj7", "Bbmaj7"),
        ("Esus4", "Esus4"),
        ("C°", "C°"),
    ],
)
def test_chord_symbols(tune, text, chord):
    assert tune(f'C2"{text}"D2|').chords == (ChordSymbol(2 * Q, chord),)


def test_texts_that_are_no_chord_symbols(tune):
    assert tune('"^Am"C "_D"D "<4"E ">x"F "@1,2 G"G|').chords == ()
    said = {"unknown chord symbols": 3}
    assert tune('C "1st time"D "Allegro"E "H7"F|', said).chords == ()


@pytest.mark.parametrize(
    ("music", "said"),
    [
        ("{gab}C{/d}D", {"grace notes": 4}),
        ("TC ~D !turn!E !arpeggio![CE]", {"ornaments": 4}),
        (".C .D HE !>!F !tenuto!G", {"accents, staccato dots and fermatas": 5}),
        ("!crescendo(!C!crescendo)!D", {"crescendos and diminuendos": 2}),
        ("!8va(!c!8va)!d", {"octave marks": 2}),
        ("!blah!C +foo+D", {"unknown decorations": 2}),
        ("C hD", {"signs without a meaning": 1}),
        ("@C #D* E; F?", {"signs without a meaning": 5}),
        ("CD|\nw:la la\nw:lo lo\n+:lo\nEF|\nw:\nW:The end", {"lines of lyrics": 3}),
        ("CDEF|\ns: !f! * !p! *", {"lines of symbols": 1}),
        ("%%MIDI gchord ff\nC|[I:MIDI beat 80 70 60 4]D", {"%%MIDI lines": 2}),
        ("V:1 sound=Bb\nC", {"transpositions and instruments of other programs": 1}),
        ("(CDE) uFvG !1!A !upbow!B y C`D .(EF)|$", {}),  # what nobody hears
        ("%%scale 0.7\nI:papersize A4\nC[I:setbarnb 10]D[r:remark]E.|F", {}),
        ("N:x\nR:reel\nC", {}),
    ],
)
def test_what_is_left_out_is_said(tune, music, said):
    assert tune(music, said).note_count


def test_dynamics_are_velocities(tune):
    score = tune("V:1\nC!p!DE!ff!F|\nV:2\nG!mp!A|\n")
    assert [int(v) for v in score.tracks[0].notes["velocity"]] == [80, 60, 60, 120]


@pytest.mark.parametrize(
    ("music", "expected"),
    [
        ("m: ~G2 = {A}GF\n~G2 ~G3 ~A2", "GFGA"),
        ("m: ~n2 = n/o/n/m/\n~C2 ~e2", "CDCBefed"),
        ("m: Q = CD\nQEQ", "CDECD"),
        ("U: T = !fine!\nC4T|D4!D.C.!|", "CDC"),
        ('U: p = "^+"\npCD', "CD"),
        ("U: T = !nil!\nTC", "C"),
    ],
)
def test_macros_and_symbols_of_ones_own(tune, music, expected):
    header, _, rest = music.partition("\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReadingWarning)
        letter, value = header.split(":", 1)
        score = tune(rest, {"grace notes": 1, "ornaments": 2} if "{" in music else None, **{letter: value})
    found = [p % 12 for p in pitches(score)]
    assert found == [{"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[letter.upper()] for letter in expected]


@pytest.mark.parametrize(
    ("music", "expected", "header"),
    [
        ("CD!EF!GA", "CDEFGA", {"I": "linebreak !"}),
        ("CD!\nEF|!GA|!", "CDEFGA", {}),
        ("+CEG+D", "CEGD", {}),
        ("+trill+CD", "CD", {"said": {"ornaments": 1}}),
    ],
)
def test_outdated_signs(tune, music, expected, header):
    said = header.pop("said", None)
    assert letters(tune(music, said, **header)) == expected


# --- books ------------------------------------------------------------------------------------------------------------

BOOK = """%abc-2.1
M:3/4
L:1/4

A word on this book.

X:1
T:One
K:C
CDE|

and a text, | with a bar line

X:12
T:Two
M:4/4
K:H
CDEF|

X:7
T:Three
K:G
GAB|{a}c3|
"""


def test_a_book_is_as_many_pieces(tmp_path):
    (tmp_path / "book.abc").write_text(BOOK)
    reader = NotationReader()
    assert isinstance(reader, HasPieces)
    with pytest.warns(LeftOutWarning, match=r"book\.abc#3: left out: grace notes \(1\)\."):
        found = dict(reader.read_pieces(tmp_path / "book.abc"))
    assert [found[name].title for name in ("1", "3")] == ["One", "Three"]
    assert found["1"].time_signatures == (TimeSignature(0, 3, 4),)
    assert str(found["2"]) == f"{tmp_path}/book.abc#2: has an invalid key 'H'."
    with pytest.raises(UnreadableFile, match=r"book\.abc: holds 3 tunes; copy the one that you want"):
        reader(tmp_path / "book.abc")


def test_a_book_is_checked_tune_by_tune(tmp_path):
    (tmp_path / "book.abc").write_text(BOOK)
    found = [(finding.severity, finding.text) for finding in lint.check(tmp_path / "book.abc").findings]
    assert found == [("error", "#2: has an invalid key 'H'."), ("hint", "#3: left out: grace notes (1).")]


def test_a_file_of_one_tune_is_one_piece_without_a_name(tmp_path):
    (tmp_path / "a.abc").write_text(ABC)
    assert [name for name, _ in NotationReader().read_pieces(tmp_path / "a.abc")] == [""]
    (tmp_path / "a.abc").write_text("a diary")
    with pytest.raises(UnreadableFile, match="is not ABC"):
        list(NotationReader().read_pieces(tmp_path / "a.abc"))


def test_a_folder_counts_each_tune_of_a_book(tmp_path):
    (tmp_path / "book.abc").write_text(BOOK)
    (tmp_path / "one.abc").write_text(ABC)
    (tmp_path / "none.abc").write_text("a diary")
    folder = Folder(str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeftOutWarning)
        found = {name: piece for source in folder.list_sources() for name, piece in folder.read(source)}
    assert [name for name, piece in found.items() if isinstance(piece, Score)] == [
        "book.abc#1",
        "book.abc#3",
        "one.abc",
    ]
    assert sorted(found) == ["book.abc#1", "book.abc#2", "book.abc#3", "none.abc", "one.abc"]


# --- what is refused, and what takes no time --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b" " * (21 * 1024 * 1024), "larger than 20 MB"),
        ("a diary\n", "is not ABC"),
        ("", "is not ABC"),
        ("X:1\nK:C\n", "contains no notes"),
        ("X:1\nK:C\nz4|", "contains no notes"),
        ("X:1\nM:2999999/4\nK:C\nCDEF|", "has an invalid metre"),
        ("X:1\nK:C\nCD what?\n", "'what\\?' where a note was expected"),
        ("X:1\nK:C\n[CEG|", r"has a chord that is never closed, '\[CEG\|'"),
        ("X:1\nK:C\n[C2A2A2A2A2A2A2A2A2A2A2A2A2A2A2A2A2A2A2A2A2A2A2A2A2A2A2A2A2A2|", "never closed"),
        ("X:1\nK:C\n[~]C", "where a chord was expected"),
        ('X:1\nK:C\n"Am CDEF|', "without its closing quotation mark"),
        ("X:1\nK:H\nC", "has an invalid key 'H'"),
        ("X:1\nL:0/8\nK:C\nC", "has an invalid unit length"),
        ("X:1\nK:C\nC/0", "has an invalid length '/0'"),
        ("X:1\nK:C\nC99999999999", "has an invalid length"),
        ("X:1\nK:C\nC/997", "has an invalid length '/997'"),
        ("X:1\nK:C\nC////////////////", "has an invalid length"),
        ("X:1\nK:C\nc" + 6 * "'", "out of range"),
        ("X:1\nK:C\n>C", "without a note before it"),
        ("X:1\nK:C\n(1C", "has an invalid tuplet"),
        ("X:1\nK:C\nC|Z999999|", "has a rest of 999,999 bars"),
        ("X:1\nK:C\nC|Z9999999|", "has a rest of '9999999' bars"),
        ("X:1\nL:1\nK:C\n" + "C999999|" * 200, "more than 100,000 bars"),
        ("X:1\nP:((((A9)9)9)9)9\nK:C\nP:A\nC", "plays more than 1,000 parts"),
        ("X:1\nP:A999\nK:C\nP:A\n" + "C|" * 60, "longer than 50,000 measures"),
        ("X:1\nK:C\n" + "".join(f"V:{n}\nC|\n" for n in range(1_001)), "has 1,001 voices"),
        ("X:1\nK:C\n" + "C" * (MOST_SYMBOLS + 1), "more than 200,000 notes and signs"),
        ("X:1\nK:C\n|:" + "C" * 60_000 + "::::::::|", "when its repeats are played"),
        ("X:1\nK:C\n" + "|:".join("C|" * 5_000 for _ in range(12)), "more than 50,000 measures"),
        (
            "X:1\nK:C\n" + "C|" * 4_000 + "\n" + "".join(f"V:{n}\nC|\n" for n in range(300)),
            "at most 1,000,000 in all",
        ),
    ],
)
def test_what_is_refused_in_one_sentence(read, text, reason):
    began = time.process_time()
    with pytest.raises(UnreadableFile, match=rf"piece\.abc: [^\n]*{reason}[^\n]*\.$"):
        read(text)
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    "music",
    [
        '["x"' * 20_000,
        "[V:" * 20_000,
        "[M:" * 20_000,
        '"' * 20_001,
        "{" * 20_000,
        "!" * 20_000 + "C",
        "!a" * 20_000 + "C",
        "+C" * 20_000,
        "=" * 20_000,
        "(" * 20_000 + "C",
        "[" * 20_000,
        "C" + "/" * 20_000,
        "^" * 20_000,
        "&" * 20_000 + "C",
        "C & " * 20_000,
        "|:" * 20_000 + "C",
        "|[1C" * 5_000 + ":|",
        "c/|" * 4_000,
        "%%begintext\n" * 5_000 + "C",
        "%%begina\n%%beginb\n" * 5_000 + "C",
        "m:a=b\n" * 5_000 + "C",
        "(" * 50 + "99:99:99C" * 200,
        "C-" * 20_000,
        "[C-E-G-]" * 4_000,
        "\n".join(f"[V:{n % 900}]C|" for n in range(5_000)),
        "P:A\nC|\n" * 5_000,
        "K:D\nK:C\n" * 5_000 + "C",
        "Z50|C|" * 200,
        "!segno!C!D.S.!|" * 5_000,
        "!D.C.!C|" * 200,
        '"Am"' * 20_000 + "C",
    ],
    ids=lambda music: f"{music[:12]!r} {len(music)}",
)
def test_nothing_takes_long(tmp_path, music):
    path = tmp_path / "piece.abc"
    path.write_text(f"X:1\nM:64/1\nL:1/64\nV:1\nK:C\n{music}\n")
    began = time.process_time()
    with suppress(UnreadableFile), warnings.catch_warnings():
        warnings.simplefilter("ignore", ReadingWarning)
        NotationReader()(path)
    assert time.process_time() - began < 10


def test_many_tunes_are_read_one_by_one(tmp_path):
    (tmp_path / "book.abc").write_text("X:1\nK:C\nC|\n\n" * 100_000)
    found = NotationReader().read_pieces(tmp_path / "book.abc")
    began = time.process_time()
    assert [next(found)[0] for _ in range(3)] == ["1", "2", "3"]
    assert time.process_time() - began < 10
    with pytest.raises(UnreadableFile, match="holds 100,000 tunes"):
        NotationReader()(tmp_path / "book.abc")


ODD = """X:1
P:A(BC)2
M:2+3/8
L:1/8
Q:"x" 1/8 3/8=40
m:~n2=n/o/n/m/
U:T=!trill!
K:D phr ^f clef=bass-8
[P:A]"Am"~C2 (3[CE-G]E/F>G|[1 A2-A2:|[2 {ga}z4|]
P:B
!p!C4&E4|Z2|X|
[P:C][V:1][I:MIDI program 3]c4!D.C.!|]
"""
ODDER = """X:1
K:none
V:1 octave=1
V:2 perc
%%score {1 2}
%%MIDI program 5
V:1
|::C2!segno!^/D2::|\\
+CE+F2|
V:2
Z4|
w:la la
+:lo
s:!f!
%%begintext
x
%%endtext
V:1
(12:8:12CDEFGABcdefg!D.S.!||
"""
SEEDS = [ABC, VOICES, BOOK.replace("X:12", "%").replace("X:7", "%"), ODD, ODDER]
SIGNS = '|:[](){}!"&+-<>=^_/0189zZX%\\\nVKMLQPIma'
WORDS = ["999999", "\n\n", "\nX:2\n", "[1", ":|", "|:", "\nV:2\n", "Z9999", "(9"]


def mutated(choose):
    """A tune with some characters changed, left out, written twice or moved."""
    text = choose.choice(SEEDS)
    for _ in range(choose.randint(1, 12)):
        place, length = choose.randrange(len(text)), choose.randint(1, 8)
        piece = text[place : place + length]
        match choose.randrange(5):
            case 0:
                text = text[:place] + text[place + length :]
            case 1:
                text = text[:place] + piece * choose.choice([2, 3, 50]) + text[place:]
            case 2:
                text = text[:place] + choose.choice('|:[](){}!"&+-<>=^_/0189zZX%\\\nVKMLQPIma') + text[place + 1 :]
            case 3:
                other = choose.choice(SEEDS)
                at = choose.randrange(len(other))
                text = text[:place] + other[at : at + 40] + text[place:]
            case _:
                text = text[:place] + choose.choice(WORDS) + text[place:]
    return text


def is_read_or_refused(path):
    """Whether a file is read; else the error must be one sentence."""
    try:
        return NotationReader()(path).note_count > 0
    except UnreadableFile as error:
        sentence = str(error)
    assert re.fullmatch(r"[^\n]+\.", sentence), path.read_text()
    return False


def read_mutants(tmp_path, count, seed):
    """How many of so many mutated tunes are read; none takes long, and each is read or refused in a sentence."""
    choose, kept = random.Random(seed), 0
    path = tmp_path / "mutant.abc"
    for _ in range(count):
        path.write_text(mutated(choose), encoding="utf-8")
        began = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReadingWarning)
            kept += is_read_or_refused(path)
        assert time.process_time() - began < 10, path.read_text()
    return kept


def test_a_damaged_tune_is_read_or_refused(tmp_path):
    with suppress(UnreadableFile):
        assert read_mutants(tmp_path, 200, seed=1) > 20


@pytest.mark.soak
def test_five_thousand_damaged_tunes_are_read_or_refused(tmp_path):
    import resource

    assert read_mutants(tmp_path, 5_000, seed=2) > 500
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2**20, "kilobytes: a gigabyte"


# --- what we write we read --------------------------------------------------------------------------------------------

METRES = [(4, 4), (3, 4), (6, 8), (2, 4), (5, 4), (7, 8), (3, 8), (12, 8), (2, 2), (9, 8)]
TEXTS = ["A", "Verse 1", 'Chorus [x] "y" 50% \\o/', "a:b|c", "Å & é", "A&amp;B", "[V:2]"]
CHORDS = ["Am", "C7", "F#m7b5", "Bb", "D/F#", "G(maj7)", "Esus4"]


def random_bars(choose):
    """(start, end, metre) of each bar; the first may be an upbeat."""
    metre = choose.choice(METRES)
    upbeat = choose.choice([0, 0, 240])
    bars = [(0, upbeat, metre)] if upbeat else []
    for _ in range(choose.randint(1, 8)):
        metre = choose.choice(METRES) if choose.random() < 0.2 else metre
        start = bars[-1][1] if bars else 0
        bars.append((start, start + 1920 * metre[0] // metre[1], metre))
    return bars


def random_track(choose, bars):
    """Notes that lie on the grid or in triplets of a quarter, no pitch twice at once; the last one ends the piece."""
    end, middle, tick, rows = bars[-1][1], choose.randint(40, 80), 0, []
    overlap, program = choose.random() < 0.3, choose.choice([0, 0, 24, 40, 52, 73])
    is_plain = overlap or program == 0  # a piano may share a triplet between its staves
    triplets = {start for start, stop, (_, unit) in bars if unit == 4 and stop - start >= 480 and not is_plain}
    while tick < end:
        if tick in triplets and choose.random() < 0.5:
            rows += [(tick + 160 * i, 160, middle + choose.randint(-9, 9), 80) for i in range(3)]
            tick += 480
            continue
        length = choose.choice([60, 120, 240, 240, 480, 480, 720, 960, 1920, 2400])
        chord = {middle + choose.randint(-12, 12) for _ in range(choose.choice([0, 1, 1, 1, 2, 3]))}
        rows += [(tick, min(length, end - tick), pitch, 80) for pitch in chord]
        tick += choose.choice([120, 240, 480]) if overlap else length
    kept = []
    for row in sorted(rows):
        if not any(other[2] == row[2] and other[0] + other[1] > row[0] for other in kept):
            kept.append(row)
    kept = [(start, min(length, end - 60 - start), *others) for start, length, *others in kept if start < end - 60]
    rows = make_notes([*kept, (end - 60, 60, middle, 80)])
    return Track(rows, choose.choice(["Flute", *TEXTS]), program)


def random_score(seed):
    """A score of what ABC can hold: marks lie where a 16th may begin, and outside triplets."""
    choose = random.Random(seed)
    bars = random_bars(choose)
    tracks = tuple(random_track(choose, bars) for _ in range(choose.choice([1, 1, 2, 3])))
    thirds = [int(tick) for track in tracks for tick in track.notes["start"] if tick % 60]
    free = [t for a, b, _ in bars for t in range(a, b, 120) if all(abs(t - third) > 320 for third in thirds)]

    def some(most):
        return sorted({choose.choice(free or [0]) for _ in range(choose.randint(0, most))})

    def changes(ticks, values):
        found = [(tick, choose.choice(values)) for tick in ticks]
        return [mark for place, mark in enumerate(found) if not place or mark[1] != found[place - 1][1]]

    keys = changes([0, *(start for start, _, _ in bars[1:] if choose.random() < 0.15)], ALL_KEYS)
    return Score(
        tracks,
        tuple(Tempo(tick, float(bpm)) for tick, bpm in changes(some(5), range(30, 240))),
        tuple(TimeSignature(*mark) for mark in metre_changes(bars)),
        tuple(KeySignature(*mark) for mark in keys),
        bars[0][1] if bars[0][1] == 240 else 0,
        tuple(Text(tick, choose.choice(TEXTS)) for tick in some(3)),
        tuple(ChordSymbol(tick, choose.choice(CHORDS)) for tick in some(5)),
        title=choose.choice(TEXTS),
    )


def metre_changes(bars):
    return [(start, *metre) for place, (start, _, metre) in enumerate(bars) if not place or metre != bars[place - 1][2]]


def check_written_and_read(path, seed):
    score = random_score(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ReadingWarning)
        formats.write([Piece(score)], path)
        read = NotationReader()(path)
    fields = ("tempos", "time_signatures", "key_signatures", "upbeat", "markers", "chords", "title")
    for field in fields:
        assert getattr(read, field) == getattr(score, field), (seed, field)
    has_names = "name=" in path.read_text()  # a tune of one voice names none
    assert read.tracks == (score.tracks if has_names else (replace(score.tracks[0], name=""),)), seed


def test_what_is_written_is_read_again(tmp_path):
    for seed in range(100):
        check_written_and_read(tmp_path / "piece.abc", seed)


@pytest.mark.soak
def test_whatever_is_written_is_read_again(tmp_path):
    for seed in range(100, 5_000):
        check_written_and_read(tmp_path / "piece.abc", seed)


WHOLE_NOTE = Score((Track(make_notes([(0, 1920, 60, 80)])),), time_signatures=(TimeSignature(0, 4, 4),))


def test_a_change_of_tempo_inside_a_note_stays_where_it_is(tmp_path):
    long = Score(
        (Track(make_notes([(0, 1920, 60, 80)])),), (Tempo(0, 120.0), Tempo(960, 60.0)), (TimeSignature(0, 4, 4),)
    )
    formats.write([Piece(long)], tmp_path / "piece.abc")
    assert "C4- [Q:1/4=60]C4 |]" in (tmp_path / "piece.abc").read_text()
    read = NotationReader()(tmp_path / "piece.abc")
    assert (notes(read.tracks[0]), read.tempos) == ([(0, 4, 60)], long.tempos)


def test_loudness_is_said_to_be_left_out(tmp_path):
    loud = Score((Track(make_notes([(0, 480, 60, 80), (480, 480, 62, 100), (960, 480, 64, 100)])),))
    with pytest.warns(LeftOutWarning, match=r"piece\.abc: left out: changes of loudness \(1\)"):
        formats.write([Piece(loud)], tmp_path / "piece.abc")


def test_a_text_that_is_no_chord_symbol_is_written_as_a_remark(tmp_path):
    odd = Score(
        (Track(make_notes([(0, 1920, 60, 80)])),),
        chords=(ChordSymbol(0, "tacet"),),
        time_signatures=(TimeSignature(0, 4, 4),),
    )
    formats.write([Piece(odd)], tmp_path / "piece.abc")
    assert '"^tacet"C8 |]' in (tmp_path / "piece.abc").read_text()


def test_nothing_unseen_is_written(tmp_path):
    unseen = "a\u202eb\u0007\ud800c\u2066d\u2028e\x85f\x9bg"
    track, texts = replace(WHOLE_NOTE.tracks[0], name=unseen), (Text(0, unseen),)
    score = replace(WHOLE_NOTE, tracks=(track, track), chords=texts, markers=texts, title=unseen)
    formats.write([Piece(score)], tmp_path / "x.abc")
    text = (tmp_path / "x.abc").read_text()
    assert "T:ab cd e f g\n" in text
    assert all(c.isprintable() or c == "\n" for c in text)
