"""Differences between architectures, and their uncertainty with few seeds.

Runs differ by their seed and by the piece that is scored, and both are samples: other seeds and other pieces are what a
verdict is about. So a mean over (seeds, pieces) has the variance of a mean over seeds and of a mean over pieces, added
up; what both have in common is counted twice. Its tail is that of Student's t, in proportion to the two variances with
the degrees of freedom of each, much as Cochran and Cox (1950) weigh them. Both err on the side of caution: with two
or three seeds a normal interval, and that of Satterthwaite (1946), too, would be far too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean, its standard error (infinite with a single seed), and shares of its variance.

    Each share has its degrees of freedom.
    """

    mean: float
    error: float
    shares: tuple[tuple[float, float], ...] = ()

    @property
    def half_width(self) -> float:
        """Half of the confidence interval at `LEVEL`; infinite if unknown."""
        return quantile(0.5 + LEVEL / 2, self.shares) * self.error if math.isfinite(self.error) else math.inf

    @property
    def low(self) -> float:
        """The lower end of the interval."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """The upper end of the interval."""
        return self.mean + self.half_width

    @property
    def p(self) -> float:
        """The two-sided p-value against a mean of 0."""
        if not math.isfinite(self.error):
            return 1.0
        if self.error == 0:
            return 1.0 if self.mean == 0 else 0.0
        return 2 * mixed_tail(abs(self.mean) / self.error, self.shares)


def of_seeds(values: Sequence[float]) -> Estimate:
    """Estimate the mean of one value per seed."""
    found = np.asarray(values, dtype=float)
    if len(found) < 2:
        return Estimate(float(found.mean()), math.inf)
    return Estimate(float(found.mean()), float(found.std(ddof=1) / math.sqrt(len(found))), ((1.0, len(found) - 1.0),))


def of_pieces(nats: NDArray[np.float64], notes: NDArray[np.float64]) -> Estimate:
    """Estimate nats per note, or a difference, from nats (S, P) of S seeds and P pieces with notes (P,)."""
    seeds, pieces = nats.shape
    total = notes.sum()
    by_seed = nats.sum(axis=1) / total
    mean = float(by_seed.mean())
    if seeds < 2 or pieces < 2:
        return Estimate(mean, math.inf)
    of_seed = float(by_seed.var(ddof=1)) / seeds
    # The mean is a ratio of sums over pieces: what each adds beyond its share of notes (Cochran 1977).
    beyond = nats.mean(axis=0) - mean * notes
    of_piece = float((beyond**2).sum()) / total**2 * pieces / (pieces - 1)
    variance = of_seed + of_piece
    if not variance:
        return Estimate(mean, 0.0, ((1.0, seeds - 1.0),))
    shares = ((of_seed / variance, seeds - 1.0), (of_piece / variance, pieces - 1.0))
    return Estimate(mean, math.sqrt(variance), shares)


def difference(one: NDArray[np.float64], other: NDArray[np.float64], notes: NDArray[np.float64]) -> Estimate:
    """Estimate by how many nats per note `one` (S, P) is above `other`, paired by seed and piece."""
    return of_pieces(one - other, notes)


def holm(probabilities: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """Adjust p-values for their number, which bounds the family-wise error rate (Holm 1979)."""
    found, largest = {}, 0.0
    for rank, (pair, p) in enumerate(sorted(probabilities.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, p * (len(probabilities) - rank)))
        found[pair] = largest
    return found


def exact(one: int, other: int) -> float:
    """Compute the exact two-sided p-value of two counts that are equally likely (McNemar 1947)."""
    few, all_ = min(one, other), one + other
    return min(1.0, 2 * sum(math.comb(all_, count) for count in range(few + 1)) / 2**all_)


# --- Student's t ------------------------------------------------------------------------------------------------------


Shares = tuple[tuple[float, float], ...]


def tail(t: float, freedom: float) -> float:
    """The probability of more than `t` (at least 0)."""
    return 0.5 * _beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def mixed_tail(t: float, shares: Shares) -> float:
    """The same of a mixture."""
    return sum(share * tail(t, freedom) for share, freedom in shares)


@lru_cache(maxsize=4096)
def quantile(p: float, shares: Shares) -> float:
    """The value below which a share `p` (above a half) of a mixture lies."""
    low, high = 0.0, 1.0
    while mixed_tail(high, shares) > 1 - p:
        low, high = high, high * 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if mixed_tail(middle, shares) > 1 - p else (low, middle)
    return (low + high) / 2


def _beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (Abramowitz and Stegun 1964, 26.5.8)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(1 - x))
    # From the last of many terms back to the first, in which it ends.
    value = 1.0
    for m in range(20 + 2 * math.isqrt(int(a) + 1), 0, -1):
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        value = 1 + even / (1 + odd / value)
    first = -(a + b) * x / (a + 1)
    return front / (a * (1 + first / value))
