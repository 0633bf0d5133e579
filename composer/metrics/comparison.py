"""A model's pieces beside real ones, figure by figure, as values and as rows of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.errors import BadOption, printable
from composer.metrics.bands import ReferenceRange, compute_ranges_of
from composer.metrics.measured import Measurements, evaluate_metric, make_metrics, measure
from composer.music.score import Score

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
