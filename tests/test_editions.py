"""What musicians type: keys as they spell them, tempos in beats, sections by name. Older requests mean the same."""

import re
from dataclasses import replace

import pytest

from composer.errors import BadOption
from composer.generation.composer import open_model
from composer.generation.form_spec import Form
from composer.generation.options import read_time_signature
from composer.generation.tasks import make, regenerate
from composer.io import formats
from composer.music.keys import Key, get_signature_key, parse_key
from composer.music.score import KeySignature, Score, Tempo, TimeSignature, Track, make_notes
from composer.music.score_json import score_from_json, score_to_json
from composer.request import Request
from composer.types import Piece

FOUR = TimeSignature(0, 4, 4)


@pytest.fixture(scope="module")
def tunes():
    return open_model("tunes")


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "fifths"),
    [
        ("Gb", "Gb", -6), ("F#", "F#", 6), ("Ebm", "Ebm", -6), ("D#m", "D#m", 6), ("C#", "C#", 7), ("Db", "Db", -5),
        ("Cb", "Cb", -7), ("A#m", "A#m", 7), ("Abm", "Abm", -7), ("G#", "Ab", -4), ("E flat major", "Eb", -3),
        ("F♯ minor", "F#m", 3), ("e", "Em", 1),
    ],
)  # fmt: skip
def test_a_key_keeps_its_spelling(text, name, fifths):
    key = parse_key(text)
    assert (str(key), key.fifths) == (name, fifths)
    assert parse_key(str(key)).fifths == fifths
    assert get_signature_key(fifths, key.minor).fifths == fifths


def test_enharmonic_keys_are_one():
    assert parse_key("Gb") == parse_key("F#") == Key(6)
    assert hash(parse_key("Gb")) == hash(Key(6))
    assert str(parse_key("Gb").transpose(1)) == "G"
    assert str(parse_key("Gb").transpose(0)) == "Gb"


@pytest.mark.parametrize("suffix", [".musicxml", ".mid", ".abc"])
@pytest.mark.parametrize("name", ["Gb", "Ebm", "D#m", "C#", "Cb", "F#"])
def test_the_spelling_survives_a_file(tmp_path, suffix, name):
    notes = Track(make_notes([(0, 1920, 66, 80)]))
    music = Score((notes,), key_signatures=(KeySignature(0, parse_key(name)),), time_signatures=(FOUR,))
    formats.write([Piece(music)], tmp_path / f"piece{suffix}")
    assert formats.read(tmp_path / f"piece{suffix}").key_signatures[0].key.fifths == parse_key(name).fifths


def test_json_of_older_scores_means_what_it_meant():
    old = {"tracks": [], "key_signatures": [[0, "Ebm"]]}
    assert score_from_json(old).key_signatures[0].key.fifths == 6
    spelled = Score(key_signatures=(KeySignature(0, parse_key("Ebm")),))
    assert score_from_json(score_to_json(spelled)).key_signatures[0].key.fifths == -6


def test_a_key_that_is_asked_for_is_the_signature(tunes):
    asked = tunes.generate(bars=1, key="Gb", time_signature="4/4", seed=1)
    assert asked.score.key_signatures[0].key.fifths == -6
    assert regenerate(tunes, asked.provenance).score == asked.score
    old = make(tunes, [Request(seed=1, bars=1, key="Gb", time_signature="4/4")])[0]
    assert old.score.key_signatures[0].key.fifths == 6


def test_a_mode_leads_to_the_scale(run):
    ran = run("generate", "x.mid", "--key", "A dorian")
    assert ran.err == "composer: 'A dorian' is a scale, not a key; type --scale \"A dorian\".\n"


# --- tempos and time signatures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metre", "quarters", "mark"),
    [("4/4", 100, "1/4=100"), ("6/8", 150, "3/8=100"), ("2/2", 200, "1/2=100"), ("3/8", 150, "3/8=100")],
)
def test_a_tempo_counts_beats_of_the_time_signature(tunes, tmp_path, metre, quarters, mark):
    piece = tunes.generate(bars=1, time_signature=metre, tempo=100, seed=1)
    assert piece.score.tempos == (Tempo(0, quarters),)
    formats.write([piece], tmp_path / "tune.abc")
    assert f"\nQ:{mark}\n" in (tmp_path / "tune.abc").read_text()
    assert regenerate(tunes, piece.provenance).score.tempos == (Tempo(0, quarters),)


def test_a_jig_is_as_fast_as_a_jig(tunes):
    assert tunes.generate(bars=1, time_signature="6/8", seed=1).score.tempos == (Tempo(0, 168.0),)
    old = make(tunes, [replace(tunes.suggested, seed=1, bars=1, time_signature="6/8")])[0]
    assert old.score.tempos == (Tempo(0, 112.0),)


def test_the_mark_in_musicxml_counts_beats(tunes, tmp_path):
    formats.write([tunes.generate(bars=1, time_signature="6/8", tempo=112, seed=1)], tmp_path / "jig.musicxml")
    mark = re.search(r"<metronome>(.*?)</metronome>", (tmp_path / "jig.musicxml").read_text(), re.DOTALL)[1]
    assert "<beat-unit>quarter</beat-unit>" in mark
    assert "<beat-unit-dot" in mark
    assert "<per-minute>112</per-minute>" in mark


@pytest.mark.parametrize(
    ("text", "metre"),
    [("common time", "4/4"), ("C", "4/4"), ("cut time", "2/2"), ("C|", "2/2"), ("6/8 time", "6/8"), ("3/4", "3/4")],
)
def test_a_time_signature_in_words(text, metre):
    assert read_time_signature(text) == metre


# --- sections by name -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sections", "titles"),
    [
        ("verse chorus verse", "A B A", "Verse Chorus Verse"),
        ("verse 1, chorus, verse 2, chorus'", "A B A B'", "Verse 1|Chorus|Verse 2|Chorus'"),
        ("intro AABA outro", "A B B C B D", "Intro A A B A Outro"),
        ("verse pre-chorus CHORUS", "A B C", "Verse Pre-chorus CHORUS"),
        ("AABA'", "A A B A'", ""),
        ("a b a", "A B A", ""),
        ("DEAD", "D E A D", ""),
    ],
)
def test_a_form_takes_names(text, sections, titles):
    form = Form.parse(Request(), text)
    assert (" ".join(form.sections), form.titles) == (sections, tuple(titles.split("|" if "|" in titles else None)))
    assert Form.from_json(form.to_json()) == form


def test_names_are_the_markers(tunes):
    piece = tunes.generate(form="verse chorus verse 2", bars=1, time_signature="4/4", seed=1)
    assert [marker.text for marker in piece.score.markers][:3] == ["Verse", "Chorus", "Verse 2"]
    assert regenerate(tunes, piece.provenance).score == piece.score


def test_what_is_no_section_is_one_sentence():
    with pytest.raises(BadOption, match=r"'ver\$e' is no section such as verse, chorus or A'\."):
        Form.parse(Request(), "ver$e chorus")


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["generat", "x.mid"], "there is no command 'generat': did you mean 'generate'?"),
        (["help", "generat"], "there is no command 'generat': did you mean 'generate'?"),
        (["generate", "x.mid", "--length", "8"], "`composer generate` has no option --length; --bars is what it has."),
        (["generate", "x.mid", "--primer", "C D E"], "'C' in the primer has no octave: type C4 for"),
        (["harmonize", "Bb/2 D E", "x.mid"], "'Bb/2' in the melody has no octave: type Bb4/2 for"),
    ],
)
def test_what_was_meant_is_said(run, line, said):
    ran = run(*line)
    assert ran.status == 2
    assert ran.err.startswith(f"composer: {said}")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("line", [["help", "generate"], ["help"], ["help", "models", "show"]])
def test_help_is_a_command_too(run, line):
    ran = run(*line)
    assert (ran.status, ran.out) == (0, run(*line[1:], "--help").out)


def test_an_older_piece_in_e_flat_minor_has_six_sharps(tunes):
    old = make(tunes, [Request(seed=1, bars=1, key="Ebm", time_signature="4/4")])[0]
    assert old.score.key_signatures[0].key.fifths == 6
    new = tunes.generate(bars=1, key="Ebm", time_signature="4/4", seed=1)
    assert new.score.key_signatures[0].key.fifths == -6
