"""The single lines of a score on a grid, one for each voice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from composer.errors import CannotExpress, printable
from composer.music.score import Notes, Score, Track
from composer.tokens.bar_encoding import find_key


@dataclass(frozen=True)
class Line:
    """The notes of one voice, without overlaps. All arrays are (notes,), in grid steps."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    pitches: NDArray[np.int64]
    shift: int = 0  # semitones from written to sounding pitches


def check_range(named: Iterable[tuple[str, Line]], lowest: int, highest: int) -> None:
    """Raise CannotExpress, in sounding pitches, for a note outside `lowest` to `highest` as written."""
    for name, line in named:
        outside = line.pitches[(line.pitches < lowest) | (line.pitches > highest)]
        if len(outside):
            reach = f"{lowest + line.shift} to {highest + line.shift}{' in its key' if line.shift else ''}"
            raise CannotExpress(f"{name} has the pitch {outside[0] + line.shift}; there are tokens for {reach}.")


def extract_lines(score: Score, voices: int, step_ticks: int, *, relative: bool = False) -> list[Line]:
    """Extract a line for each of `voices` voices. Raises CannotExpress for a score with more lines, or with chords.

    A single track of chords is separated from the top, and missing voices are silent. With `relative`, pitches are
    transposed to C.
    """
    found = _extract_lines(score, voices, step_ticks)
    shift = find_key(score).tonic_offset if relative else 0
    return [Line(line.starts, line.ends, line.pitches - shift, shift) for line in found]


def _extract_lines(score: Score, voices: int, step_ticks: int) -> list[Line]:
    tracks = [track for track in score.tracks if not track.is_drum]
    if len(tracks) > voices:
        tracks = [track for track in tracks if len(track.notes)]
    if len(tracks) > voices:
        raise CannotExpress(f"there are {len(tracks)} parts, and at most {voices} voices can be written.")
    found = [_extract_line(track, step_ticks) for track in tracks]
    if len(tracks) == 1 and found[0] is None:
        return _separate_chords(tracks[0].notes, voices, step_ticks)
    if any(line is None for line in found):
        name = next(track.name for track, line in zip(tracks, found, strict=True) if line is None)
        raise CannotExpress(f"the part '{printable(name, 40)}' holds chords, and a voice is a single line.")
    silent = Line(*(np.zeros(0, dtype=np.int64),) * 3)
    return [line for line in found if line is not None] + [silent] * (voices - len(found))


def _quantise(notes: Notes, step_ticks: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Quantise starts and ends to the grid; a note keeps at least one step."""
    starts = (notes["start"] + step_ticks // 2) // step_ticks
    ends = (notes["start"] + notes["duration"] + step_ticks // 2) // step_ticks
    return starts, np.maximum(ends, starts + 1)


def _extract_line(track: Track, step_ticks: int) -> Line | None:
    """Extract a track as a single line; None if it holds chords. A note ends at the next onset."""
    notes = track.notes
    starts, ends = _quantise(notes, step_ticks)
    overlap = np.minimum(ends[:-1], ends[1:]) - starts[1:]
    shorter = np.minimum(ends[:-1] - starts[:-1], ends[1:] - starts[1:])
    if np.any((notes["start"][1:] == notes["start"][:-1]) | (2 * overlap > shorter) & (overlap > 1)):
        return None
    last_of_step = np.append(starts[1:] != starts[:-1], True)[: len(starts)]
    starts, ends = starts[last_of_step], ends[last_of_step]
    return Line(
        starts, np.minimum(ends, np.append(starts[1:], np.iinfo(np.int64).max)), _get_pitches(notes[last_of_step])
    )


def _get_pitches(notes: Notes) -> NDArray[np.int64]:
    return notes["pitch"].astype(np.int64)


def _separate_chords(notes: Notes, voices: int, step_ticks: int) -> list[Line]:
    """Separate chords into lines: at every onset, from the top, each note goes to the highest free voice."""
    starts, ends = _quantise(notes, step_ticks)
    busy_until = np.zeros(voices, dtype=np.int64)
    voice_of = np.empty(len(notes), dtype=np.int64)
    for i in np.lexsort((-_get_pitches(notes), starts)):
        free = np.flatnonzero(busy_until <= starts[i])
        if not len(free):
            bar = starts[i] * step_ticks
            raise CannotExpress(f"more than {voices} notes sound at once at tick {bar}.")
        voice_of[i] = free[0]
        busy_until[free[0]] = ends[i]
    pitches = _get_pitches(notes)
    order = [np.flatnonzero(voice_of == voice) for voice in range(voices)]
    return [Line(starts[i], ends[i], pitches[i]) for i in order]
