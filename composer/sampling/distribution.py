"""A distribution over tokens for each row: probabilities, and draws.

Sums run sequentially, so that the figures of a row do not depend on the number of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LOWEST = -1e300
"""The greatest logit of a row with only -inf: -inf itself would lead to NaN."""


@dataclass(frozen=True, eq=False)
class Distribution:
    """The softmax of `logits` (B, V), -inf where nothing may be drawn. Each result is computed once."""

    logits: Floats

    @cached_property
    def top(self) -> Floats:
        """(B,) the greatest logit; `LOWEST` where all are -inf."""
        return np.maximum(self.logits.max(axis=1), LOWEST)

    @cached_property
    def cumulative(self) -> Floats:
        """(B, V) cumulative sums of exp(logits - top).

        Exponentials have single precision: a quarter of the time, and a relative error of a millionth.
        """
        with np.errstate(over="ignore"):  # very low logits become -inf, as intended
            below = (self.logits - self.top[:, None]).astype(np.float32)
        return np.cumsum(np.exp(below), axis=1, dtype=np.float64)

    @cached_property
    def log_mass(self) -> Floats:
        """(B,) the log of the sum of exp(logits); -inf where all logits are."""
        with np.errstate(divide="ignore"):
            return self.top + np.log(self.cumulative[:, -1])

    def compute_log_probability(self, tokens: NDArray[np.int64], rows: NDArray[np.int64] | None = None) -> Floats:
        """Compute (N,) the log-probability of tokens, one a row or one for each of `rows`; NaN in an empty row."""
        rows = np.arange(len(tokens)) if rows is None else rows
        chosen: Floats = self.logits[rows, tokens]
        with np.errstate(invalid="ignore"):
            return chosen - self.log_mass[rows]

    def draw(self, uniforms: Floats, rows: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """Draw (N,) a token for each row or for each of `rows`: the first whose cumulative sum exceeds the uniform."""
        cumulative = self.cumulative if rows is None else self.cumulative[rows]
        total = cumulative[:, -1]
        # A product rounded up to the total would exceed every token that can be drawn.
        passed = np.minimum(uniforms * total, np.nextafter(total, 0))
        return (cumulative > passed[:, None]).argmax(axis=1)
