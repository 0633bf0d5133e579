"""Metrics of similarity between bars, at a distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from composer.metrics.counts import Counts, make_share, pair_counts
from composer.metrics.score_view import ScoreView
from composer.types import Metric

LAGS = (1, 2, 4, 8)
"""Distances in bars."""


@dataclass(frozen=True, eq=False)
class Content:
    """The contents of bars: whole numbers (N,), and the row of each, (N,)."""

    rows: NDArray[np.int64]
    values: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Similarity:
    """The contents that each bar (rows,) shares with an earlier one; 0 without a bar to compare."""

    common: NDArray[np.int64]
    notes: NDArray[np.int64]  # in both bars together


def compare_bars(view: ScoreView, content: Content, lag: int) -> Similarity:
    """Compare the contents of each bar with those `lag` bars before. Duplicates count once, pickups not at all."""
    size = int(content.values.max(initial=0)) + 1
    cells = np.unique(content.rows * size + content.values)
    again = cells[np.isin(cells - lag * size, cells, assume_unique=True)]
    own, common = (np.bincount(found // size, minlength=view.rows) for found in (cells, again))
    earlier = np.zeros_like(own)
    earlier[lag:] = own[:-lag]
    compared = view.is_bar.copy()
    compared[:lag] = False
    compared[lag:] &= view.is_bar[:-lag]
    return Similarity(np.where(compared, common, 0), np.where(compared, own + earlier, 0))


def make_self_similarity(lag: int) -> Callable[[], Metric]:
    """Make the metric of similarity at a distance of `lag` bars."""

    def count(view: ScoreView) -> Counts:
        rows = view.rows_of_notes
        what = (view.notes["start"] - view.origins[rows]) * 128 + view.notes["pitch"]
        found = compare_bars(view, Content(rows, what), lag)
        return pair_counts(2 * found.common, found.notes)

    def measure_self_similarity() -> Metric:
        return Metric("0 to 1", count, make_share(1.0))

    before = "the bar before" if lag == 1 else f"the bar {lag} before"
    measure_self_similarity.__doc__ = (
        f"Count onsets in a bar and in {before} at the same position and pitch, twice their number over the notes of"
        " both bars (the coefficient of Dice 1945, at a lag as in the matrix of Foote 1999), without pickups."
    )
    return measure_self_similarity


METRICS: dict[str, Callable[[], Metric]] = {
    f"self-similarity-at-{lag}-bar{'s' * (lag > 1)}": make_self_similarity(lag) for lag in LAGS
}
