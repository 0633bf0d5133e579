"""Scores written down: what a musician expects on the page, and the same music when the page is read again."""

import random
import warnings
import zipfile
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from music import BAR, QUARTER, drums, line, score

from composer.errors import CannotWrite, ReadingWarning
from composer.io import formats
from composer.music.keys import LETTERS, parse_key
from composer.music.score import END, ChordSymbol, KeySignature, Score, Tempo, Text, TimeSignature, Track, make_notes
from composer.types import Piece
from composer_notation.reader import NotationReader
from composer_notation.writing.exporters import AbcExporter, MusicXmlExporter
from composer_notation.writing.pages import lay_out
from composer_notation.writing.rhythm import Event, Measure, find_beams, write_symbols
from composer_notation.writing.spelling import Spelled, spell

THIRD = Fraction(1, 3)


def chord_line(*rows):
    """A track of (quarter, quarters, pitch)."""
    return Track(make_notes([(int(a * QUARTER), int(b * QUARTER), pitch, 80) for a, b, pitch in rows]), "Piano", 0)


SATB = tuple(
    line(*((pitch, length) for length in (1, 2, 1, 0.5, 0.5, 2, 1)), name=name, program=52)
    for name, pitch in (("Soprano", 72), ("Alto", 65), ("Tenor", 57), ("Bass", 48))
)
PIECES = {
    "an upbeat": score(line((67, 1), (72, 2), (71, 1), (72, 4)), upbeat=QUARTER, key="Dm"),
    "a chorale with an upbeat": score(*SATB, upbeat=QUARTER, key="F"),
    "a chorale that rests": score(*(replace(t, notes=t.notes[[0, -1]]) for t in SATB)),
    "ties over bar lines": score(line((60, 3), (62, 6.5), (64, 7.75), (65, 0.25))),
    "ties inside bars": score(line((60, 0.75), (62, 1.5), (64, 0.5), (65, 1.25), (60, 2.5), (62, 1.5))),
    "triplets": score(line(*[(60 + i, THIRD) for i in range(3)], (60, 1), (62, 2 * THIRD), (64, THIRD), (65, 1))),
    "triplets of quarters": score(line(*[(60 + i, 2 * THIRD) for i in range(6)])),
    "triplets of sixteenths": score(line(*[(60 + i, THIRD / 2) for i in range(3)], (60, 0.5), (62, 3))),
    "quintuplets": score(line((60, 1), *[(62 + i, Fraction(1, 5)) for i in range(5)], (60, 2))),
    "6/8": score(line((67, 0.5), (72, 1), (71, 0.5), (69, 1.5), (67, 3)), metres=((0, 6, 8),), upbeat=240),
    "triplets in 6/8": score(line((67, 1.5), *[(60 + i, THIRD / 2) for i in range(3)], (67, 1)), metres=((0, 6, 8),)),
    "5/4 and 7/8": score(line((60, 5), (62, 3.5), (64, 1.5), (65, 2)), metres=((0, 5, 4), (5 * QUARTER, 7, 8))),
    "another metre and key": replace(
        score(line(*[(60 + i, 1) for i in range(14)]), metres=((0, 4, 4), (BAR, 3, 4), (BAR + 4320, 2, 2))),
        key_signatures=(KeySignature(0, parse_key("Eb")), KeySignature(BAR, parse_key("F#m"))),
    ),
    "drums beside a flute": score(drums((0, 36), (0, 42), (0.5, 42), (1, 38), (2, 36), (3, 38)), line((72, 4))),
    "a keyboard": score(chord_line((0, 4, 43), (0, 1, 60), (0, 1, 64), (1, 3, 62), (1, 2, 71), (3, 1, 72), (4, 4, 48))),
    "three that overlap": score(chord_line((0, 4, 60), (0.5, 2, 64), (1, 1, 67), (3, 1.5, 65))),
    "one pitch twice at once": score(chord_line((0, 4, 60), (0, 2, 60))),
    "64ths": score(line((60, 1 / 16), (62, 1 / 16), (64, 0.125), (65, 0.75), (67, 3))),
    "a silent track": score(line((60, 4), name="One"), Track(make_notes([]), "Two", 40)),
    "silence": score(line((60, 1), (0, 11), (62, 1), (0, 0.5), (62, 0.25))),
    "no signatures": Score((line((57, 1), (59, 1), (60, 1), (64, 1), (57, 4)),)),
    "loud and soft": score(line((60, 2), velocity=31), line((64, 2), velocity=127)),
}


@pytest.fixture
def written(tmp_path):
    """Writes a score, without a warning, and gives the path."""

    def write(music, suffix=".musicxml", provenance=None, **options):
        path = tmp_path / f"piece{suffix}"
        with warnings.catch_warnings():
            warnings.simplefilter("error", ReadingWarning)
            formats.write([Piece(music, provenance or {})], path, **options)
        return path

    return write


@pytest.fixture
def page(written):
    """Writes a score as MusicXML and gives its elements."""
    return lambda music, **options: ElementTree.parse(written(music, **options)).getroot()


def rows(track, *, drums_too=True):
    kept = ("start", "pitch") if track.is_drum and drums_too else ("start", "duration", "pitch")
    return [tuple(int(note[name]) for name in kept) for note in track.notes]


# --- read again -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("music", PIECES.values(), ids=PIECES)
def test_a_score_is_read_again_as_it_was(written, music):
    read = NotationReader()(written(music))
    assert [sorted(rows(track)) for track in read.tracks] == [sorted(rows(track)) for track in music.tracks]
    told = [(track.name, track.program, track.is_drum) for track in music.tracks]
    assert [(track.name, track.program, track.is_drum) for track in read.tracks] == told
    assert [n["velocity"] for t in read.tracks if not t.is_drum for n in t.notes] == [
        n["velocity"] for t in music.tracks if not t.is_drum for n in t.notes
    ]
    assert read.upbeat == music.upbeat
    assert read.time_signatures == (music.time_signatures or (TimeSignature(0, 4, 4),))
    assert read.key_signatures == (music.key_signatures or (KeySignature(0, parse_key("Am")),))


@pytest.mark.parametrize("name", ["a chorale with an upbeat", "triplets", "6/8", "another metre and key", "a keyboard"])
def test_music21_reads_the_same(written, name):
    from music21 import converter

    music = PIECES[name]
    stream = converter.parse(written(music), forceSource=True)
    heard = {
        (float(n.offset), float(n.quarterLength), pitch.midi)
        for part in stream.parts
        for n in part.flatten().stripTies().notes
        for pitch in n.pitches
    }
    meant = {(s / QUARTER, d / QUARTER, p) for track in music.tracks for s, d, p in rows(track)}
    assert {(round(a, 4), round(b, 4), c) for a, b, c in heard} == {(round(a, 4), round(b, 4), c) for a, b, c in meant}
    measures = list(stream.parts[0].getElementsByClass("Measure"))
    assert [m.number for m in measures] == list(range(0 if music.upbeat else 1, len(measures) + (not music.upbeat)))
    assert measures[0].highestTime * QUARTER == (music.upbeat or music.time_signatures[0].bar_ticks)
    signs = [str(m.timeSignature.ratioString) for m in measures if m.timeSignature]
    assert signs == [str(signature) for signature in music.time_signatures]
    keys = [m.keySignature for m in measures if m.keySignature]
    assert [k.sharps for k in keys] == [k.key.fifths for k in music.key_signatures]


@pytest.mark.parametrize(("model", "seeds"), [("chorales", (1, 4)), ("tunes", (7, 8))])
def test_what_the_models_write_is_read_again(written, model, seeds):
    from composer.generation.composer import open_model
    from composer.generation.generator import generate
    from composer.request import Request

    for piece in generate(open_model(model), [Request(seed=seed, bars=6) for seed in seeds]):
        read = NotationReader()(written(piece.score, provenance=dict(piece.provenance)))
        assert read == replace(piece.score, markers=read.markers)
        assert read.title.startswith(f"{model}, seed")
        assert formats.read_provenance(written(piece.score, ".mxl", dict(piece.provenance))) == piece.provenance


def test_random_music_is_read_again(written):
    for seed in range(8):
        choose = random.Random(seed)
        metre = choose.choice([(4, 4), (3, 4), (6, 8), (9, 8), (2, 2), (5, 4), (7, 8)])
        lengths = [0.25, 0.5, 0.75, 1, 1.5, 2, 3, 0.125]
        parts = [
            line(*[(choose.choice([0, *range(50, 80)]), choose.choice(lengths)) for _ in range(20)], (60, 1), name=name)
            for name in ("One", "Two")
        ]
        music = score(*parts, metres=((0, *metre),), key=choose.choice(["C", "F#", "Gm", "Bb"]))
        read = NotationReader()(written(music))
        assert [rows(track) for track in read.tracks] == [rows(track) for track in music.tracks], seed


def test_what_stands_above_the_music_is_read_again(written, page):
    music = replace(
        PIECES["6/8"],
        tempos=(Tempo(0, 150.0), Tempo(240, 61.7), Tempo(960, 62.5), Tempo(1440, 140.0)),
        markers=(Text(0, "A"), Text(240 + 1440, "B & C"), Text(240 + 1440, END)),
        chords=tuple(ChordSymbol(*one) for one in ((240, "Bb7"), (960, "Am7b5/C"), (1200, "no chord"))),
    )
    read = NotationReader()(written(music))
    assert read.tempos == music.tempos
    assert read.markers == music.markers[:2]
    assert read.chords == music.chords[:2]
    root = page(music)
    assert [mark.findtext("per-minute") for mark in root.iter("metronome")] == ["100", "61.7"], "others are only heard"
    assert [words.text for words in root.iter("words")] == ["no chord"]
    assert [style.text for style in root.iter("bar-style")] == ["light-light", "light-heavy"]


def test_tracks_are_left_aside_where_the_file_was_edited_since(written):
    path = written(PIECES["a chorale with an upbeat"])
    text = path.read_text().replace('"staves": [[1, 2]]', '"staves": [[7, 2]]')
    path.write_text(text)
    read = NotationReader()(path)
    assert [track.name for track in read.tracks] == ["Soprano Alto 1", "Soprano Alto 2", "Tenor Bass 1", "Tenor Bass 2"]


def test_packed_is_small_and_always_the_same(written):
    packed = written(PIECES["an upbeat"], ".mxl")
    first = packed.read_bytes()
    assert zipfile.ZipFile(packed).namelist() == ["META-INF/container.xml", "score.musicxml"]
    assert zipfile.ZipFile(packed).read("score.musicxml") == written(PIECES["an upbeat"]).read_bytes()
    assert written(PIECES["an upbeat"], ".mxl").read_bytes() == first


# --- values, ties and rests -------------------------------------------------------------------------------------------

C4 = Spelled(4, 0, 0)


def values(metre, start, end, *, rest=False):
    """One note, or silence around notes, in a bar: quarters from, to; values as text, `~` between tied ones."""
    numerator, denominator = metre
    length = 4 * QUARTER * numerator // denominator
    measure = Measure(0, length, 0, numerator, denominator)
    around = [(0, start), (end, length / QUARTER)] if rest else [(start, end)]
    events = [Event(int(a * QUARTER), int(b * QUARTER), (C4,)) for a, b in around if a < b]
    found = [symbol for symbol in write_symbols(events, measure) if bool(symbol.pitches) != rest]
    return ("+" if rest else "~").join(symbol.value + "." * symbol.dots for symbol in found)


@pytest.mark.parametrize(
    ("metre", "start", "end", "expected"),
    [
        ((4, 4), 0, 4, "whole"),
        ((4, 4), 0, 3, "half."),
        ((4, 4), 1, 3, "half"),  # a syncopation that everybody reads
        ((4, 4), 1, 4, "half."),
        ((4, 4), 1, 2.5, "quarter~eighth"),  # the middle of the bar is shown
        ((4, 4), 0.5, 1.5, "quarter"),
        ((4, 4), 1.5, 2.5, "eighth~eighth"),
        ((4, 4), 0, 2.5, "half~eighth"),
        ((4, 4), 0.25, 0.75, "eighth"),
        ((4, 4), 0.75, 1.25, "16th~16th"),
        ((4, 4), 0.25, 1, "eighth."),
        ((3, 4), 0, 3, "half."),
        ((3, 4), 1, 3, "half"),
        ((3, 4), 0.5, 1.5, "quarter"),
        ((3, 4), 0.5, 2.5, "quarter.~eighth"),
        ((2, 2), 1, 3, "half"),
        ((6, 8), 0, 3, "half."),
        ((6, 8), 0, 2, "quarter.~eighth"),
        ((6, 8), 1, 2, "eighth~eighth"),  # the second beat is shown
        ((6, 8), 0.5, 1.5, "quarter"),
        ((9, 8), 0, 4.5, "half.~quarter."),
        ((12, 8), 0, 6, "whole."),
        ((5, 4), 0, 5, "half.~half"),
        ((7, 8), 0, 3.5, "half~quarter."),
    ],
)
def test_a_note_is_split_where_a_beat_would_be_hidden(metre, start, end, expected):
    assert values(metre, start, end) == expected


@pytest.mark.parametrize(
    ("metre", "start", "end", "expected"),
    [
        ((4, 4), 1, 3, "quarter+quarter"),
        ((4, 4), 2, 4, "half"),
        ((4, 4), 1, 4, "quarter+half"),
        ((3, 4), 1, 3, "quarter+quarter"),
        ((6, 8), 1.5, 3, "quarter."),
        ((6, 8), 1, 3, "eighth+quarter."),
        ((4, 4), 0.5, 2, "eighth+quarter"),
    ],
)
def test_rests_show_the_beats(metre, start, end, expected):
    assert values(metre, start, end, rest=True) == expected


def test_an_empty_bar_is_a_whole_rest_and_an_empty_upbeat_is_not():
    whole = write_symbols([], Measure(0, 1440, 0, 3, 4))
    assert [(rest.value, rest.fills_bar) for rest in whole] == [("whole", True)]
    assert [rest.value for rest in write_symbols([], Measure(0, 480, -960, 3, 4))] == ["quarter"]


def beamed(metre, *lengths):
    """The outermost beams of notes of these lengths, in quarters: `(` begin, `-` continue, `)` end, `.` none."""
    places = np.cumsum([0, *(int(length * QUARTER) for length in lengths)])
    measure = Measure(0, 4 * QUARTER * metre[0] // metre[1], 0, *metre)
    found = write_symbols(
        [Event(a, b, (C4,)) for a, b in zip(places.tolist(), places[1:].tolist(), strict=False)], measure
    )
    signs = {"begin": "(", "continue": "-", "end": ")"}
    return "".join(signs.get(states[0], "?") if states else "." for states in find_beams(found, measure))


@pytest.mark.parametrize(
    ("metre", "lengths", "expected"),
    [
        ((4, 4), (0.5,) * 8, "(--)(--)"),
        ((4, 4), (0.5, 0.5, 0.25, 0.25, 0.5, 2), "()(-)."),
        ((4, 4), (1, 0.5, 0.5, 0.5, 1, 0.5), ".()..."),
        ((3, 4), (0.5,) * 6, "(----)"),
        ((3, 4), (0.75, 0.25, 0.5, 0.5, 1), "()()."),
        ((6, 8), (0.5,) * 6, "(-)(-)"),
        ((7, 8), (0.5,) * 7, "()()()."),
        ((2, 2), (0.5,) * 8, "(--)(--)"),
    ],
)
def test_beams_show_the_beats(metre, lengths, expected):
    assert beamed(metre, *lengths) == expected


def test_a_triplet_is_marked_once_and_in_brackets_where_no_beam_holds_it(page):
    root = page(PIECES["triplets"])
    assert [(t.get("type"), t.get("bracket")) for t in root.iter("tuplet")] == [
        ("start", "no"),
        ("stop", None),
        ("start", "yes"),
        ("stop", None),
    ]
    assert {m.findtext("actual-notes") for m in root.iter("time-modification")} == {"3"}


def test_a_last_bar_and_the_upbeat_make_one(page):
    measures = page(PIECES["a chorale with an upbeat"]).find("part").findall("measure")
    assert [m.get("number") for m in measures] == ["0", "1", "2"]
    assert measures[0].get("implicit") == "yes"
    last = [int(n.findtext("duration")) for n in measures[-1].iter("note") if n.findtext("voice") == "1"]
    assert sum(last) == 3 * QUARTER


# --- spelling and accidentals -----------------------------------------------------------------------------------------


def names(pitches, key):
    fifths = np.full(len(pitches), parse_key(key).fifths)
    found = spell(np.array(pitches), fifths)
    return [LETTERS[n.step] + {0: "", 1: "#", -1: "b", 2: "x", -2: "bb"}[n.alter] for n in found]


@pytest.mark.parametrize(
    ("key", "pitches", "expected"),
    [
        ("C", [60, 62, 64, 66, 67, 66, 67, 60], "C D E F# G F# G C"),
        ("Dm", [62, 64, 65, 69, 70, 69, 73, 74], "D E F A Bb A C# D"),
        ("Cm", [60, 63, 67, 68, 71, 72], "C Eb G Ab B C"),
        ("G#m", [68, 67, 68, 71, 75, 68], "G# Fx G# B D# G#"),
        ("Db", [61, 65, 68, 66, 60, 61], "Db F Ab Gb C Db"),
    ],
)
def test_pitches_are_spelled_in_the_key(key, pitches, expected):
    assert names(pitches, key) == expected.split()


def test_chorales_are_spelled_as_in_the_edition():
    from music21 import corpus

    wrong = total = 0
    for name in ("bach/bwv269", "bach/bwv347"):
        stream = corpus.parse(name)
        notes = sorted((float(n.offset), n.pitch.midi, n.pitch.step) for n in stream.flatten().notes)
        fifths = stream.flatten().getElementsByClass("KeySignature").first().sharps
        found = spell(np.array([pitch for _, pitch, _ in notes]), np.full(len(notes), fifths))
        wrong += sum(LETTERS[mine.step] != step for mine, (*_, step) in zip(found, notes, strict=True))
        total += len(notes)
    assert total > 300
    assert wrong <= total // 200


def test_accidentals_hold_for_the_bar_and_its_staff(page):
    music = score(line(*((pitch, 1) for pitch in (70, 70, 82, 71, 70, 65, 70, 71))))
    assert [n.findtext("accidental") for n in page(music).iter("note")] == [
        *("flat", None, "flat", "natural"),  # in another octave it is said again
        *("flat", None, None, "natural"),
    ]
    tied = score(line((60, 3), (66, 2), (66, 3)))
    assert [n.findtext("accidental") for n in page(tied).iter("note")] == [None, "sharp", None, "sharp"]


# --- staves -----------------------------------------------------------------------------------------------------------


def clefs(root):
    return [(c.findtext("sign"), c.findtext("clef-octave-change")) for c in root.iter("clef")]


def test_a_chorale_stands_on_two_staves(page):
    root = page(PIECES["a chorale with an upbeat"])
    assert [name.text for name in root.iter("part-name")] == ["Soprano\nAlto", "Tenor\nBass"]
    assert clefs(root) == [("G", None), ("F", None)]
    stems = {(n.findtext("voice"), n.findtext("stem")) for n in root.iter("note")}
    assert stems == {("1", "up"), ("2", "down")}
    assert root.findtext("part-list/part-group/group-symbol") == "bracket"


@pytest.mark.parametrize(
    ("track", "expected"),
    [
        (line((72, 4), program=73), [("G", None)]),
        (line((45, 4), program=42), [("F", None)]),
        (line((60, 4), program=41), [("C", None)]),
        (line((36, 4), program=33), [("F", "-1")]),
        (line((52, 4), program=25), [("G", "-1")]),
        (line((55, 4), name="Tenor", program=52), [("G", "-1")]),
        (drums((0, 36)), [("percussion", None)]),
        (chord_line((0, 4, 43), (0, 4, 64)), [("G", None), ("F", None)]),
        (chord_line((0, 4, 60), (0, 4, 64)), [("G", None)]),
    ],
)
def test_clefs_are_those_of_the_range_and_the_instrument(page, track, expected):
    assert clefs(page(score(track))) == expected


def test_rests_of_two_voices_are_one_in_the_middle(page):
    root = page(PIECES["a chorale that rests"])
    rests = [n.find("rest") for n in root.iter("note") if n.find("rest") is not None]
    assert {(r.findtext("display-step"), r.findtext("display-octave")) for r in rests} == {("B", "4"), ("D", "3")}
    assert len(rests) == len(list(root.iter("forward")))


def test_drums_have_heads_and_places_of_their_own(page):
    root = page(PIECES["drums beside a flute"])
    places = {(u.findtext("display-step"), u.findtext("display-octave")) for u in root.iter("unpitched")}
    assert places == {("F", "4"), ("G", "5"), ("C", "5")}
    assert {n.findtext("notehead") for n in root.find("part").iter("note") if n.find("unpitched") is not None} == {
        None,
        "x",
    }


# --- performances -----------------------------------------------------------------------------------------------------


def test_a_performance_is_moved_to_the_grid_and_said(tmp_path):
    played = [(3, 451, 60, 80), (489, 200, 62, 80), (731, 190, 64, 80), (955, 470, 65, 80), (1447, 433, 67, 80)]
    with pytest.warns(ReadingWarning, match=r"piece\.musicxml: notes off the grid .* moved, by \d+ ticks"):
        MusicXmlExporter()([Piece(Score((Track(make_notes(played)),)))], tmp_path / "piece.musicxml")
    read = NotationReader()(tmp_path / "piece.musicxml")
    assert rows(read.tracks[0]) == [(0, 480, 60), (480, 240, 62), (720, 240, 64), (960, 480, 65), (1440, 480, 67)]


def test_any_ticks_can_be_written():
    for seed in range(20):
        choose = random.Random(seed)
        notes = [(choose.randrange(9000), choose.randrange(1, 2000), choose.randrange(128), 80) for _ in range(60)]
        tracks = (Track(make_notes(notes), "", 0), Track(make_notes(notes[:9]), "", 0, is_drum=True))
        pages = lay_out(Score(tracks, time_signatures=(TimeSignature(0, choose.choice([3, 4, 5]), 4),)))
        for part in pages.parts:
            for staff in part.staves:
                for its in staff.lines:
                    for measure in pages.measures:
                        events = [e for e in its.events if e.start < measure.end and e.end > measure.start]
                        found = write_symbols(events, measure)
                        assert sum(symbol.duration for symbol in found) == measure.end - measure.start
                        assert all(a.end == b.start for a, b in pairwise(found))


# --- ABC --------------------------------------------------------------------------------------------------------------


def test_a_tune_in_abc(written):
    music = replace(PIECES["6/8"], chords=(ChordSymbol(240, "C"),), tempos=(Tempo(0, 120.0),), title="A 100% tune")
    assert written(music, ".abc").read_text().splitlines() == [
        *("X:1", "T:A 100\\% tune", "M:6/8", "L:1/8", "Q:3/8=80", "K:C"),
        'G | "C"c2 B A3 | G6 |]',
    ]


@pytest.mark.parametrize("name", sorted({*PIECES} - {"drums beside a flute", "loud and soft"}))
def test_abc_is_read_again(written, name):
    music = PIECES[name]
    read = NotationReader()(written(music, ".abc"))
    assert [sorted(rows(track)) for track in read.tracks] == [sorted(rows(track)) for track in music.tracks]
    assert [track.program for track in read.tracks] == [track.program for track in music.tracks]
    assert (read.upbeat, read.time_signatures) == (music.upbeat, music.time_signatures or (TimeSignature(0, 4, 4),))
    assert read.key_signatures == music.key_signatures or not music.key_signatures


def test_voices_in_abc_share_staves_and_drums_are_left_out(tmp_path, written):
    text = written(score(*SATB), ".abc").read_text()
    assert "%%score (1 2) (3 4)" in text
    assert 'V:4 name="Bass" clef=bass' in text
    with pytest.warns(ReadingWarning, match="drums were left out"):
        AbcExporter()([Piece(PIECES["drums beside a flute"])], tmp_path / "flute.abc")
    assert NotationReader()(tmp_path / "flute.abc").note_count == 1
    with pytest.raises(CannotWrite, match="only drums"):
        AbcExporter()([Piece(score(drums((0, 36))))], tmp_path / "kit.abc")


# --- what is refused, and what is harmless ----------------------------------------------------------------------------


def many_bars(bars):
    return score(Track(make_notes([(0, 480, 60, 80), ((bars - 1) * BAR, 480, 60, 80)])))


@pytest.mark.parametrize("suffix", [".musicxml", ".abc"])
@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ([Piece(Score())], "contains no notes"),
        ([Piece(PIECES["an upbeat"])] * 2, "a score holds one piece, and here are 2"),
        ([Piece(score(*[line((60, 1))] * 20_000))], "has 20,000 tracks; a score holds at most 100"),
        ([Piece(many_bars(18_000))], "has more than 5,000 bars"),
        ([Piece(replace(many_bars(4_000), tracks=many_bars(4_000).tracks * 100))], "tracks of 4,000 bars"),
        ([Piece(score(line((200, 1))))], "track 1 has a pitch outside 0..127"),
        ([Piece(score(Track(make_notes([(0, 0, 60, 80)]))))], "track 1 has a note without a length"),
        ([Piece(replace(PIECES["an upbeat"], upbeat=7))], "bar 1 is 7 ticks long"),
        ([Piece(score(line((60, 1)), metres=((0, 4, 3),)))], "has an invalid time signature 4/3"),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_sentence(tmp_path, suffix, pieces, said):
    with pytest.raises(CannotWrite, match=rf"piece\{suffix}: [^\n]*{said}[^\n]*\.$"):
        formats.write(pieces, tmp_path / f"piece{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_markup_and_control_characters_do_no_harm(written):
    nasty = '<script>&"]]>\x00\x1b[2J\ud800 %\n]'
    music = replace(
        score(line((60, 4), name=nasty), line((60, 4), name=nasty, program=33)),
        markers=(Text(0, nasty), Text(0, "\x07")),
        chords=(ChordSymbol(0, nasty), ChordSymbol(0, "\x07")),
        title=nasty,
    )
    for suffix in (".musicxml", ".mxl", ".abc"):
        path = written(music, suffix, provenance={"model": nasty, "request": {"seed": nasty}})
        read = NotationReader()(path)
        assert read.note_count == 2
        assert "\x1b" not in read.title
    plain = written(music, title=nasty, composer=nasty).read_text()
    assert "<script>" not in plain
    assert "&lt;script&gt;" in plain


def test_the_title_is_that_asked_for_or_the_pieces_own_or_what_made_it(page):
    made = {"model": "my/tunes.safetensors", "request": {"seed": 7, "index": 3}}
    tune = PIECES["an upbeat"]
    assert page(tune, provenance=made).findtext("work/work-title") == "tunes, seed 7, piece 3"
    assert page(replace(tune, title="Own"), provenance=made).findtext("work/work-title") == "Own"
    root = page(tune, provenance=made, title="Asked", composer="Me")
    assert (root.findtext("work/work-title"), root.findtext("identification/creator")) == ("Asked", "Me")
    assert page(tune).find("work") is None
