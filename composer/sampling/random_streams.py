"""Random streams: the uniforms of a piece, from counters alone.

Philox 4x64-10 (Salmon et al., SC 2011), as in NumPy: the key is (seed, index), the counter is (block, attempt,
purpose). So a piece draws the same numbers alone, in any batch, on any worker and after a crash.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from composer.arrays import get_namespace, make_range, take_columns
from composer.types import Array

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


MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
"""The constants of Philox 4x64: those that the counter is multiplied by, and those that the key grows by."""

ROUNDS = 10
LOW = 0xFFFFFFFF


def compute_uniforms(keys: Array, steps: Array, count: int, purpose: str = "draw") -> Array:
    """Compute (B, count) the uniforms that `draw_uniforms` draws, from `steps` (B,) on, on any device.

    `keys` (B, 3) are seed, index and attempt of each row. Numbers are int64, whose products and sums wrap around as
    those of uint64 do; only a shift to the right differs, and is masked.
    """
    xp = get_namespace(keys)
    blocks = (steps // 4)[:, None] + 1 + make_range(count // 4 + 2, keys)  # NumPy counts up before it draws
    zeros = xp.zeros_like(blocks)
    counter = [blocks, zeros + keys[:, 2:], zeros + zlib.crc32(purpose.encode()), zeros]
    first, second = zeros + keys[:, :1], zeros + keys[:, 1:2]
    for number in range(ROUNDS):
        (high, low), (other_high, other_low) = (
            _multiply(counter[place], multiplier) for place, multiplier in zip((0, 2), MULTIPLIERS, strict=True)
        )
        one, two = (_wrap(number * weyl) for weyl in WEYL)
        counter = [other_high ^ counter[1] ^ (first + one), other_low, high ^ counter[3] ^ (second + two), low]
    bits = xp.reshape(xp.stack(counter, axis=2), (keys.shape[0], -1))
    places = (steps % 4)[:, None] + make_range(count, keys)
    return xp.astype((take_columns(bits, places) >> 11) & (2**53 - 1), xp.float64) * 2.0**-53


def _wrap(number: int) -> int:
    """Return the int64 with the last 64 bits of a whole number."""
    return (number + 2**63) % 2**64 - 2**63


def _multiply(one: Array, other: int) -> tuple[Array, Array]:
    """Multiply numbers of 64 bits without a sign; return the high and the low 64 bits, by halves of 32."""
    one_high, one_low, other_high, other_low = (one >> 32) & LOW, one & LOW, other >> 32, other & LOW
    crossed = one_high * other_low + ((one_low * other_low >> 32) & LOW)
    second = one_low * other_high + (crossed & LOW)
    high = one_high * other_high + ((crossed >> 32) & LOW) + ((second >> 32) & LOW)
    return high, one * _wrap(other)


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

    def list_keys(self) -> NDArray[np.int64]:
        """Return (B, 3) the seed, the index and the attempt of each row, for `compute_uniforms`."""
        return np.array(self._rows, dtype=np.uint64).reshape(-1, 3).view(np.int64)

    def draw(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return (B,) the uniform of one step of each row."""
        return self._blocks[self._numbers, self._find_places(steps)]

    def draw_ahead(self, steps: NDArray[np.int64], most: int) -> NDArray[np.float64]:
        """Return (N, B) the uniforms from `steps` (B,) on: of `most` steps, or as many as are computed at once."""
        places = self._find_places(steps)
        count = min(most, BLOCK - int(places.max()))
        return np.ascontiguousarray(self._blocks[self._numbers, places + np.arange(count)[:, None]])

    def _find_places(self, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Find where the uniforms of these steps are, after computing the blocks that lack them."""
        place = steps - self._first
        if place.view(np.uint64).max(initial=0) >= BLOCK:  # one below 0 as well
            for row in np.flatnonzero((place < 0) | (place >= BLOCK)).tolist():
                block = int(steps[row]) // BLOCK
                self._blocks[row], self._first[row] = draw_uniforms(*self._rows[row], block), block * BLOCK
            place = steps - self._first
        return place
