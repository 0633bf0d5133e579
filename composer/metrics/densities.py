"""How far two sets of numbers overlap, by kernel densities on one shared grid; it knows no music.

Both sets have one grid and one bandwidth, so that the densities differ by the numbers alone (a divergence of densities
that are read at different places is none). Kernels are Gaussian, by Scott's rule (D. W. Scott, Multivariate Density
Estimation, 1992): the bandwidth is s n^(-1/5), with the mean variance s^2 of both sets and the size n of the smaller
one, and at least a hundredth of the distance from the least to the greatest number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

GRID = 256
"""Places at which densities are read."""

_LEAST = 0.01  # of the spread
_MARGIN = 4  # bandwidths beyond the least and the greatest number


@dataclass(frozen=True, eq=False)
class Densities:
    """Two sets of finite numbers, one at least in each. Weights (S, n) say how often each number counts."""

    ours: Numbers
    real: Numbers

    @cached_property
    def bandwidth(self) -> float:
        """Of both densities; 0 if all numbers are equal."""
        variances = [numbers.var(ddof=1) if len(numbers) > 1 else 0.0 for numbers in (self.ours, self.real)]
        scott = np.sqrt(np.mean(variances)) * min(len(self.ours), len(self.real)) ** -0.2
        return float(max(scott, _LEAST * np.ptp(np.concatenate([self.ours, self.real]))))

    @cached_property
    def grid(self) -> Numbers:
        """(G,) the places, from below the least number to above the greatest."""
        both = np.concatenate([self.ours, self.real])
        margin = _MARGIN * self.bandwidth or 1.0
        return np.linspace(both.min() - margin, both.max() + margin, GRID)

    def of_ours(self, weights: Numbers | None = None) -> Numbers:
        """(S, G) our density as shares on the grid, for each row of weights (1, if none are given)."""
        return _mixed(self._kernels[0], weights)

    def of_real(self, weights: Numbers | None = None) -> Numbers:
        """(S, G) the same of the real numbers."""
        return _mixed(self._kernels[1], weights)

    @cached_property
    def _kernels(self) -> tuple[Numbers, Numbers]:
        """(n, G) of either set, the shares of the places that each number has by itself."""
        width = self.bandwidth or self.grid[1] - self.grid[0]
        heights = [np.exp(-0.5 * ((self.grid - numbers[:, None]) / width) ** 2) for numbers in (self.ours, self.real)]
        ours, real = (height / height.sum(axis=1, keepdims=True) for height in heights)
        return ours, real


def _mixed(kernels: Numbers, weights: Numbers | None) -> Numbers:
    weights = np.ones((1, len(kernels))) if weights is None else weights
    return weights / weights.sum(axis=1, keepdims=True) @ kernels


def overlapped_area(one: Numbers, other: Numbers) -> Numbers:
    """(...) the area under both of two densities (..., G) on one grid: 1 if they are equal, 0 if they are apart.

    After L.-C. Yang and A. Lerch, On the Evaluation of Generative Models in Music, 2020.
    """
    return np.asarray(np.minimum(one, other).sum(axis=-1))


def relative_entropy(real: Numbers, ours: Numbers, pieces: int) -> Numbers:
    """(...) bits, the Kullback-Leibler divergence of the real density (..., G) from ours on the same grid.

    It is what is lost by taking the real for ours, and large where the real is often and ours is not. To either set, as
    if of so many `pieces`, one is added that may lie anywhere on the grid alike: it would be infinite without.
    """
    p, q = ((pieces * density + 1 / GRID) / (pieces + 1) for density in (real, ours))
    return np.asarray(np.maximum((p * np.log2(p / q)).sum(axis=-1), 0.0))
