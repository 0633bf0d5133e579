"""Humanizing: the notes stay, loudness and timing are a player's, by a strength, and the same for the same seed."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from music import BAR, QUARTER, drums, line, score

from composer.errors import ComposerError, RequestWarning
from composer.generation.composer import Composer
from composer.io import formats
from composer.io.objects import read
from composer.model import save
from composer.music.score import Score, Tempo, Text, Track, make_notes, parse_time_signature
from composer.testing import make_random_model
from composer.types import Piece
from composer_drums.tokenizer import Drums

SIXTEENTH, TRIPLET = 120, 160  # ticks
KICK, SNARE, RIM, CLOSED, NO_CLASS = 36, 38, 37, 42, 100
FEW = {"particles": 2, "seed": 1}


def make_drummer(**options):
    """A model of random weights."""
    return Composer(make_random_model("mingru", "drums", {"time_signatures": ("4/4",), **options}, hidden_size=16))


@pytest.fixture(scope="module")
def drummer():
    return make_drummer()


def beat(*hits, **fields):
    """Drums of (tick, sound, velocity), a 32nd each."""
    rows = sorted((tick, 60, sound, velocity) for tick, sound, velocity in hits)
    return Score((Track(make_notes(rows), "Kit", is_drum=True),), tempos=(Tempo(0, 96.0),), **fields)


ROCK = [(bar * BAR + eighth * 240, CLOSED, 80) for bar in range(12) for eighth in range(8)]
ROCK += [(bar * BAR + quarter * QUARTER, (KICK, SNARE)[quarter % 2], 100) for bar in range(12) for quarter in range(4)]
TRICKY = [
    *((tick, SNARE, 60 + tick // 60) for tick in range(0, QUARTER, 60)),  # a roll of 32nds
    *((QUARTER + part * TRIPLET, CLOSED, 70) for part in range(3)),
    *((2 * QUARTER + place, SNARE, velocity) for place, velocity in ((95, 30), (SIXTEENTH, 110))),  # a flam
    *((3 * QUARTER, sound, 90) for sound in (SNARE, RIM, KICK, NO_CLASS)),
]


def list_hits(music, track=0):
    return [(int(n["start"]), int(n["pitch"]), int(n["velocity"])) for n in music.tracks[track].notes]


def list_onsets(music, sound):
    return [tick for tick, pitch, _ in list_hits(music) if pitch == sound]


def test_the_same_notes_are_played_and_all_else_stays(drummer):
    bass = Track(make_notes([(0, 900, 40, 70), (1000, 300, 43, 70)]), "Bass", program=33)
    shaker = Track(make_notes([(0, 30, 70, 50), (240, 30, 70, 50)]), "Shaker", is_drum=True)
    given = beat(*TRICKY, markers=(Text(0, "Intro"),))
    given = replace(given, tracks=(*given.tracks, bass, shaker))
    with pytest.warns(RequestWarning) as said:
        piece = drummer.humanize(given, **FEW).score
    assert [str(one.message) for one in said] == [
        "this model plays drums; other parts stay as they are: Bass.",
        "the model has not these sounds of the drums, which stay as they are: 100.",
    ]
    assert replace(piece, tracks=()) == replace(given, tracks=())
    assert [(track.name, track.program, track.is_drum) for track in piece.tracks] == [
        (track.name, track.program, track.is_drum) for track in given.tracks
    ]
    assert piece.tracks[1].notes.tolist() == bass.notes.tolist()
    for track in (0, 2):
        before, after = (Counter(sound for _, sound, _ in list_hits(music, track)) for music in (given, piece))
        assert before == after
    assert (3 * QUARTER, NO_CLASS, 90) in list_hits(piece)
    assert list_hits(piece) != list_hits(given)
    for sound in (SNARE, CLOSED):
        assert len(set(list_onsets(piece, sound))) == len(list_onsets(given, sound))


def test_onsets_stay_near_the_grid_in_order_and_in_the_piece(drummer):
    piece = drummer.humanize(beat(*ROCK), **FEW)
    for sound in (KICK, SNARE, CLOSED):
        before, after = (np.array(list_onsets(music, sound)) for music in (beat(*ROCK), piece.score))
        assert np.abs(before - after).max() <= SIXTEENTH // 2
    assert piece.score.end <= 12 * BAR
    assert piece.provenance["request"].get("attempt", 0) == 0  # equal bars are given, and no loop
    assert len({velocity for *_, velocity in list_hits(piece.score)}) > 2


def test_a_strength_of_nothing_puts_what_is_played_on_the_grid_as_loud_as_it_was(drummer):
    played = [(tick + (13, -17, 22)[n % 3] * (tick > 0), sound, 40 + n % 80) for n, (tick, sound, _) in enumerate(ROCK)]
    piece = drummer.humanize(beat(*played), strength=0, **FEW)
    expected = [(tick, sound, 40 + n % 80) for n, (tick, sound, _) in enumerate(ROCK)]
    assert Counter(list_hits(piece.score)) == Counter(expected)


def test_what_is_written_on_a_grid_stays_there_without_strength_also_rolls_and_flams(drummer):
    given = beat(*TRICKY, *(hit for hit in ROCK if hit[0] >= BAR))
    with pytest.warns(RequestWarning, match="not these sounds"):
        piece = drummer.humanize(given, strength=0, **FEW)
    assert list_hits(piece.score) == list_hits(given)


def test_strength_goes_from_the_grid_to_the_player(drummer):
    stiff, half, full = (
        np.array(sorted((sound, tick, velocity) for tick, sound, velocity in list_hits(piece.score)))
        for piece in (drummer.humanize(beat(*ROCK), strength=strength, **FEW) for strength in (0, 0.5, 1))
    )
    assert np.abs(half[:, 1:] - (stiff + full)[:, 1:] / 2).max() <= 0.5
    assert np.abs(full - stiff).max() > 10


def test_the_same_seed_plays_the_same_and_another_one_otherwise(drummer):
    one, other = drummer.humanize(beat(*ROCK), count=2, **FEW)
    assert list_hits(drummer.humanize(beat(*ROCK), **FEW).score) == list_hits(one.score)
    assert list_hits(drummer.regenerate(other).score) == list_hits(other.score) != list_hits(one.score)


def test_a_model_of_loudness_or_of_timing_alone_leaves_the_other_as_it_is():
    given = beat(*((tick + 7 * (tick > 0), sound, 70) for tick, sound, _ in ROCK[:8]))
    late = beat(*((tick + 30, sound, 124) for tick, sound, _ in ROCK[:8]))

    def play(tokenizer):
        return list_hits(tokenizer.humanize(given, tokenizer.decode(tokenizer.encode(late)), 1.0))

    assert play(Drums(fine_steps=0)) == [(tick, sound, 124) for tick, sound, _ in list_hits(given)]
    assert play(Drums(velocities=0)) == [(tick, sound, 70) for tick, sound, _ in list_hits(late)]


@pytest.mark.parametrize("metre", ["2/4", "12/8"])
def test_other_bars_are_read_as_those_with_the_same_beats_that_a_model_knows(drummer, metre):
    given = beat(*ROCK[:8], (BAR, KICK, 90), time_signatures=(parse_time_signature(metre),))
    known = make_drummer()
    known.model.card["metres"] = {"4/4": 9}
    piece = known.humanize(given, **FEW)
    assert [str(metre) for metre in piece.score.time_signatures] == [metre]
    moved = np.abs(np.array(list_onsets(piece.score, CLOSED)) - np.arange(8) * 240)
    assert 0 < moved.max() <= 150  # what is nearest to a triplet in 12/8
    with pytest.raises(ComposerError, match=f"no bars of {metre}"):
        drummer.humanize(given, **FEW)


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (score(line((60, 4), name="Piano")), {}, "there are no drums in it, and this model plays drums"),
        (score(line()), {}, "the music contains no notes"),
        (score(drums((0, NO_CLASS))), {}, "there are no drums in it"),
        (beat(*ROCK), {"strength": 1.5}, "'strength' is 1.5, and must be from 0 to 1"),
        (beat((0, KICK, 80), time_signatures=score(metres=((0, 7, 8),)).time_signatures), {}, "no bars of 7/8"),
    ],
)
def test_what_cannot_be_played_is_refused_in_a_sentence(drummer, given, options, message):
    with pytest.raises(ComposerError, match=message):
        drummer.humanize(given, **options, **FEW)


def test_a_model_without_loudness_and_timing_plays_nothing():
    mute = make_drummer(velocities=0, fine_steps=0)
    pianist = Composer(make_random_model("mingru", "remi", {"time_signatures": ("4/4",)}, hidden_size=16))
    for model in (mute, pianist):
        with pytest.raises(ComposerError, match="writes neither loudness nor timing"):
            model.humanize(beat(*ROCK), **FEW)


def test_humanize_writes_a_file_that_is_made_again_byte_for_byte(run, drummer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(drummer.model, Path("mine.safetensors"))
    given = beat(*ROCK[:16])
    given = replace(given, tracks=(*given.tracks, line((60, 4), name="Piano")))
    formats.write([Piece(given)], "stiff.mid")
    asked = ["humanize", "stiff.mid", "played.mid", "--strength", "0.7", "--particles", "2", "--seed", "1"]
    with pytest.warns(RequestWarning, match="other parts stay as they are: Piano"):
        assert run(*asked, "--model", "mine.safetensors").status == 0
    with pytest.warns(RequestWarning):
        same = drummer.humanize(read("stiff.mid"), strength=0.7, **FEW)
    assert list_hits(read("played.mid").score) == list_hits(same.score)
    Path("stiff.mid").unlink()
    assert run("regenerate", "played.mid", "again.mid").status == 0
    assert Path("again.mid").read_bytes() == Path("played.mid").read_bytes()
