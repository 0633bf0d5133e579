"""Chord symbols: one vocabulary, read and written everywhere."""

import re
from itertools import pairwise

import pytest

from composer.errors import CannotExpress
from composer.generation.composer import open_model
from composer.generation.finishing import read_transforms, transform_again
from composer.generation.tasks import make
from composer.io import formats
from composer.music.chords import (
    BASES,
    Chord,
    compute_intervals,
    estimate_key,
    find_chord,
    find_keys,
    parse_chord,
    parse_progression,
)
from composer.music.score import ChordSymbol, Score, Text, TimeSignature, Track, make_notes
from composer.music.score_json import score_from_json, score_to_json
from composer.request import Request, SamplerSpec
from composer.types import Piece

BAR = 1920

SPELLINGS = {
    "C": ["C", "Cmaj", "CM", "C major"],
    "Cm": ["Cm", "C-", "Cmin", "C minor"],
    "Cmaj7": ["CM7", "CΔ", "C△7", "Cma7", "CMaj7", "C7M"],
    "Cm7b5": ["Cø", "Cø7", "Cm7(b5)", "C-7-5", "Cm7♭5", "Cmin7b5"],
    "CmM7": ["Cm(maj7)", "CmM7", "C-Δ7", "Cminmaj7"],
    "C69": ["C6/9", "C69", "C6add9", "C(6/9)"],
    "C7sus4": ["C7sus", "C7(sus4)", "Csus4add7"],
    "C7b9#11": ["C7(b9,#11)", "C7#11b9", "C7-9+11", "C7 (♭9) (♯11)"],
    "Caug7": ["C+7", "C7+", "C7#5"],
    "Dbmaj7": ["D♭maj7"],
    "F#m": ["F♯m"],
    "Cmaj9/E": ["Cmaj9/E", "CM9/e"],
    "C(b5)": ["C(b5)", "C(-5)"],
    "N.C.": ["N.C.", "NC", "n.c."],
}


@pytest.mark.parametrize(("usual", "spelling"), [(usual, text) for usual, texts in SPELLINGS.items() for text in texts])
def test_every_spelling_of_a_chord_has_one_usual_form(usual, spelling):
    assert str(parse_chord(spelling)) == usual
    assert find_chord(usual) == find_chord(spelling)


@pytest.mark.parametrize(
    ("text", "tones"),
    [
        ("G7alt", {7, 11, 5, 8, 10, 1, 3}),
        ("C7#9", {0, 3, 4, 7, 10}),
        ("C13b9", {0, 1, 4, 7, 9, 10}),
        ("C7b5", {0, 4, 6, 10}),
        ("C9sus4", {0, 2, 5, 7, 10}),
        ("C7no5", {0, 4, 10}),
        ("Cm7add11", {0, 3, 5, 7, 10}),
        ("D/F#", {2, 6, 9}),
        ("C/D", {0, 2, 4, 7}),
        ("N.C.", set()),
    ],
)
def test_a_chord_has_the_tones_that_its_degrees_say(text, tones):
    assert parse_chord(text).tones == tones


@pytest.mark.parametrize(
    "text", ["H7", "Cmaj7#", "", "am", "C/", "C//E", "Verse", "Fine", "Cmaj7/9/E", "C7b2b", "C" * 99]
)
def test_what_nobody_knows_is_no_chord(text):
    assert find_chord(text) is None
    with pytest.raises(ValueError, match="is not a chord such as C, Dm7"):
        parse_chord(text)


def test_a_german_b_natural_is_hinted_at():
    with pytest.raises(ValueError, match=r"'H7' is not a chord .* \(the note H is B in English\)"):
        parse_chord("H7")


def test_a_model_can_learn_a_chord_as_root_base_degrees_and_bass():
    chord = parse_chord("Bb7(b9)/D")
    assert chord == Chord("Bb", "7b9", "D")
    assert (chord.base, chord.degrees, chord.lowest) == ("7", ("b9",), 2)
    assert all(find_chord(f"C{base}") == Chord("C", base) for base in BASES)


# --- progressions -----------------------------------------------------------------------------------------------------


def show(text):
    return " | ".join(" ".join(map(str, bar)) for bar in parse_progression(text))


@pytest.mark.parametrize(
    ("text", "bars"),
    [
        ("Dm7 G7 | Cmaj7", "Dm7 G7 | Cmaj7"),
        ("| C, Am | F, G7(b9, #11) |", "C Am | F G7b9#11"),
        ("|: Am | % | F / G / :|", "Am | Am | F F G G"),
        ("C || N.C. ||", "C | N.C."),
        ("C\n|\tG", "C | G"),
    ],
)
def test_bars_of_chords_are_read_as_a_lead_sheet_writes_them(text, bars):
    assert show(text) == bars


@pytest.mark.parametrize("text", ["C | | G", "", "|", "% | C", "/ C", "C | H7"])
def test_an_invalid_progression_is_one_sentence(text):
    with pytest.raises(ValueError, match=r"has no chord; N\.C\. is none|is not a chord such as") as caught:
        parse_progression(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "keys"), [("C F | G7 C", "C Am"), ("Bb Eb | F7 Bb", "Bb Gm"), ("N.C.", None)])
def test_keys_hold_the_tones_of_the_chords(text, keys):
    found = [str(key) for key in find_keys(parse_progression(text))]
    assert found == keys.split() if keys else len(found) == 24


# --- files ------------------------------------------------------------------------------------------------------------


SYMBOLS = (
    "C", "Bbm7", "F#m7b5/A", "G7b9", "D(b5)", "E7alt", "A69", "Am69", "C7sus4", "Dmaj7#11", "GmM9", "Cadd9", "B5",
    "Ebaug7", "F13", "N.C.", "C7no3", "Absus2",
)  # fmt: skip


def sheet(*symbols):
    notes = Track(make_notes([(n * BAR, BAR, 60, 80) for n in range(len(symbols))]))
    chords = tuple(ChordSymbol(n * BAR, text) for n, text in enumerate(symbols))
    return Score((notes,), time_signatures=(TimeSignature(0, 4, 4),), chords=chords)


@pytest.mark.parametrize("suffix", [".musicxml", ".abc", ".mxl"])
def test_chord_symbols_survive_a_file(tmp_path, suffix):
    formats.write([Piece(sheet(*SYMBOLS))], tmp_path / f"sheet{suffix}")
    assert formats.read(tmp_path / f"sheet{suffix}").chords == sheet(*SYMBOLS).chords


def test_other_programs_understand_what_musicxml_says_without_its_text(tmp_path):
    path = tmp_path / "sheet.musicxml"
    formats.write([Piece(sheet(*SYMBOLS))], path)
    path.write_text(re.sub(r'<kind text="[^"]*"', "<kind", path.read_text()))
    found = [(symbol.chord.lowest, symbol.chord.tones) for symbol in formats.read(path).chords]
    assert found == [(parse_chord(text).lowest, parse_chord(text).tones) for text in SYMBOLS]


def test_chord_symbols_survive_json():
    music = sheet("Am", "N.C.", "what?")
    assert score_to_json(music)["chords"] == [[0, "Am"], [BAR, "N.C."], [2 * BAR, "what?"]]
    assert score_from_json(score_to_json(music)) == music
    assert [symbol.chord for symbol in music.chords] == [Chord("A", "m"), Chord(""), None]


def test_texts_given_as_chords_become_chord_symbols():
    assert Score(chords=(Text(0, "Am"),)).chords == (ChordSymbol(0, "Am"),)


def test_no_text_is_slow_or_fails_to_be_read():
    for text in (
        "C" + "(b9)" * 500,
        "C" + "#" * 500,
        "Cm" + "maj" * 300,
        "C/" * 300,
        "Caddaddadd",
        "Cadd99",
        "C(",
        "C)",
    ):
        found = find_chord(text)
        assert found is None or find_chord(str(found)) == found
        assert found is None or compute_intervals(found.base, found.degrees)


# --- chords that are asked for ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tunes():
    return open_model("tunes")


def written(piece):
    return [(symbol.tick - piece.score.upbeat, symbol.text) for symbol in piece.score.chords]


@pytest.mark.parametrize(
    ("metre", "chords", "symbols"),
    [
        ("4/4", "C Am | F, G7", [(0, "C"), (960, "Am"), (1920, "F"), (2880, "G7")]),
        ("6/8", "C G | Dm G7", [(0, "C"), (720, "G"), (1440, "Dm"), (2160, "G7")]),
        ("2/2", "C F G C | C F", [(0, "C"), (480, "F"), (960, "G"), (1440, "C"), (2880, "F")]),
        ("3/4", "C-7 D♭maj7 | N.C.", [(0, "Cm7"), (960, "Dbmaj7"), (1440, "N.C.")]),
        ("4/4", "C | C", [(0, "C")]),
    ],
)
def test_chords_that_are_asked_for_stand_on_the_piece_where_they_sound(tunes, metre, chords, symbols):
    piece = tunes.generate(bars=2, time_signature=metre, chords=chords, seed=1)
    assert written(piece) == symbols
    for tick, text in symbols:
        begin = [note for note in piece.score.tracks[0].notes.tolist() if note[0] == tick + piece.score.upbeat]
        assert all(note[2] % 12 in (parse_chord(text).tones or range(12)) for note in begin)


def test_the_key_follows_from_the_chords_unless_given(tunes):
    for chords, key, found in [("Em B7 | Em", None, "Em"), ("Gb Db7 | Gb", None, "Gb"), ("C F | G C", "Am", "Am")]:
        piece = tunes.generate(bars=2, time_signature="4/4", chords=chords, key=key, seed=1)
        assert [str(one.key) for one in piece.score.key_signatures] == [found]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Dm7 G7 | Cmaj7", "C"), ("Am F C G", "Am"), ("G D Em C", "G"), ("C7 | F7 | C7 | G7 F7 C7", "C"),
        ("Gm D7 | Gm", "Gm"), ("Ebm Bb7 | Ebm", "Ebm"), ("F#m7b5 B7 | Em", "Em"), ("Am G F E", "Am"),
    ],
)  # fmt: skip
def test_a_progression_is_in_the_key_that_musicians_say(text, key):
    assert str(estimate_key(parse_progression(text))) == key


def test_sections_repeat_their_symbols(tunes):
    piece = tunes.generate(form="ABA", bars=1, time_signature="4/4", chords="G | D7 | C | Em", seed=1)
    assert written(piece) == [(0, "G"), (BAR, "D7"), (2 * BAR, "G")]


def test_symbols_of_what_is_kept_stay(tunes):
    sheet = tunes.generate(bars=4, time_signature="4/4", chords="G | C | D | G", seed=1)
    filled = tunes.fill(sheet, bars="2-3", chords="G | Em", particles=2, seed=1)
    assert written(filled) == [(0, "G"), (BAR, "Em"), (2 * BAR, "G"), (3 * BAR, "G")]
    longer = tunes.generate(primer=sheet, bars=2, chords="Am | Bm", seed=1)
    assert written(longer)[:4] == written(sheet)


def test_a_request_saved_earlier_means_what_it_meant(tunes):
    old = Request(seed=1, bars=2, time_signature="4/4", samplers=(SamplerSpec("chords", {"chords": "C F G Am"}),))
    assert make(tunes, [old])[0].score.chords == ()
    asked = tunes.generate(seed=1, bars=2, time_signature="4/4", chords="C F G Am").provenance["request"]["samplers"][0]
    assert asked["options"] == {"chords": "C F G Am", "edition": 2}


# --- an accompaniment -------------------------------------------------------------------------------------------------


def comp(music, *options):
    return transform_again(music, read_transforms([":".join(["comp", *options])]), 0).tracks[-1]


def strokes(track):
    """The onsets with their pitches, lowest first."""
    found = {}
    for start, _, pitch, _ in track.notes.tolist():
        found.setdefault(start, []).append(pitch)
    return found


def test_the_bass_begins_and_the_chord_follows():
    played = strokes(comp(sheet("C", "G7/B")))
    assert list(played) == [0, 480, 960, 1440, 1920, 2400, 2880, 3360]
    assert [pitch % 12 for pitch in played[0]] == [0]
    assert {pitch % 12 for pitch in played[480]} == {0, 4, 7}
    assert [pitch % 12 for pitch in played[1920]] == [11]


def test_held_chords_last_until_the_next_symbol():
    track = comp(sheet("C", "N.C.", "what?", "F"), "held")
    assert {(start, start + length) for start, length, _, _ in track.notes.tolist()} == {(0, BAR), (3 * BAR, 4 * BAR)}


def test_no_chord_jumps_far_from_the_one_before():
    track = comp(sheet("C", "F", "Bb", "Eb", "Ab", "Db", "Gb", "B"), "held")
    highest = [max(pitches) for pitches in strokes(track).values()]
    assert max(abs(a - b) for a, b in pairwise(highest)) <= 5


def test_a_piece_without_symbols_has_nothing_to_play(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = run("generate", "x.mid", "--comp")
    assert (ran.status, ran.err) == (2, "composer: --comp plays the chords that --chords asks for; give both.\n")
    with pytest.raises(CannotExpress, match="no chord symbols to play"):
        comp(Score(sheet("C").tracks))
