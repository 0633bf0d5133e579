"""Sustained notes near fixed ones: when each must be released.

In a fixed part, a note is sustained only while a note of that pitch sounds in the score.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from composer.arrays import convert_like, get_namespace
from composer.tokens.fixed_bars import NEVER
from composer.types import Array
from composer_miditok.plan import PARTS, Ints, Plan
from composer_miditok.state import CODES, OPEN, Field, find_held, get_notes, take_rows


@dataclass(frozen=True, eq=False)
class Sustains:
    """The times of a plan at which notes must be released."""

    plan: Plan

    @cached_property
    def codes(self) -> Ints:
        """(K,) the codes of the score's notes, each once."""
        return np.unique(self.plan.codes)

    @cached_property
    def ends(self) -> Ints:
        """(ticks, K + parts) the next tick at which a note must be released; one column a part for unknown notes."""
        cover, sounds = self.plan.cover, self.plan.music.sounds
        parts = np.concatenate([(self.codes // CODES - 1) % PARTS, np.arange(cover.shape[1])])
        must = cover[:, parts] & self.plan.grid[:, None]
        rows = np.searchsorted(self.codes, self.plan.codes)
        for row, start, end in zip(rows, sounds.starts, sounds.ends, strict=True):
            must[start + 1 : end, row] = False
        ticks = np.where(must, np.arange(len(must))[:, None], NEVER)
        return np.ascontiguousarray(np.minimum.accumulate(ticks[::-1], axis=0)[::-1])

    def find_next_end(self, state: Array, later: int) -> Array:
        """Return (B, SOUNDS) the next tick, from `later` ticks on, at which each note must be released."""
        xp, (codes, _, _) = get_namespace(state), get_notes(state)
        flat = xp.reshape(codes, (-1,))
        index = xp.clip(xp.searchsorted(convert_like(self.codes, state), flat), 0, len(self.codes) - 1)
        part = (flat // CODES - 1) % PARTS if self.plan.cover.shape[1] > 1 else xp.zeros_like(flat)
        row = xp.where(take_rows(self.codes, index) == flat, index, len(self.codes) + part)
        table = take_rows(self.ends, xp.clip(state[:, Field.TICK] + later, 0, len(self.ends) - 1))
        return xp.take_along_axis(table, xp.reshape(row, codes.shape), axis=1)

    def must_release(self, state: Array) -> Array:
        """Mark (B, SOUNDS) the notes that must be released here."""
        return find_held(state) & (self.find_next_end(state, 0) <= state[:, Field.TICK][:, None])

    def find_bound(self, state: Array) -> Array:
        """Return (B,) the last tick to which all sustained notes may continue."""
        xp, (_, _, ends) = get_namespace(state), get_notes(state)
        return xp.min(xp.where(ends == OPEN, self.find_next_end(state, 1), NEVER), axis=1)
