"""A model's pieces beside real ones, figure by figure, as values and as rows of text.

The reference range of a figure is the interval in which sets of so many real pieces have it, by bootstrap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.errors import BadOption, printable
from composer.metrics.measurements import Measurements, evaluate_metric, get_definition, make_metrics, measure
from composer.music.score import Score
from composer.types import Metric

# --- reference ranges -------------------------------------------------------------------------------------------------


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


# --- pieces beside real ones ------------------------------------------------------------------------------------------


_TEXTS = ("name", "unit", "definition")
_NUMBERS = ("model", "real", "low", "high")


@dataclass(frozen=True, kw_only=True)
class Figure(ReferenceRange):
    """A figure of a model's pieces (NaN if undefined) beside the reference range of real ones."""

    model: float

    @property
    def inside(self) -> bool:
        """Whether the figure lies within the reference range."""
        return self.low <= self.model <= self.high

    def to_json(self) -> dict[str, Any]:
        """Return plain values; NaN becomes None, as JSON has no NaN."""
        values = asdict(self)
        return values | {name: None for name in _NUMBERS if isnan(values[name])}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Figure:
        """Build a figure from the values of `to_json`. Raises BadOption for anything else."""
        try:
            texts: dict[str, Any] = {name: str(values[name]) for name in _TEXTS}
            numbers: dict[str, Any] = {n: nan if values[n] is None else float(values[n]) for n in _NUMBERS}
            return Figure(**texts, **numbers)
        except (TypeError, KeyError, ValueError) as error:
            raise BadOption(f"this is not a figure: {error}.") from None


def compare(
    pieces: Sequence[Score], real: Sequence[Score], *, seed: int = 0, samples: int = 2000, level: float = 0.99
) -> tuple[Figure, ...]:
    """Compare every figure of `pieces` with the `real` ones', and with the reference range of as many real pieces.

    Raises EmptyDataset if either set is empty, BadOption for a number out of range.
    """
    return judge_measured(measure(pieces), measure(real), seed=seed, samples=samples, level=level)


def judge_measured(
    ours: Measurements, real: Measurements, *, seed: int = 0, samples: int = 2000, level: float = 0.99
) -> tuple[Figure, ...]:
    """Compare pieces that have been measured by the same metrics."""
    return _judge(ours, compute_ranges_of(real, len(ours), seed, samples=samples, level=level), real.sums)


def collect_references(real: Sequence[Score]) -> dict[str, list[float]]:
    """Collect the histograms of real pieces from which distances are measured, by figure."""
    distances = {name: metric for name, metric in make_metrics().items() if metric.value is None}
    return {name: counts.tolist() for name, counts in measure(real, distances).sums.items()}


def judge(
    pieces: Sequence[Score], found: Sequence[ReferenceRange], histograms: Mapping[str, Sequence[float]]
) -> tuple[Figure, ...]:
    """Compare `pieces` with known reference ranges; no real piece is needed.

    Raises UnknownName for the range of an unknown metric.
    """
    ours = measure(pieces, [band.name for band in found])
    return _judge(ours, found, {name: np.array(counts) for name, counts in histograms.items()})


def _judge(
    ours: Measurements, found: Sequence[ReferenceRange], histograms: Mapping[str, NDArray[np.float64]]
) -> tuple[Figure, ...]:
    figures = []
    for band in found:
        model = float(evaluate_metric(ours.metrics[band.name], ours.sums[band.name], histograms.get(band.name)))
        figures.append(
            Figure(**{name: getattr(band, name) for name in ReferenceRange.__dataclass_fields__}, model=model)
        )
    return tuple(figures)


# --- rows of text -----------------------------------------------------------------------------------------------------


HEADINGS = ("figure", "unit", "model", "real", "real pieces", "inside")
"""The headings of the columns of `rows`."""


def format_rows(found: Sequence[Figure]) -> list[tuple[str, ...]]:
    """Format figures as rows of text under `HEADINGS`."""
    return [_format_row(figure) for figure in found]


def _format_row(figure: Figure) -> tuple[str, ...]:
    values = _format_number(figure.model), _format_number(figure.real), _format_range(figure)
    return printable(figure.name), printable(figure.unit), *values, "yes" if figure.inside else "no"


def _format_range(band: ReferenceRange) -> str:
    return f"{_format_number(band.low)} to {_format_number(band.high)}"


def _format_number(value: float) -> str:
    if isnan(value):
        return "-"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
