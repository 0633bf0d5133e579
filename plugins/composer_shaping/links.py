"""Logits processors. A token at -inf is out of play, and stays so.

Sorting values is several times faster than sorting indices. So each row's least value that stays is found first, and
indices matter only if not all of its equals stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from composer.arrays import convert_like, get_namespace, is_all_false, make_range
from composer.types import Array, Context, Operation

OUT = -inf
"""A token out of play."""

MOST_WINDOW = 1024

FEW = 2048
"""Logits so few that a search for those out of play does not pay."""


@dataclass(frozen=True)
class Temperature:
    """Divide the logits: below 1 the model is surer of itself, above 1 more daring."""

    temperature: Annotated[float, "1 leaves the model as it is", "0.9"]

    def __post_init__(self) -> None:
        """Refuse a temperature out of range."""
        if not 0.01 <= self.temperature <= 100:
            raise ValueError("temperature must be from 0.01 to 100")

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The same, as described to the engine."""
        return (Operation("divide", self.temperature),)

    def __call__(self, logits: Array, context: Context) -> Array:
        """Return the logits divided by the temperature."""
        return logits / self.temperature


@dataclass(frozen=True)
class TopK:
    """Keep the k likeliest tokens (Fan et al. 2018); of equals, those with the lower ids."""

    k: Annotated[int, "how many to keep", "20"]

    def __post_init__(self) -> None:
        """Refuse to keep none."""
        if self.k < 1:
            raise ValueError("k must be at least 1")

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The same, as described to the engine."""
        return (Operation("keep count", self.k),)

    def __call__(self, logits: Array, context: Context) -> Array:
        """Return the logits with all but k tokens out of play."""
        rising = _sort_negated(logits)
        if self.k >= rising.shape[1]:
            return logits
        least, next_ = rising[:, self.k - 1 : self.k], rising[:, self.k : self.k + 1]
        return _keep_first(logits, -least, self.k, (next_ == least) & (least < inf))


@dataclass(frozen=True)
class TopP:
    """Keep the likeliest tokens that together hold a share p of the probability (Holtzman et al. 2020)."""

    p: Annotated[float, "the share to keep", "0.9"]

    def __post_init__(self) -> None:
        """Refuse a probability out of range."""
        if not 0 < self.p <= 1:
            raise ValueError("p must be above 0 and at most 1")

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The same, as described to the engine."""
        return () if self.p == 1 else (Operation("keep mass", self.p),)

    def __call__(self, logits: Array, context: Context) -> Array:
        """Return the logits with the tail out of play; the likeliest token always stays."""
        if self.p == 1:  # sums are rounded, and would leave out the least likely ones
            return logits
        if type(logits) is np.ndarray and len(logits) == 1:
            return self._process_row(logits)
        xp = get_namespace(logits)
        rising = _sort_negated(logits)
        rows, width = rising.shape
        mass = xp.cumulative_sum(xp.exp(rising[:, :1] - rising), axis=1)
        last = xp.sum(mass[:, :-1] < self.p * mass[:, -1:], axis=1)  # index of the token that brings the share to p
        row = make_range(rows, logits)[0]
        least, next_ = (
            rising[row, last],
            rising[row, last + 1 - width],
        )  # after the last column comes the first, which is less
        return _keep_first(logits, -least[:, None], last[:, None] + 1, next_ == least)

    def _process_row(self, logits: NDArray[np.floating]) -> Array:
        """Process a single row, with fewer calls: they would take most of the time."""
        rising = np.sort(-logits[0])
        mass = np.exp(rising[0] - rising).cumsum()
        last = min(int(mass.searchsorted(self.p * mass[-1])), len(rising) - 1)
        least = rising[last]
        return _keep_first(logits, -least, last + 1, rising[last + 1 : last + 2] == least)


@dataclass(frozen=True)
class MinP:
    """Keep tokens at least p times as likely as the likeliest (Nguyen et al. 2024)."""

    p: Annotated[float, "the share of the likeliest token's probability", "0.05"]

    def __post_init__(self) -> None:
        """Refuse a probability out of range."""
        if not 0 <= self.p <= 1:
            raise ValueError("p must be from 0 to 1")

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The same, as described to the engine."""
        return (Operation("keep ratio", self.p),)

    def __call__(self, logits: Array, context: Context) -> Array:
        """Return the logits with unlikely tokens out of play."""
        xp = get_namespace(logits)
        least = log(self.p) if self.p else OUT
        return _keep(logits, logits >= xp.max(logits, axis=1, keepdims=True) + least)


@dataclass(frozen=True)
class RepetitionPenalty:
    """Make recent pitches less likely (as Keskar et al. 2019, on pitches alone)."""

    penalty: Annotated[float, "1 changes nothing; above 1, repeated pitches lose log(penalty)", "1.2"]
    window: Annotated[int, "how many tokens to look back"] = 32

    def __post_init__(self) -> None:
        """Refuse a penalty or window out of range."""
        if not 0.1 <= self.penalty <= 100:
            raise ValueError("penalty must be from 0.1 to 100")
        if not 1 <= self.window <= MOST_WINDOW:
            raise ValueError(f"window must be from 1 to {MOST_WINDOW}")

    @property
    def history(self) -> int:
        """The window."""
        return self.window

    def __call__(self, logits: Array, context: Context) -> Array:
        """Return the logits with recent pitches lowered; other tokens, such as bars and holds, stay."""
        xp = get_namespace(logits)
        recent = context.history[:, -self.window :]
        seen = xp.any(recent[:, :, None] == make_range(logits.shape[1], logits)[None], axis=1)
        pitched = convert_like(context.token_info.pitch >= 0, logits)[None, :]
        lowered = logits - log(self.penalty)
        return xp.where(seen & pitched, lowered, logits)


def _sort_negated(logits: Array) -> Array:
    """Sort each row, negated, the likeliest first: (B, V), or fewer columns if the rest is out of play."""
    rising = get_namespace(logits).sort(-logits, axis=1)
    rows, width = logits.shape
    while rows * width > FEW and is_all_false(rising[:, width // 2] < inf):
        width //= 2
    return rising[:, :width]


def _keep_first(logits: Array, least: Array, count: Array | int, more: Array) -> Array:
    """Keep `count` tokens of each row, none below `least`. `more` marks rows with further tokens equal to `least`."""
    if is_all_false(more):
        return _keep(logits, logits >= least)
    xp = get_namespace(logits)
    above, equal = logits > least, logits == least
    left = count - xp.sum(above, axis=1, keepdims=True)
    return _keep(logits, above | (equal & (xp.cumulative_sum(equal, axis=1) <= left)))


def _keep(logits: Array, kept: Array) -> Array:
    xp = get_namespace(logits)
    return xp.where(kept, logits, OUT)
