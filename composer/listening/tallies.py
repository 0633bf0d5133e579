"""What is counted in one piece of any music, so that the figures of a set follow from sums; it knows no voices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from composer.keys import Key
from composer.listening.heard import Heard, final_chord, top_line
from composer.score import TICKS_PER_QUARTER

Tally: TypeAlias = Mapping[str, NDArray[np.float64]]
"""Counts by name: (W,) for a piece, (pieces, W) for a set. A pair (2,) is a part and the whole that it is of."""

WIDEST = 12
"""Melodic intervals beyond so many semitones are counted as this one."""

DURATIONS = ("1/4", "1/3", "1/2", "2/3", "3/4", "1", "1.5", "2", "3", "4", "other")
"""The classes of durations, in quarter notes."""

_CLASS_TICKS = np.array([quarter * TICKS_PER_QUARTER // 12 for quarter in (3, 4, 6, 8, 9, 12, 18, 24, 36, 48)])
_SCALES = {False: (0, 2, 4, 5, 7, 9, 11), True: (0, 2, 3, 5, 7, 8, 9, 10, 11)}
_TRIADS = {False: (0, 4, 7), True: (0, 3, 4, 7)}


def music_tally(heard: Heard) -> dict[str, NDArray[np.float64]]:
    """The counts that make sense for any music."""
    pitches = heard.notes["pitch"].astype(np.int64)
    classes = above_tonic(pitches, heard.key)
    intervals = steps(top_line(heard.notes)["pitch"].astype(np.int64))
    chord = above_tonic(final_chord(heard.notes), heard.key)
    return {
        "pitch classes": counts(classes, 12),
        "durations": counts(duration_class(heard.notes["duration"]), len(DURATIONS)),
        "intervals": counts(np.clip(intervals, -WIDEST, WIDEST) + WIDEST, 2 * WIDEST + 1),
        "density": pair(len(pitches), heard.beats),
        "chromatic": pair(int(np.sum(~np.isin(classes, _SCALES[heard.key.minor]))), len(pitches)),
        "repeated": pair(int(np.sum(intervals == 0)), len(intervals)),
        "tonic end": pair(len(chord) > 0 and 0 in (chord[0], chord[-1]), 1),
        "chord end": pair(len(chord) > 0 and bool(np.isin(chord, _TRIADS[heard.key.minor]).all()), 1),
        "bars": pair(heard.bars, 1),
    }


def above_tonic(pitches: NDArray[np.int64], key: Key) -> NDArray[np.int64]:
    """Pitch classes counted from the tonic of `key`, 0..11."""
    return (pitches - key.tonic) % 12


def steps(pitches: NDArray[np.int64]) -> NDArray[np.int64]:
    """Semitones from each pitch to the next."""
    return np.asarray(pitches[1:] - pitches[:-1])


def duration_class(ticks: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place in `DURATIONS` of each length in ticks; only exact lengths have a class of their own."""
    place = np.searchsorted(_CLASS_TICKS, ticks)
    exact = _CLASS_TICKS[np.minimum(place, len(_CLASS_TICKS) - 1)] == ticks
    return np.where(exact, place, len(_CLASS_TICKS))


def counts(values: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """(size,) how often each of 0..size-1 occurs."""
    return np.bincount(values, minlength=size).astype(np.float64)


def pair(part: float, whole: float) -> NDArray[np.float64]:
    """(2,) a part and the whole that it is of."""
    return np.array([part, whole], dtype=np.float64)
