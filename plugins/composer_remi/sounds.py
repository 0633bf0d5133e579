"""Sounds: the notes of a score on a grid, in the order in which they are written; it knows no tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.music.score import Notes
from composer.tokens.bar_encoding import changes

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Sounds:
    """Notes by step, then part, then pitch, never two the same in these. All arrays are (notes,)."""

    steps: Ints
    parts: Ints  # places in a list of programs
    pitches: Ints
    lengths: Ints  # in steps
    velocities: Ints

    def __getitem__(self, which: Any) -> Sounds:
        return Sounds(
            self.steps[which], self.parts[which], self.pitches[which], self.lengths[which], self.velocities[which]
        )


def on_grid(notes: Notes, parts: Ints, step_ticks: int) -> Sounds:
    """The notes, each of which belongs to one of the `parts` (notes,), rounded to steps; a note keeps one at least.

    Of two notes that fall together the longer one stays; one that is struck again before its end ends there.
    """
    steps = _steps(notes["start"], step_ticks)
    lengths = np.maximum(_steps(notes["start"] + notes["duration"], step_ticks) - steps, 1)
    return cut(ordered(Sounds(steps, parts, notes["pitch"].astype(np.int64), lengths, notes["velocity"])))


def _steps(ticks: Ints, step_ticks: int) -> Ints:
    return (ticks + step_ticks // 2) // step_ticks


def ordered(sounds: Sounds) -> Sounds:
    """The same, sorted, and the longest of each that fall together."""
    key = (sounds.steps << 8 | sounds.parts) << 7 | sounds.pitches
    order = np.argsort(key << 22 | _LONGEST - np.minimum(sounds.lengths, _LONGEST))
    fresh = changes(key[order])
    return sounds[order if fresh.all() else order[fresh]]


_LONGEST = 2**22 - 1
"""Steps: longer notes are all one when it is asked which one is the longest."""


def cut(sounds: Sounds) -> Sounds:
    """The same, where a note ends when the same pitch of the same part is struck again."""
    line = (sounds.parts * 128 + sounds.pitches).astype(np.int16)
    order = np.argsort(line, kind="stable")
    steps, lengths = sounds.steps[order], sounds.lengths.copy()
    until = np.where(line[order[1:]] == line[order[:-1]], steps[1:] - steps[:-1], lengths[order[:-1]])
    lengths[order[:-1]] = np.minimum(lengths[order[:-1]], until)
    return Sounds(sounds.steps, sounds.parts, sounds.pitches, lengths, sounds.velocities)
