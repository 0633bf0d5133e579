"""Any tune can be harmonised: in compound time, played, low or high, from a file with other parts, or with symbols."""

import numpy as np
import pytest

from composer import open_model, read
from composer.errors import BadOption, RequestWarning
from composer.generation.readings import PLAIN, Reading, choose_bars, find_grid
from composer.generation.tasks import regenerate
from composer.music.score import Score, Text, Track, make_notes, parse_time_signature
from composer.request import Request
from composer.types import Occasion
from composer_harmony.chords import Chords
from composer_harmony.lead_sheets import choose_chords, write_progression

JIG = "X:1\nM:6/8\nL:1/8\nK:G\nD|GAB AFD|G3 B2D|EGE DGB|AFD G2|]\n"
KNOWN = {"4/4": 287, "3/4": 34}


@pytest.fixture(scope="module")
def chorales():
    return open_model("chorales")


def read_abc(tmp_path, text):
    (tmp_path / "tune.abc").write_text(text)
    return read(tmp_path / "tune.abc").score


def make_line(*pitches, length=480, moved=()):
    moves = list(moved) or [0] * len(pitches)
    rows = [
        (n * length + move, length - 40, pitch, 80) for n, (pitch, move) in enumerate(zip(pitches, moves, strict=True))
    ]
    return Track(make_notes(rows), "Lead", 73)


@pytest.mark.parametrize(
    ("metre", "read_as", "stretch", "bars"),
    [("6/8", "3/4", 2, 2), ("9/8", "3/4", 2, 3), ("3/8", "3/4", 2, 1), ("6/4", "3/4", 1, 2), ("2/2", "4/4", 1, 1)],
)
def test_an_unknown_time_signature_is_read_as_a_known_one(metre, read_as, stretch, bars):
    score = Score(tracks=(make_line(60, 62, 64),), time_signatures=(parse_time_signature(metre),), upbeat=240)
    found = choose_bars(score, KNOWN)
    assert (found.time_signature, found.stretch, found.count_bars(score)) == (read_as, stretch, bars)
    assert found.hear(score, found.apply(score)) == score


@pytest.mark.parametrize(("metre", "known"), [("3/4", KNOWN), ("5/4", KNOWN), ("6/8", {"6/8": 9}), ("6/8", {})])
def test_other_time_signatures_are_read_as_they_are(metre, known):
    assert choose_bars(Score(time_signatures=(parse_time_signature(metre),)), known) == PLAIN


def test_a_jig_comes_out_as_one(chorales, tmp_path):
    """The melody stays, and other voices begin anew where the second beat of a bar does."""
    score = read_abc(tmp_path, JIG)
    piece = chorales.harmonize(score, seed=1, particles=16)
    assert str(piece.score.time_signatures[0]) == "6/8"
    assert np.array_equal(piece.score.tracks[0].notes, score.tracks[0].notes)
    for start in range(240, 4 * 1440, 1440):
        begins = [start + 720 in track.notes["start"] for track in piece.score.tracks[1:]]
        assert sum(begins) >= 2
    assert regenerate(chorales, piece.provenance).score == piece.score


def test_new_notes_alone_are_held_to_a_rhythm(chorales):
    melody = "D4/2 E4/2 F4/2 G4/2 A4*2 G4/2 F4/2 E4/2 C#4/2 D4*2"
    piece = chorales.harmonize(melody, key="Dm", rhythm="1/4", seed=1, particles=16)
    tune, *others = [track.notes for track in piece.score.tracks]
    assert (tune["start"] % 480).any()
    assert not any((part["start"] % 480).any() for part in others)


def test_a_played_melody_is_read_on_a_grid_and_kept(chorales):
    moved = (0, 31, -25, 38, 22, -37, 41, 19)
    lead = make_line(60, 62, 64, 65, 67, 65, 62, 60, moved=moved)
    with pytest.warns(RequestWarning, match="played freely: the model reads it in notes of 1/8"):
        piece = chorales.harmonize(Score(tracks=(lead,)), key="C", seed=1, particles=8)
    assert np.array_equal(piece.score.tracks[0].notes, lead.notes)
    assert not any((track.notes["start"] % 120).any() for track in piece.score.tracks[1:])


@pytest.mark.parametrize(
    ("length", "moved", "grid"),
    [(480, (0, 0, 0, 0), 0), (160, (0, 0, 0, 0), 0), (480, (3, 31, 27, 45), 240), (120, (3, 31, 27, 45), 120)],
)
def test_a_grid_is_found_for_what_is_played(length, moved, grid):
    assert find_grid(make_line(60, 62, 64, 65, length=length, moved=moved).notes) == grid


def test_a_low_melody_is_warned_of_and_moved_in_and_out(chorales):
    lead = Score(tracks=(make_line(48, 50, 52, 53, 50, 48),))
    with pytest.warns(RequestWarning, match="--transpose 12 lets the model read it there"):
        chorales.harmonize(lead, key="C", seed=1, particles=1)
    piece = chorales.harmonize(lead, key="C", transpose=12, seed=2, particles=8)
    assert np.array_equal(piece.score.tracks[0].notes, lead.tracks[0].notes)
    assert str(piece.score.key_signatures[0].key) == "C"
    assert all((track.notes["pitch"] < 56).all() for track in piece.score.tracks[1:])


def test_one_of_several_tracks_is_the_melody(chorales):
    score = Score(tracks=(make_line(36, 36, 36, 36), make_line(67, 65, 64, 60)))
    with pytest.raises(BadOption, match="choose one with --track"):
        chorales.harmonize(score, key="C")
    with pytest.warns(RequestWarning, match="1 other track is left out"):
        piece = chorales.harmonize(score, key="C", track="2", seed=1, particles=4)
    assert np.array_equal(piece.score.tracks[0].notes, score.tracks[1].notes)
    assert len(piece.score.tracks) == 4


def test_chord_symbols_are_obeyed_unless_they_are_not_wanted(chorales, tmp_path):
    score = read_abc(tmp_path, 'X:1\nM:4/4\nL:1/4\nK:C\n"C"E2"F"F2|"G7"D2"C"C2|]\n')
    piece = chorales.harmonize(score, seed=1, particles=16)
    tones = {0: {0, 4, 7}, 960: {5, 9, 0}, 1920: {7, 11, 2, 5}, 2880: {0, 4, 7}}
    for track in piece.score.tracks[1:]:
        for start, _, pitch, _ in track.notes.tolist():
            assert start % 480 or pitch % 12 in tones[start // 960 * 960]
    open_ = chorales.harmonize(score, seed=1, particles=1, chords="none")
    assert "chords" not in [spec["name"] for spec in open_.provenance["request"]["samplers"]]


def test_symbols_become_a_progression_with_one_for_each_beat():
    chords = (Text(480, "C"), Text(480 + 960, "G7/B"), Text(480 + 1440, "Am"))
    score = Score(tracks=(make_line(60, 60, 60, 60, 60, 60, 60),), chords=chords, upbeat=480)
    score = Score(**{**vars(score), "time_signatures": (parse_time_signature("3/4"),)})
    assert write_progression(score) == "C C G7/B | Am Am Am | C"


def test_unknown_symbols_count_by_root_and_third():
    score = Score(tracks=(make_line(60, 60, 60, 60),), chords=(Text(0, "Bbm7xyz"), Text(960, "?")))
    with pytest.warns(RequestWarning, match="taken in part: "):
        assert write_progression(score) == "Bbm Bbm Bbm Bbm"


def test_given_chords_are_those_of_the_bars_of_the_music(chorales):
    info = chorales.tokenizer.token_info
    occasion = Occasion(info, Request(), bars_of_one=2)
    assert choose_chords({"chords": "C | F G7 | A D E"}, occasion) == {"chords": "C | C | F F | G7 G7 | A A D | D E E"}
    Chords("C | C | F F | G7 G7 | A A D | D E E")


def test_several_are_written_to_a_gallery_and_the_best_chosen(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = ["harmonize", "C4 E4 G4 C5*2", "choose.html", "--key", "C", "--particles", "4", "--seed", "1"]
    done = run(*line, "--count", "3", "--best", "2")
    assert done.status == 0, done.err
    assert done.out.count("choose.html") == 2
    assert (tmp_path / "choose.html").is_file()
    assert run(*line, "--best", "2").status == 2


@pytest.mark.parametrize("values", [{"semitones": 99}, {"grid": -1}, {"time_signature": "4/5"}, {"stretch": "1/0"}])
def test_what_is_no_reading_is_refused(values):
    with pytest.raises((BadOption, ValueError, ZeroDivisionError)):
        Reading.from_json(values)


def test_symbols_of_a_lead_sheet_stay_as_they_are_written(chorales, tmp_path):
    score = read_abc(tmp_path, 'X:1\nM:4/4\nL:1/4\nK:C\n"C"E2"D-7"F2|"G7"D2"CM7"C2|]\n')
    piece = chorales.harmonize(score, seed=1, particles=4)
    assert piece.score.chords == score.chords


def test_chords_that_are_asked_for_are_written_where_they_are_heard(chorales, tmp_path):
    """The model reads a jig in 3/4, and a fourth higher."""
    score = read_abc(tmp_path, "X:1\nM:6/8\nL:1/8\nK:G\nGAB ABc|d3 G3|]\n")
    piece = chorales.harmonize(score, chords="G D | C G", transpose=5, seed=1, particles=4)
    (chords,) = [one["options"] for one in piece.provenance["request"]["samplers"] if one["name"] == "chords"]
    assert chords["chords"] == "C C | G G | F F | C C"
    symbols = [(symbol.tick, symbol.text) for symbol in piece.score.chords]
    assert symbols == [(0, "G"), (720, "D"), (1440, "C"), (2160, "G")]
