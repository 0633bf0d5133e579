"""Sounds: the notes of a score on a grid, in the order in which they are written; it knows no tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.score import NOTE, Track

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


def on_grid(tracks: Sequence[Track], parts: Sequence[int], step_ticks: int) -> Sounds:
    """The notes of `tracks`, each of which belongs to one of the `parts`, rounded to steps; a note keeps one at least.

    Of two notes that fall together the longer one stays; one that is struck again before its end ends there.
    """
    notes = [track.notes for track in tracks]
    starts, durations, pitches, velocities = (np.concatenate([n[name] for n in notes]) for name in NOTE.names or ())
    steps = _steps(starts, step_ticks)
    found = Sounds(
        steps=steps,
        parts=np.repeat(np.array(parts), [len(n) for n in notes]),
        pitches=pitches.astype(np.int64),
        lengths=np.maximum(_steps(starts + durations, step_ticks) - steps, 1),
        velocities=velocities.astype(np.int64),
    )
    return cut(ordered(found))


def _steps(ticks: Ints, step_ticks: int) -> Ints:
    return (ticks + step_ticks // 2) // step_ticks


def ordered(sounds: Sounds) -> Sounds:
    """The same, sorted, and the longest of each that fall together."""
    key = (sounds.steps * 256 + sounds.parts) * 128 + sounds.pitches
    if np.all(key[1:] > key[:-1]):
        return sounds
    order = np.lexsort((-sounds.lengths, key))
    return sounds[order[changes(key[order])]]


def changes(values: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Where a value differs from the one before it; the first does."""
    differ = np.ones(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=differ[1:])
    return differ


def cut(sounds: Sounds) -> Sounds:
    """The same, where a note ends when the same pitch of the same part is struck again."""
    line = (sounds.parts * 128 + sounds.pitches).astype(np.int16)
    order = np.argsort(line, kind="stable")
    again = np.flatnonzero(~changes(line[order]))
    later, earlier = order[again], order[again - 1]
    lengths = sounds.lengths.copy()
    lengths[earlier] = np.minimum(lengths[earlier], sounds.steps[later] - sounds.steps[earlier])
    return Sounds(sounds.steps, sounds.parts, sounds.pitches, lengths, sounds.velocities)
