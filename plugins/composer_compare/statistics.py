"""Differences between architectures, and their uncertainty with few seeds.

Runs differ by their seed and by the piece that is scored, and both are samples: a verdict is about other seeds and
other pieces. So the variance of a mean over (seeds, pieces) is the sum of the variances of a mean over seeds and of a
mean over pieces; their common part counts twice. Its tail is a mixture of Student's t, weighted by the two variances
with the degrees of freedom of each, much as Cochran and Cox (1950) weigh them. Both choices are conservative: with two
or three seeds a normal interval, or that of Satterthwaite (1946), would be far too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

LEVEL, POWER = 0.95, 0.8
"""The confidence level, and the probability with which a difference that "would have been seen" is found."""

Shares = tuple[tuple[float, float], ...]
"""Shares of a variance that add up to 1, each with its degrees of freedom."""


@dataclass(frozen=True)
class Estimate:
    """A mean, its standard error (infinite with a single seed), and shares of its variance."""

    mean: float
    error: float
    shares: Shares = ()

    @property
    def half_width(self) -> float:
        """Half of the confidence interval at `LEVEL`; infinite if unknown."""
        return find_quantile(0.5 + LEVEL / 2, self.shares) * self.error if math.isfinite(self.error) else math.inf

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
        return 2 * compute_tail(abs(self.mean) / self.error, self.shares)

    def compute_detectable(self, level: float = LEVEL) -> float:
        """Compute the smallest true difference from 0 that an experiment such as this finds with probability `POWER`.

        It is (t + u) standard errors, where t is the quantile beyond which a difference is found at this level, and u
        that of `POWER`, both of the mixture of Student's t. The error is the one estimated here. With few seeds, the
        sum is a little too small: it is found with 77 % over three seeds, 79 % over five. Infinite if unknown.
        """
        if not math.isfinite(self.error):
            return math.inf
        return (find_quantile(0.5 + level / 2, self.shares) + find_quantile(POWER, self.shares)) * self.error


def estimate_from_seeds(values: Sequence[float]) -> Estimate:
    """Estimate the mean of one value per seed."""
    found = np.asarray(values, dtype=float)
    if len(found) < 2:
        return Estimate(float(found.mean()), math.inf)
    return Estimate(float(found.mean()), float(stats.sem(found)), ((1.0, len(found) - 1.0),))


def estimate_from_pieces(nats: NDArray[np.float64], notes: NDArray[np.float64]) -> Estimate:
    """Estimate nats per note, or a difference, from nats (S, P) of S seeds and P pieces with notes (P,)."""
    seeds, pieces = nats.shape
    total = notes.sum()
    by_seed = nats.sum(axis=1) / total
    mean = float(by_seed.mean())
    if seeds < 2 or pieces < 2:
        return Estimate(mean, math.inf)
    of_seed = float(by_seed.var(ddof=1)) / seeds
    # The mean is a ratio of sums over pieces: residuals of each piece from its share of notes (Cochran 1977).
    beyond = nats.mean(axis=0) - mean * notes
    of_piece = float((beyond**2).sum()) / total**2 * pieces / (pieces - 1)
    variance = of_seed + of_piece
    if not variance:
        return Estimate(mean, 0.0, ((1.0, seeds - 1.0),))
    shares = ((of_seed / variance, seeds - 1.0), (of_piece / variance, pieces - 1.0))
    return Estimate(mean, math.sqrt(variance), shares)


def estimate_difference(one: NDArray[np.float64], other: NDArray[np.float64], notes: NDArray[np.float64]) -> Estimate:
    """Estimate by how many nats per note `one` (S, P) is above `other`, paired by seed and piece."""
    return estimate_from_pieces(one - other, notes)


def adjust_by_holm(probabilities: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """Adjust p-values for their number, which bounds the family-wise error rate (Holm 1979)."""
    found, largest = {}, 0.0
    for rank, (pair, p) in enumerate(sorted(probabilities.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, p * (len(probabilities) - rank)))
        found[pair] = largest
    return found


def compute_exact_p(one: int, other: int) -> float:
    """Compute the exact two-sided p-value of two counts that are equally likely (McNemar 1947)."""
    return float(stats.binomtest(one, one + other).pvalue) if one + other else 1.0


# --- Student's t ------------------------------------------------------------------------------------------------------


def compute_tail(t: float, shares: Shares) -> float:
    """Compute the probability that a mixture of Student's t exceeds `t`."""
    return float(sum(share * stats.t.sf(t, freedom) for share, freedom in shares))


@lru_cache(maxsize=4096)
def find_quantile(p: float, shares: Shares) -> float:
    """Find the quantile `p` (above a half) of a mixture; it lies between those of its parts."""
    ends = [float(stats.t.ppf(p, freedom)) for _, freedom in shares]
    margin = 1e-9  # so that rounding does not spoil the bracket
    return float(
        optimize.brentq(lambda t: compute_tail(t, shares) - (1 - p), min(ends) * (1 - margin), max(ends) * (1 + margin))
    )
