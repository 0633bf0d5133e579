"""Two sets of measured pieces beside each other, metric by metric and as a whole.

The figures of single pieces are compared by their distribution in either set. Intervals are 1.96 standard errors to
either side, from a bootstrap over the pieces of both sets (Philox, by seed). Small sets of one kind differ by chance:
for reference, the same figures are given for halves of the real pieces, the median of many ways to halve them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

from composer.errors import BadOption
from composer.metrics import frechet
from composer.metrics.densities import Densities, compute_kl_divergence, measure_overlap
from composer.metrics.measured import Measurements, get_definition

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
    """The Fréchet feature distance: see `composer.metrics.frechet`."""
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
    one, other = frechet.select_comparable(*vectors)
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


def _estimate_distance(ours: frechet.Vectors, real: frechet.Vectors, random: np.random.Generator) -> Estimate:
    """Estimate the Fréchet distance; NaN if no feature can be compared."""
    if not ours.shape[1]:
        return Estimate(value=nan, low=nan, high=nan, halves=nan)

    def resample(vectors: frechet.Vectors) -> frechet.Vectors:
        return vectors[random.integers(len(vectors), size=len(vectors))]

    samples = [frechet.compute_distance(resample(ours), resample(real)) for _ in range(WHOLE_SAMPLES)]
    ways = _draw_halves(len(real), random)
    halves = [frechet.compute_distance(real[one > 0], real[other > 0]) for one, other in zip(*ways, strict=True)]
    return _make_estimate(
        [np.array([frechet.compute_distance(ours, real)]), np.array(samples), np.array(halves)],
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
