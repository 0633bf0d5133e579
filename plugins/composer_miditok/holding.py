"""Notes that are held where notes are given: when each must be let go; it knows nothing of what is struck.

Where a part is given, a note of it sounds on only while the score has one of that pitch sounding there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from composer.arrays import like, namespace
from composer.tokens.fixed_bars import NEVER
from composer.types import Array
from composer_miditok.plan import PARTS, Ints, Plan
from composer_miditok.state import CODES, OPEN, Field, held, notes, of


@dataclass(frozen=True, eq=False)
class Holding:
    """Of a plan, when notes must be let go."""

    plan: Plan

    @cached_property
    def known(self) -> Ints:
        """(K,) the notes that the score has, each once."""
        return np.unique(self.plan.codes)

    @cached_property
    def ends(self) -> Ints:
        """(ticks, K + parts) the next place, this one or a later, where a note must end; of a part, one not known."""
        cover, sounds = self.plan.cover, self.plan.music.sounds
        parts = np.concatenate([(self.known // CODES - 1) % PARTS, np.arange(cover.shape[1])])
        must = cover[:, parts] & self.plan.grid[:, None]
        rows = np.searchsorted(self.known, self.plan.codes)
        for row, start, end in zip(rows, sounds.starts, sounds.ends, strict=True):
            must[start + 1 : end, row] = False
        places = np.where(must, np.arange(len(must))[:, None], NEVER)
        return np.ascontiguousarray(np.minimum.accumulate(places[::-1], axis=0)[::-1])

    def next_end(self, state: Array, later: int) -> Array:
        """(B, SOUNDS) where each of the notes must end, from here on or so much later."""
        xp, (codes, _, _) = namespace(state), notes(state)
        flat = xp.reshape(codes, (-1,))
        place = xp.clip(xp.searchsorted(like(self.known, state), flat), 0, len(self.known) - 1)
        part = (flat // CODES - 1) % PARTS if self.plan.cover.shape[1] > 1 else xp.zeros_like(flat)
        row = xp.where(of(self.known, place) == flat, place, len(self.known) + part)
        table = of(self.ends, xp.clip(state[:, Field.TICK] + later, 0, len(self.ends) - 1))
        return xp.take_along_axis(table, xp.reshape(row, codes.shape), axis=1)

    def due(self, state: Array) -> Array:
        """(B, SOUNDS) the notes that must be let go here."""
        return held(state) & (self.next_end(state, 0) <= state[:, Field.TICK][:, None])

    def bound(self, state: Array) -> Array:
        """(B,) up to where all that is held may sound on."""
        xp, (_, _, ends) = namespace(state), notes(state)
        return xp.min(xp.where(ends == OPEN, self.next_end(state, 1), NEVER), axis=1)
