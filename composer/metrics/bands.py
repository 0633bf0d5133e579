"""The reference range of each figure: where sets of so many real pieces have it, by bootstrap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan

import numpy as np
from numpy.typing import NDArray

from composer.errors import BadOption
from composer.metrics.measured import Measurements, evaluate_metric, get_definition, measure
from composer.music.score import Score
from composer.types import Metric

_MOST_CELLS = 4_000_000  # in one block of resampled pieces


@dataclass(frozen=True, kw_only=True)
class ReferenceRange:
    """A figure of all real pieces, and its reference range for a set of so many of them."""

    name: str
    unit: str
    definition: str
    real: float
    low: float
    high: float


def compute_ranges(
    real: Sequence[Score], count: int, seed: int, *, samples: int = 2000, level: float = 0.99
) -> tuple[ReferenceRange, ...]:
    """Compute the reference range of every figure that is defined for the `real` pieces.

    Draws `samples` sets of `count` pieces each, with replacement, from a Philox generator of this seed. A range
    contains the figure of such a set with probability `level`; for a distance it begins at 0. So a set of real pieces
    does not always lie in all ranges. The `real` pieces stand for the whole population: if they are few, other pieces
    of the same kind lie outside more often. Raises EmptyDataset for no pieces, BadOption for a number out of range.
    """
    return compute_ranges_of(measure(real), count, seed, samples=samples, level=level)


def compute_ranges_of(
    real: Measurements, count: int, seed: int, *, samples: int, level: float
) -> tuple[ReferenceRange, ...]:
    """Compute reference ranges from pieces that have been measured, for their metrics."""
    _check(count >= 1, "count", count, "at least 1")
    _check(seed >= 0, "seed", seed, "0 or more")
    _check(samples >= 1, "samples", samples, "at least 1")
    _check(0 < level < 1, "level", level, "between 0 and 1")
    drawn = _draw_sums(real.tallies, count, seed, samples)
    found = (_compute_range(name, metric, real.sums[name], drawn[name], level) for name, metric in real.metrics.items())
    return tuple(band for band in found if not isnan(band.real))


def _check(true: bool, name: str, value: object, wanted: str) -> None:
    if not true:
        raise BadOption(f"'{name}' is {value}, and must be {wanted}.")


def _compute_range(
    name: str, metric: Metric, whole: NDArray[np.float64], drawn: NDArray[np.float64], level: float
) -> ReferenceRange:
    is_distance = metric.value is None
    values = evaluate_metric(metric, drawn, whole)
    values = values[~np.isnan(values)]
    tail = (1 - level) / (1 if is_distance else 2)
    low, high = np.quantile(values, (tail, 1 - tail)) if len(values) else (nan, nan)
    return ReferenceRange(
        name=name,
        unit=metric.unit,
        definition=get_definition(name),
        real=float(evaluate_metric(metric, whole, whole)),
        low=0.0 if is_distance else float(low),
        high=float(high),
    )


def _draw_sums(
    real: Mapping[str, NDArray[np.float64]], count: int, seed: int, samples: int
) -> dict[str, NDArray[np.float64]]:
    """Draw (samples, W) summed counts by name: of so many sets of `count` pieces each, with replacement."""
    pieces = len(next(iter(real.values())))
    generator = np.random.Generator(np.random.Philox(seed))
    block = max(1, _MOST_CELLS // pieces)
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in real}
    for first in range(0, samples, block):
        size = min(block, samples - first)
        times = generator.multinomial(count, np.full(pieces, 1 / pieces), size=size).astype(np.float64)
        for name, counts in real.items():
            drawn[name].append(times @ counts)
    return {name: np.concatenate(parts) for name, parts in drawn.items()}
