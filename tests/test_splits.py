"""Splits: what shares a melody stays on one side, and no side is empty."""

from dataclasses import replace

import numpy as np
import pytest

from composer.data.splits import SPLITS, assign_splits, choose_splits, hash_melody
from composer.errors import EmptyDataset
from composer.music.score import Score, Track, make_notes

MELODY = "C5 D5 E5 F5 G5 E5 C5*2"


@pytest.fixture
def melody(small_score):
    return small_score(MELODY)


def transposed(score, semitones):
    tracks = []
    for track in score.tracks:
        notes = track.notes.copy()
        notes["pitch"] += semitones
        tracks.append(replace(track, notes=notes))
    return replace(score, tracks=tuple(tracks))


@pytest.mark.parametrize("semitones", [-24, -1, 5, 12])
def test_a_transposed_piece_is_the_same_piece(melody, semitones):
    assert hash_melody(transposed(melody, semitones)) == hash_melody(melody)


@pytest.mark.parametrize(
    ("parts", "metre"),
    [
        pytest.param([MELODY, "C4*4 G3*2 C4*2"], "4/4", id="with a bass"),
        pytest.param([MELODY, "A3*4 E3*2 A3*2", "E4*8"], "4/4", id="with another harmony"),
        pytest.param(["C5*2 D5*2 E5*2 F5*2 G5*2 E5*2 C5*4"], "4/4", id="slower"),
        pytest.param(["C5/2 C5/2 D5 E5/2 E5/2 F5 G5 E5 C5*2"], "3/4", id="with repeated notes"),
    ],
)
def test_another_setting_of_a_melody_is_the_same_piece(small_score, melody, parts, metre):
    assert hash_melody(small_score(*parts, metre=metre)) == hash_melody(melody)


def test_chords_under_the_melody_change_nothing(small_score, melody):
    chords = small_score(MELODY, "E4 F4 G4 A4 B4 G4 E4*2")
    one_track = Track(np.sort(np.concatenate([track.notes for track in chords.tracks]), order=["start", "pitch"]))
    assert hash_melody(replace(chords, tracks=(one_track,))) == hash_melody(melody)


def test_another_melody_is_another_piece(small_score, melody):
    assert hash_melody(small_score("C5 D5 E5 F5 G5 F5 C5*2")) != hash_melody(melody)


def test_drums_are_no_melody(melody, small_score):
    drums = replace(small_score("C2 D2 C2 D2").tracks[0], is_drum=True)
    assert hash_melody(replace(melody, tracks=(drums, *melody.tracks))) == hash_melody(melody)
    assert hash_melody(replace(melody, tracks=(drums,))) != hash_melody(melody)


def beat(*sounds, step=240):
    """A piece of drums alone, with a sound at each step."""
    return Score((Track(make_notes([(i * step, 120, sound, 90) for i, sound in enumerate(sounds)]), is_drum=True),))


def test_pieces_of_drums_alone_are_the_same_if_their_beats_are():
    groove = beat(36, 42, 38, 42)
    assert hash_melody(replace(groove, tracks=(replace(groove.tracks[0], name="Kit"),))) == hash_melody(groove)
    # Above both is the same cymbal.
    assert hash_melody(beat(36, 42, 36, 42)) != hash_melody(groove)
    assert hash_melody(beat(36, 42, 38, 42, step=120)) != hash_melody(groove)


def groups(count, seed=0):
    return [int(group) for group in np.random.default_rng(seed).integers(0, 2**63, count)]


def test_pieces_of_one_group_are_on_one_side():
    found = groups(40)
    sides = assign_splits(found * 3)
    assert np.array_equal(sides[:40], sides[40:80])
    assert np.array_equal(sides[:40], sides[80:])


def test_a_group_stays_where_it_is_when_others_come_and_go():
    many = groups(500)
    whole = assign_splits(many)
    assert np.array_equal(assign_splits(many[::-1]), whole[::-1])
    assert np.array_equal(assign_splits(many[:300]), whole[:300])


def test_about_a_tenth_is_for_validation_and_a_tenth_for_the_test():
    shares = np.bincount(assign_splits(groups(5000)), minlength=3) / 5000
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.02)


@pytest.mark.parametrize("count", [3, 4, 5, 8])
def test_no_side_is_empty_however_few_pieces_there_are(count):
    for seed in range(2000):
        sides = assign_splits(groups(count, seed))
        assert set(sides) == set(range(len(SPLITS))), f"seed {seed}"


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_different_pieces_cannot_be_split(count):
    with pytest.raises(EmptyDataset, match=f"there are {count} different pieces among [0-9]+, and at least 3"):
        assign_splits(groups(count) * 5)


def test_predefined_splits_leave_the_others_as_they_are():
    found = groups(300)
    sides = choose_splits([*[""] * 300, *["train"] * 50], [*found, *groups(50, 1)])
    assert np.array_equal(sides[:300], assign_splits(found))
    assert not sides[300:].any()


def test_predefined_splits_alone_must_fill_all_three():
    assert choose_splits(["test", "train", "valid"], [1, 1, 1]).tolist() == [2, 0, 1]
    with pytest.raises(EmptyDataset, match="none to use for valid"):
        choose_splits(["test", "train"], [1, 2])
