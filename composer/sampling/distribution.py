"""A distribution over tokens for each row: from logits to a draw and to what it costs; it knows no music.

Sums are taken one after another, so that a row's figures do not depend on the number of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOWEST = -1e300
"""In the place of the greatest logit of a row that has none but -inf: less would make a difference of infinities."""


@dataclass(frozen=True, eq=False)
class Distribution:
    """The softmax of `logits` (B, V), which are -inf where nothing may be drawn. What is asked twice is made once."""

    logits: Floats

    @cached_property
    def top(self) -> Floats:
        """(B,) the greatest logit; a very low number where all are -inf."""
        return np.maximum(self.logits.max(axis=1), LOWEST)

    @cached_property
    def cumulative(self) -> Floats:
        """(B, V) sums of exp(logits - top) from the first token on.

        The powers have single precision, which takes a quarter of the time and changes a sum by its millionth.
        """
        with np.errstate(over="ignore"):  # what is so far below becomes -inf, as it should
            below = (self.logits - self.top[:, None]).astype(np.float32)
        return np.cumsum(np.exp(below), axis=1, dtype=np.float64)

    @cached_property
    def log_mass(self) -> Floats:
        """(B,) the log of the sum of exp(logits); -inf where there is nothing."""
        with np.errstate(divide="ignore"):
            return self.top + np.log(self.cumulative[:, -1])

    def log_probability(self, tokens: NDArray[np.int64], rows: NDArray[np.int64] | None = None) -> Floats:
        """(N,) of these tokens, one for each row or for each of `rows` (N,); NaN in a row that has nothing."""
        rows = np.arange(len(tokens)) if rows is None else rows
        chosen: Floats = self.logits[rows, tokens]
        with np.errstate(invalid="ignore"):
            return chosen - self.log_mass[rows]

    def draw(self, uniforms: Floats, rows: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """(N,) one token for each row, or for each of `rows` (N,): the first to bring the sum beyond the uniform."""
        cumulative = self.cumulative if rows is None else self.cumulative[rows]
        total = cumulative[:, -1]
        # A product that rounds up to the total would pass every token that can be drawn.
        passed = np.minimum(uniforms * total, np.nextafter(total, 0))
        return (cumulative > passed[:, None]).argmax(axis=1)
