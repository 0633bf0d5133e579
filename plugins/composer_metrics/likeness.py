"""Metrics of similarity between bars, at a distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from composer.metrics.counting import Counts, pairs, share
from composer.metrics.heard import Heard
from composer.types import Metric

LAGS = (1, 2, 4, 8)
"""Distances in bars."""


@dataclass(frozen=True, eq=False)
class Content:
    """The contents of bars: whole numbers (N,), and the row of each, (N,)."""

    rows: NDArray[np.int64]
    what: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Alike:
    """The contents that each bar (rows,) shares with an earlier one; 0 without a bar to compare."""

    common: NDArray[np.int64]
    notes: NDArray[np.int64]  # in both bars together


def alike(view: Heard, content: Content, lag: int) -> Alike:
    """Compare the contents of each bar with those `lag` bars before. Duplicates count once, pickups not at all."""
    size = int(content.what.max(initial=0)) + 1
    cells = np.unique(content.rows * size + content.what)
    again = cells[np.isin(cells - lag * size, cells, assume_unique=True)]
    own, common = (np.bincount(found // size, minlength=view.rows) for found in (cells, again))
    earlier = np.zeros_like(own)
    earlier[lag:] = own[:-lag]
    compared = view.is_bar.copy()
    compared[:lag] = False
    compared[lag:] &= view.is_bar[:-lag]
    return Alike(np.where(compared, common, 0), np.where(compared, own + earlier, 0))


def self_similarity(lag: int) -> Callable[[], Metric]:
    """Make the metric of similarity at a distance of `lag` bars."""

    def count(view: Heard) -> Counts:
        rows = view.rows_of_notes
        what = (view.notes["start"] - view.origins[rows]) * 128 + view.notes["pitch"]
        found = alike(view, Content(rows, what), lag)
        return pairs(2 * found.common, found.notes)

    def self_similarity_at() -> Metric:
        return Metric("0 to 1", count, share(1.0))

    before = "the bar before" if lag == 1 else f"the bar {lag} before"
    self_similarity_at.__doc__ = (
        f"Count onsets in a bar and in {before} at the same position and pitch, twice their number over the notes of"
        " both bars (the coefficient of Dice 1945, at a lag as in the matrix of Foote 1999), without pickups."
    )
    return self_similarity_at


METRICS: dict[str, Callable[[], Metric]] = {
    f"self-similarity-at-{lag}-bar{'s' * (lag > 1)}": self_similarity(lag) for lag in LAGS
}
