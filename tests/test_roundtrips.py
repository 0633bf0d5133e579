"""What an exporter of notation writes comes back, over all that its format holds; what does not is said."""

import random
import warnings
from dataclasses import replace
from itertools import pairwise

import pytest
from music import drums, line, score
from randomscores import DRUMS, random_score

from composer.errors import LeftOutWarning, ReadingWarning
from composer.io import formats
from composer.music.score import Tempo
from composer.types import Piece
from composer_notation.reader import NotationReader


@pytest.fixture
def again(tmp_path):
    """Writes a score and reads it again: what comes back, and what was said."""

    def write_and_read(music, suffix):
        path = tmp_path / f"piece{suffix}"
        path.unlink(missing_ok=True)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            formats.write([Piece(music)], path)
            read = NotationReader()(path)
        return read, [str(one.message) for one in said if issubclass(one.category, ReadingWarning | LeftOutWarning)]

    return write_and_read


def rows(track, *fields):
    return sorted(tuple(int(note[name]) for name in fields) for note in track.notes)


def signs(music):
    """What stands above the notes."""
    return (
        music.time_signatures, music.key_signatures, music.upbeat, music.markers, music.chords, music.title,
    )  # fmt: skip


def told(music):
    """All that MusicXML holds: of drums not how long they are, nor how loud, which no one writes down."""
    told_of = {False: ("start", "duration", "pitch", "velocity"), True: ("start", "pitch")}
    tracks = [
        (track.name, track.program, track.is_drum, rows(track, *told_of[track.is_drum])) for track in music.tracks
    ]
    return music.tempos, signs(music), tracks


def told_in_abc(music):
    """All that ABC holds: no drums, nothing of loudness, whole numbers for tempos, and a name for each part."""
    tracks = [(track.program, rows(track, "start", "duration", "pitch")) for track in music.tracks if not track.is_drum]
    tempos = [(tempo.tick, round(tempo.bpm)) for tempo in music.tempos]
    changes = [tempo for before, tempo in pairwise([(0, 0), *tempos]) if tempo[1] != before[1]]
    return changes, signs(music), tracks


HELD = {".musicxml": told, ".mxl": told, ".abc": told_in_abc}
SOME = [pytest.param(range(60)), pytest.param(range(60, 2000), marks=pytest.mark.soak)]


@pytest.mark.parametrize("seeds", SOME)
@pytest.mark.parametrize("suffix", HELD)
def test_random_music_comes_back_or_what_changed_is_said(again, suffix, seeds):
    as_they_were = 0
    for seed in seeds:
        music = random_score(random.Random(seed))
        read, said = again(music, suffix)
        if not any("off the grid" in one for one in said):
            assert HELD[suffix](read) == HELD[suffix](music), seed
            as_they_were += 1
    assert as_they_were > 0.9 * len(seeds)


def test_drums_are_left_out_of_abc_and_that_is_said(again):
    read, said = again(score(line((60, 4)), drums((0, 36))), ".abc")
    assert [len(track.notes) for track in read.tracks] == [1]
    assert any("drums were left out" in one for one in said)


@pytest.mark.parametrize("suffix", [".musicxml", ".mxl"])
def test_every_sound_of_a_drum_kit_comes_back(again, suffix):
    music = score(drums(*((place / 2, sound) for place, sound in enumerate(DRUMS))))
    read, said = again(music, suffix)
    assert rows(read.tracks[0], "start", "pitch") == rows(music.tracks[0], "start", "pitch")
    assert not said


@pytest.mark.parametrize("programs", [range(64), range(64, 128)])
def test_every_instrument_comes_back(again, programs):
    music = score(*(line((60, 4), name=f"Part {program}", program=program) for program in programs))
    assert again(music, ".musicxml")[0].tracks == music.tracks


def test_each_note_of_a_chord_is_as_loud_as_it_was(again):
    music = score(line((60, 4), velocity=30), line((64, 4), velocity=110))
    together = replace(music.tracks[0], notes=music.tracks[0].notes.repeat(2))
    together.notes["pitch"][1], together.notes["velocity"][1] = 64, 110
    assert again(replace(music, tracks=(together,)), ".musicxml")[0].tracks == (together,)


def test_a_pitch_that_is_struck_while_it_sounds_stays_two_notes(again):
    held = line(((60, 64), 6), (0, 2))
    struck = line((0, 1), (60, 1), (0, 2), (67, 3), (0, 1))
    notes = sorted([*held.notes.tolist(), *struck.notes.tolist()], key=lambda note: (note[0], note[2]))
    track = replace(held, notes=held.notes[:1].repeat(len(notes)))
    track.notes[:] = notes
    assert again(score(track), ".musicxml")[0].tracks == (track,)


def test_notes_and_signs_that_no_page_holds_are_counted(again):
    music = replace(score(line((60, 4)), line((62, 0.01), (62, 0.02), (60, 3))), tempos=(Tempo(9600, 100.0),))
    _, said = again(music, ".musicxml")
    assert any(
        "left out: notes that fall together with another one (1), signs after the last bar (1)" in one for one in said
    )


def test_signs_within_a_bar_come_back(again):
    music = replace(score(line(*[(60 + n, 1) for n in range(8)])), tempos=(Tempo(0, 90.0), Tempo(480, 101.5)))
    assert again(music, ".musicxml")[0].tempos == music.tempos
    assert [round(tempo.bpm) for tempo in again(music, ".abc")[0].tempos] == [90, 102]


@pytest.mark.parametrize("seeds", [pytest.param(range(4)), pytest.param(range(4, 200), marks=pytest.mark.soak)])
@pytest.mark.parametrize("suffix", [".svg", ".pdf"])
@pytest.mark.filterwarnings("ignore::composer.errors.ReadingWarning")
def test_random_music_is_engraved(tmp_path, suffix, seeds):
    pytest.importorskip("verovio")
    for seed in seeds:
        path = tmp_path / f"{seed}{suffix}"
        formats.write([Piece(random_score(random.Random(seed)))], path)
        assert path.stat().st_size > 1000
