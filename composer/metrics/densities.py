"""The overlap of two sets of numbers, by kernel densities on one shared grid.

Both sets share one grid and one bandwidth, so that the densities differ by the numbers alone. (A divergence is
undefined between densities on different grids.) Kernels are Gaussian, by Scott's rule (D. W. Scott, Multivariate
Density Estimation, 1992): the bandwidth is s n^(-1/5), with the mean variance s^2 of both sets and the size n of the
smaller one. It is at least a hundredth of the range of the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

GRID = 256
"""Points of the grid."""

_LEAST = 0.01  # of the range
_MARGIN = 4  # bandwidths beyond the least and the greatest number


@dataclass(frozen=True, eq=False)
class Densities:
    """Two sets of finite numbers, neither empty. Weights (S, n) tell how often each number counts."""

    ours: Numbers
    real: Numbers

    @cached_property
    def bandwidth(self) -> float:
        """The bandwidth of both densities; 0 if all numbers are equal."""
        variances = [numbers.var(ddof=1) if len(numbers) > 1 else 0.0 for numbers in (self.ours, self.real)]
        scott = np.sqrt(np.mean(variances)) * min(len(self.ours), len(self.real)) ** -0.2
        return float(max(scott, _LEAST * np.ptp(np.concatenate([self.ours, self.real]))))

    @cached_property
    def grid(self) -> Numbers:
        """(G,) the points, from below the least number to above the greatest."""
        both = np.concatenate([self.ours, self.real])
        margin = _MARGIN * self.bandwidth or 1.0
        return np.linspace(both.min() - margin, both.max() + margin, GRID)

    def estimate_ours(self, weights: Numbers | None = None) -> Numbers:
        """Compute (S, G) our density as shares on the grid, for each row of weights (equal ones by default)."""
        return _mix(self._kernels[0], weights)

    def estimate_real(self, weights: Numbers | None = None) -> Numbers:
        """Compute (S, G) the density of the real numbers."""
        return _mix(self._kernels[1], weights)

    @cached_property
    def _kernels(self) -> tuple[Numbers, Numbers]:
        """(n, G) of either set, the normalised kernel of each number."""
        width = self.bandwidth or self.grid[1] - self.grid[0]
        heights = [np.exp(-0.5 * ((self.grid - numbers[:, None]) / width) ** 2) for numbers in (self.ours, self.real)]
        ours, real = (height / height.sum(axis=1, keepdims=True) for height in heights)
        return ours, real


def _mix(kernels: Numbers, weights: Numbers | None) -> Numbers:
    weights = np.ones((1, len(kernels))) if weights is None else weights
    return weights / weights.sum(axis=1, keepdims=True) @ kernels


def measure_overlap(one: Numbers, other: Numbers) -> Numbers:
    """Compute (...) the area under both densities (..., G) on one grid: 1 if equal, 0 if disjoint.

    After L.-C. Yang and A. Lerch, On the Evaluation of Generative Models in Music, 2020.
    """
    return np.asarray(np.minimum(one, other).sum(axis=-1))


def compute_kl_divergence(real: Numbers, ours: Numbers, pieces: int) -> Numbers:
    """Compute (...) bits, the Kullback-Leibler divergence of the real density (..., G) from ours on the same grid.

    It is the information lost by modelling the real pieces by ours, and large where real ones are frequent and ours are
    rare. Either set, taken as `pieces` pieces, gets one more, spread uniformly over the grid; without it the divergence
    could be infinite.
    """
    p, q = ((pieces * density + 1 / GRID) / (pieces + 1) for density in (real, ours))
    return np.asarray(np.maximum((p * np.log2(p / q)).sum(axis=-1), 0.0))
