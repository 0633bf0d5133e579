"""A model's pieces beside real ones, figure by figure, as values and as rows of text; it knows no figure by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.errors import BadOption, printable
from composer.metrics.bands import Band, bands_of
from composer.metrics.measured import Measured, judged, measure, metrics
from composer.music.score import Score

_TEXTS = ("name", "unit", "definition")
_NUMBERS = ("model", "real", "low", "high")


@dataclass(frozen=True, kw_only=True)
class Figure(Band):
    """A figure of a model's pieces (NaN where they have nothing to count) beside the band of real ones."""

    model: float

    @property
    def inside(self) -> bool:
        """Whether a set of real pieces has such a figure."""
        return self.low <= self.model <= self.high

    def to_json(self) -> dict[str, Any]:
        """Plain values; None for NaN, which JSON has not."""
        values = asdict(self)
        return values | {name: None for name in _NUMBERS if isnan(values[name])}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Figure:
        """The reverse of `to_json`; BadOption for what is not a figure."""
        try:
            texts: dict[str, Any] = {name: str(values[name]) for name in _TEXTS}
            numbers: dict[str, Any] = {n: nan if values[n] is None else float(values[n]) for n in _NUMBERS}
            return Figure(**texts, **numbers)
        except (TypeError, KeyError, ValueError) as error:
            raise BadOption(f"this is not a figure: {error}.") from None


def compare(
    pieces: Sequence[Score], real: Sequence[Score], *, seed: int = 0, samples: int = 2000, level: float = 0.99
) -> tuple[Figure, ...]:
    """Every figure of `pieces` beside the `real` ones', with the band for as many real pieces.

    Raises EmptyDataset where either set is empty, BadOption for a number out of range.
    """
    return judge_measured(measure(pieces), measure(real), seed=seed, samples=samples, level=level)


def judge_measured(
    ours: Measured, real: Measured, *, seed: int = 0, samples: int = 2000, level: float = 0.99
) -> tuple[Figure, ...]:
    """What `compare` gives, for pieces that have been measured by the same metrics."""
    return _judge(ours, bands_of(real, len(ours), seed, samples=samples, level=level), real.sums)


def references(real: Sequence[Score]) -> dict[str, list[float]]:
    """The histograms of real pieces that distances are measured from, by the figure's name."""
    distances = {name: metric for name, metric in metrics().items() if metric.value is None}
    return {name: counts.tolist() for name, counts in measure(real, distances).sums.items()}


def judge(
    pieces: Sequence[Score], found: Sequence[Band], histograms: Mapping[str, Sequence[float]]
) -> tuple[Figure, ...]:
    """The figures of `pieces` beside bands that are known already; no real piece is needed.

    Raises UnknownName for a band of a metric that is not there.
    """
    ours = measure(pieces, [band.name for band in found])
    return _judge(ours, found, {name: np.array(counts) for name, counts in histograms.items()})


def _judge(ours: Measured, found: Sequence[Band], histograms: Mapping[str, NDArray[np.float64]]) -> tuple[Figure, ...]:
    figures = []
    for band in found:
        model = float(judged(ours.metrics[band.name], ours.sums[band.name], histograms.get(band.name)))
        figures.append(Figure(**{name: getattr(band, name) for name in Band.__dataclass_fields__}, model=model))
    return tuple(figures)


HEADINGS = ("figure", "unit", "model", "real", "real pieces", "inside")
"""What the columns of `rows` say."""


def rows(found: Sequence[Figure]) -> list[tuple[str, ...]]:
    """Figures as rows of text under `HEADINGS`, to be laid out by whoever shows them."""
    return [_row(figure) for figure in found]


def _row(figure: Figure) -> tuple[str, ...]:
    values = _shown(figure.model), _shown(figure.real), _range(figure)
    return printable(figure.name), printable(figure.unit), *values, "yes" if figure.inside else "no"


def _range(band: Band) -> str:
    return f"{_shown(band.low)} to {_shown(band.high)}"


def _shown(value: float) -> str:
    if isnan(value):
        return "-"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
