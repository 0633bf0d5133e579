"""The notes of a score on a grid, in the order of their tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.music.score import Notes
from composer.tokens.bar_encoding import mark_changes

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Sounds:
    """Notes sorted by step, then part, then pitch, without duplicates in these. All arrays are (notes,)."""

    steps: Ints
    parts: Ints  # indices of a list of programs
    pitches: Ints
    lengths: Ints  # in steps
    velocities: Ints

    def __getitem__(self, which: Any) -> Sounds:
        return Sounds(
            self.steps[which], self.parts[which], self.pitches[which], self.lengths[which], self.velocities[which]
        )


def quantise(notes: Notes, parts: Ints, step_ticks: int) -> Sounds:
    """Quantise notes to steps, each at least one step long. `parts` (notes,) gives the part of each.

    Of two notes at one step and pitch the longer one stays. A re-articulated note ends at the next onset.
    """
    steps = _round_to_steps(notes["start"], step_ticks)
    lengths = np.maximum(_round_to_steps(notes["start"] + notes["duration"], step_ticks) - steps, 1)
    return cut_overlaps(sort_sounds(Sounds(steps, parts, notes["pitch"].astype(np.int64), lengths, notes["velocity"])))


def _round_to_steps(ticks: Ints, step_ticks: int) -> Ints:
    return (ticks + step_ticks // 2) // step_ticks


def sort_sounds(sounds: Sounds) -> Sounds:
    """Sort notes, and keep the longest of duplicates."""
    key = (sounds.steps << 8 | sounds.parts) << 7 | sounds.pitches
    order = np.argsort(key << 22 | _LONGEST - np.minimum(sounds.lengths, _LONGEST))
    fresh = mark_changes(key[order])
    return sounds[order if fresh.all() else order[fresh]]


_LONGEST = 2**22 - 1
"""Steps; longer notes are equal in length when the longest is chosen."""


def cut_overlaps(sounds: Sounds) -> Sounds:
    """Cut notes at the next onset of the same pitch in the same part."""
    line = (sounds.parts * 128 + sounds.pitches).astype(np.int16)
    order = np.argsort(line, kind="stable")
    steps, lengths = sounds.steps[order], sounds.lengths.copy()
    until = np.where(line[order[1:]] == line[order[:-1]], steps[1:] - steps[:-1], lengths[order[:-1]])
    lengths[order[:-1]] = np.minimum(lengths[order[:-1]], until)
    return Sounds(sounds.steps, sounds.parts, sounds.pitches, lengths, sounds.velocities)
