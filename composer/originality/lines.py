"""Lines: a score as melodies of (interval, ratio of durations), whatever its key and tempo.

A track is split into lines by the number of notes that sound above each note. The first line is the upper contour (the
skyline of Uitdenbogerd and Zobel, Melodic Matching Techniques for Large Music Databases, 1999), the second the contour
just below it, and so on: each note is in one line. A single voice is one line. Drums have no pitch, and are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from composer.music.score import Notes, Score

LOOKBACK = 128
"""How many notes back to look for one that still sounds: no more pitches can sound at once."""

STEPS_PER_OCTAVE = 12
"""Ratios of durations are rounded to so many steps per doubling: 3:2 is 7, 4:3 is 5."""

SYMBOLS = 2**16
"""All symbols are positive and less than this."""


@dataclass(frozen=True, eq=False)
class Line:
    """One melody of a score, of at least two notes with distinct onsets."""

    track: int  # its number in the score
    rank: int  # its rank among the lines of that track, the highest first
    notes: Notes  # (n,)

    @cached_property
    def symbols(self) -> NDArray[np.int32]:
        """(n - 1,) for each note and the next one: the interval in semitones, and the ratio of their durations.

        A duration is the time to the next note of the line: a rest belongs to the note before it, and articulation does
        not matter. The last note has its own duration.
        """
        starts = self.notes["start"]
        durations = np.maximum(np.diff(starts, append=starts[-1] + self.notes["duration"][-1]), 1)
        ratios = np.rint(STEPS_PER_OCTAVE * np.log2(durations[1:] / durations[:-1])).clip(-127, 127)
        intervals = np.diff(self.notes["pitch"].astype(np.int32))
        return ((intervals + 128) * 256 + ratios + 128).astype(np.int32)


def extract_lines(score: Score, start: int = 0) -> list[Line]:
    """Extract the lines of a score, track by track, the highest first, from the tick `start` on."""
    return [line for track in range(len(score.tracks)) for line in _extract_from_track(score, track, start)]


def _extract_from_track(score: Score, number: int, start: int) -> Iterator[Line]:
    track = score.tracks[number]
    notes = track.notes[track.notes["start"] >= start]
    if track.is_drum or not len(notes):
        return
    notes = notes[np.lexsort((-notes["pitch"], notes["start"]))]
    above = count_sounding_above(notes)
    for place in range(int(above.max()) + 1):
        line = notes[above == place]
        if len(line) > 1:
            yield Line(number, place, line)


def count_sounding_above(notes: Notes) -> NDArray[np.int64]:
    """Count (n,) the higher notes that sound at each onset; notes are sorted by start, the highest first.

    An earlier note counts if it sounds for at least half of the time to the next onset: a mere overlap with the next
    note (legato) is not a second voice.
    """
    starts, pitches = notes["start"], notes["pitch"]
    ends = starts + notes["duration"]
    middles = _compute_midpoints(starts, ends)
    latest = np.maximum.accumulate(ends)
    above = np.zeros(len(notes), dtype=np.int64)
    for back in range(1, min(LOOKBACK, len(notes) - 1) + 1):
        before, here = slice(None, -back), slice(back, None)
        together = starts[before] == starts[here]
        if not (together | (latest[before] >= middles[here])).any():
            break
        held = (ends[before] >= middles[here]) & (pitches[before] > pitches[here])
        above[here] += together | held
    return above


def _compute_midpoints(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Compute (n,) the tick halfway from each note's onset to the next one, or to the last end."""
    onsets, which = np.unique(starts, return_inverse=True)
    following = np.append(onsets[1:], max(int(ends.max()), int(onsets[-1]) + 1))
    return ((onsets + following + 1) // 2)[which]
