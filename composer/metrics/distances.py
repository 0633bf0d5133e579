"""Two sets of measured pieces beside each other, metric by metric and as a whole.

The figures of single pieces are compared by their distribution in either set. Intervals are 1.96 standard errors to
either side, from a bootstrap over the pieces of both sets (Philox, by seed). Small sets of one kind differ by chance:
for reference, the same figures are given for halves of the real pieces, the median of many ways to halve them.

Kernel densities of one metric share one grid and one bandwidth, so that they differ by the numbers alone. (A divergence
is undefined between densities on different grids.) Kernels are Gaussian, by Scott's rule (D. W. Scott, Multivariate
Density Estimation, 1992): the bandwidth is s n^(-1/5), with the mean variance s^2 of both sets and the size n of the
smaller one. It is at least a hundredth of the range of the numbers. The sets as a whole are compared by the Fréchet
distance of their vectors of figures, each set taken for a normal distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import nan

import numpy as np
from numpy.typing import NDArray

from composer.errors import BadOption
from composer.metrics.measurements import Measurements, get_definition

Numbers = NDArray[np.float64]

Vectors = NDArray[np.float64]
"""(pieces, features)"""


# --- densities of one metric ------------------------------------------------------------------------------------------


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


# --- the Fréchet distance ---------------------------------------------------------------------------------------------


ENOUGH = 0.5
"""The share of the pieces of either set that must have a feature for it to be used."""


def select_comparable(ours: Vectors, real: Vectors) -> tuple[Vectors, Vectors]:
    """Select the features that can be compared, and standardise them; the results hold no NaN.

    A feature is used if half of the pieces of either set have it and its values differ; a missing value becomes the
    mean of its set. Features are in standard deviations of the real pieces from their mean, or of both sets if that
    deviation is 0. So the distances of several sets from the same pieces can be compared.
    """
    present = [np.isfinite(vectors).mean(axis=0) >= ENOUGH for vectors in (ours, real)]
    sets = [_fill_missing(vectors[:, present[0] & present[1]]) for vectors in (ours, real)]
    both = np.concatenate(sets)
    varied = np.ptp(both, axis=0) > 0
    scale = np.where(sets[1].std(axis=0) > 0, sets[1].std(axis=0), both.std(axis=0))[varied]
    centre = sets[1].mean(axis=0)[varied]
    ours, real = ((vectors[:, varied] - centre) / scale for vectors in sets)
    return ours, real


def _fill_missing(vectors: Vectors) -> Vectors:
    there = np.isfinite(vectors)
    means = np.where(there, vectors, 0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    return np.where(there, vectors, means)


def compute_distance(ours: Vectors, real: Vectors) -> float:
    """Compute |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), with means m and shrunk covariances C; 0 for equal sets.

    The squared Fréchet distance of two normal distributions (D. C. Dowson and B. V. Landau, Journal of Multivariate
    Analysis 12, 1982), as M. Heusel et al. (GANs Trained by a Two Time-Scale Update Rule, 2017) use it on a network's
    features. It is larger for smaller sets of the same kind.
    """
    one, other = estimate_covariance(ours), estimate_covariance(real)
    half = compute_root(one)
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(half @ other @ half), 0)).sum()  # tr (C1 C2)^(1/2)
    apart = ours.mean(axis=0) - real.mean(axis=0)
    return float(max(apart @ apart + np.trace(one) + np.trace(other) - 2 * cross, 0.0))


def compute_root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the square root of a symmetric positive semidefinite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)


def estimate_covariance(vectors: Vectors) -> NDArray[np.float64]:
    """Estimate the covariance, shrunk towards a multiple of the identity, so that few pieces do not make it singular.

    By O. Ledoit and M. Wolf, A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices, Journal of
    Multivariate Analysis 88, 2004: more pieces mean less shrinkage.
    """
    pieces, features = vectors.shape
    centred = vectors - vectors.mean(axis=0)
    sample = centred.T @ centred / pieces
    target = np.trace(sample) / max(features, 1) * np.eye(features)
    spread = np.sum((sample - target) ** 2)
    noise = (np.sum(np.sum(centred**2, axis=1) ** 2) / pieces - np.sum(sample**2)) / pieces
    shrink = np.clip(noise / spread, 0.0, 1.0) if spread > 0 else 0.0
    return np.asarray(shrink * target + (1 - shrink) * sample)


# --- the contrast of two sets -----------------------------------------------------------------------------------------


SAMPLES, WHOLE_SAMPLES, HALVES = 400, 100, 20
"""Sets drawn for each metric and for the overall distance; ways to halve the real pieces."""

_ERRORS = 1.96


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure with its 95 % interval, and the same figure of halves of the real pieces.

    A single piece has neither interval nor halves: these are NaN then.
    """

    value: float
    low: float
    high: float
    halves: float


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One metric in both sets. Means are over the pieces for which it is defined, NaN if there are none."""

    name: str
    unit: str
    definition: str
    model: float
    real: float
    overlap: Estimate  # overlapped area, 0 to 1
    divergence: Estimate  # Kullback-Leibler, bits, of the real pieces from the model's


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """Two sets, metric by metric and as a whole."""

    features: tuple[Feature, ...]
    distance: Estimate
    """The Fréchet feature distance: see `composer.metrics.distances`."""
    dimensions: int  # features used in it


def contrast(ours: Measurements, real: Measurements, seed: int = 0) -> Contrast:
    """Compare the pieces of `ours` with `real` ones, both measured by the same metrics.

    Raises BadOption for a negative seed.
    """
    if seed < 0:
        raise BadOption(f"'seed' is {seed}, and must be 0 or more.")
    random = np.random.Generator(np.random.Philox(seed))
    mine, theirs = ours.compute_by_piece(real), real.compute_by_piece(real)
    features = tuple(_compare_feature(name, ours, mine[name], theirs[name], random) for name in ours.metrics)
    vectors = (np.stack(list(values.values()), axis=1) for values in (mine, theirs))
    one, other = select_comparable(*vectors)
    return Contrast(features=features, distance=_estimate_distance(one, other, random), dimensions=one.shape[1])


def _compare_feature(
    name: str, ours: Measurements, mine: NDArray[np.float64], theirs: NDArray[np.float64], random: np.random.Generator
) -> Feature:
    mine, theirs = mine[np.isfinite(mine)], theirs[np.isfinite(theirs)]
    overlap, divergence = _estimate_nearness(mine, theirs, random)
    return Feature(
        name=name,
        unit=ours.metrics[name].unit,
        definition=get_definition(name),
        model=float(mine.mean()) if len(mine) else nan,
        real=float(theirs.mean()) if len(theirs) else nan,
        overlap=overlap,
        divergence=divergence,
    )


def _estimate_nearness(
    mine: NDArray[np.float64], theirs: NDArray[np.float64], random: np.random.Generator
) -> tuple[Estimate, Estimate]:
    """Estimate the overlapped area and the divergence of two sets of numbers."""
    if not len(mine) or not len(theirs):
        nothing = Estimate(value=nan, low=nan, high=nan, halves=nan)
        return nothing, nothing
    both = Densities(mine, theirs)
    fewer, half = min(len(mine), len(theirs)), len(theirs) // 2
    halves, others = _draw_halves(len(theirs), random)
    pairs = (
        (both.estimate_ours(), both.estimate_real(), fewer),
        (
            both.estimate_ours(_draw_weights(len(mine), random)),
            both.estimate_real(_draw_weights(len(theirs), random)),
            fewer,
        ),
        (both.estimate_real(halves), both.estimate_real(others), half),
    )
    areas = [measure_overlap(p, q) for p, q, _ in pairs]
    bits = [compute_kl_divergence(q, p, pieces) for p, q, pieces in pairs]
    return _make_estimate(areas, fewer, most=1.0), _make_estimate(bits, fewer)


def _estimate_distance(ours: Vectors, real: Vectors, random: np.random.Generator) -> Estimate:
    """Estimate the Fréchet distance; NaN if no feature can be compared."""
    if not ours.shape[1]:
        return Estimate(value=nan, low=nan, high=nan, halves=nan)

    def resample(vectors: Vectors) -> Vectors:
        return vectors[random.integers(len(vectors), size=len(vectors))]

    samples = [compute_distance(resample(ours), resample(real)) for _ in range(WHOLE_SAMPLES)]
    ways = _draw_halves(len(real), random)
    halves = [compute_distance(real[one > 0], real[other > 0]) for one, other in zip(*ways, strict=True)]
    return _make_estimate(
        [np.array([compute_distance(ours, real)]), np.array(samples), np.array(halves)],
        min(len(ours), len(real)),
    )


def _make_estimate(found: Sequence[NDArray[np.float64]], pieces: int, most: float = np.inf) -> Estimate:
    """Build an estimate, at least 0, from the figure (1,), those of resampled sets and those of halves."""
    value, samples, halves = found
    error = _ERRORS * float(samples.std()) if pieces > 1 else nan
    centre = float(value[0])
    middle = float(np.median(halves)) if len(halves) else nan
    return Estimate(value=centre, low=max(centre - error, 0.0), high=min(centre + error, most), halves=middle)


def _draw_weights(pieces: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Draw (SAMPLES, pieces) counts of each piece in sets drawn with replacement."""
    return random.multinomial(pieces, np.full(pieces, 1 / pieces), size=SAMPLES).astype(np.float64)


def _draw_halves(pieces: int, random: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw (HALVES, pieces) twice: masks of either half; no rows for fewer than two pieces."""
    if pieces < 2:
        return np.zeros((0, pieces)), np.zeros((0, pieces))
    places = random.permuted(np.tile(np.arange(pieces), (HALVES, 1)), axis=1)
    half = pieces // 2
    return (places < half).astype(np.float64), ((places >= half) & (places < 2 * half)).astype(np.float64)
