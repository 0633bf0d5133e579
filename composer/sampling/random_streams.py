"""Random streams: the uniforms of a piece, from counters alone.

Philox 4x64-10 (Salmon et al., SC 2011), as in NumPy: the key is (seed, index), the counter is (block, attempt,
purpose). So a piece draws the same numbers alone, in any batch, on any worker and after a crash.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK = 256
"""Steps whose uniforms are computed at once."""


def draw_uniforms(seed: int, index: int, attempt: int, block: int, purpose: str = "draw") -> NDArray[np.float64]:
    """Return (BLOCK,) uniforms in [0, 1) for the steps from `block * BLOCK` on, for one purpose."""
    # One step of the counter gives four numbers, so blocks lie BLOCK / 4 apart.
    counter = np.array([block * (BLOCK // 4), attempt, zlib.crc32(purpose.encode()), 0], dtype=np.uint64)
    bits = np.random.Philox(key=np.array([seed, index], dtype=np.uint64), counter=counter).random_raw(BLOCK)
    return np.asarray((bits >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def make_generator(seed: int, index: int, attempt: int, purpose: str) -> np.random.Generator:
    """Return the random generator of a piece for one purpose, from the same counters."""
    counter = np.array([0, attempt, zlib.crc32(purpose.encode()), 0], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=np.array([seed, index], dtype=np.uint64), counter=counter))


class Streams:
    """The streams of the rows of a batch; a block is computed at its first step."""

    def __init__(self) -> None:
        """Begin without a row."""
        self._rows: list[tuple[int, int, int]] = []
        self._blocks = np.zeros((0, BLOCK))
        self._first = self._numbers = np.zeros(0, dtype=np.int64)  # the first step of each block, and 0 to B - 1

    def add(self, rows: Sequence[tuple[int, int, int]]) -> None:
        """Add rows, each (seed, index, attempt)."""
        self._rows = [*self._rows, *rows]
        self._blocks = np.concatenate([self._blocks, np.zeros((len(rows), BLOCK))])
        self._first = np.concatenate([self._first, np.full(len(rows), -BLOCK)])  # none yet
        self._numbers = np.arange(len(self._rows))

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Keep these rows only."""
        self._rows = [self._rows[int(row)] for row in rows]
        self._blocks, self._first = self._blocks[rows], self._first[rows]
        self._numbers = np.arange(len(self._rows))

    def draw(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return (B,) the uniform of one step of each row."""
        place = steps - self._first
        if place.view(np.uint64).max(initial=0) >= BLOCK:  # one below 0 as well
            for row in np.flatnonzero((place < 0) | (place >= BLOCK)).tolist():
                block = int(steps[row]) // BLOCK
                self._blocks[row], self._first[row] = draw_uniforms(*self._rows[row], block), block * BLOCK
            place = steps - self._first
        return self._blocks[self._numbers, place]
