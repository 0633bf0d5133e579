"""Metrics of likeness from bar to bar, at a distance; they know no key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from composer.metrics.counting import Counts, pairs, share
from composer.metrics.heard import Heard
from composer.types import Metric

LAGS = (1, 2, 4, 8)
"""How many bars back a bar is compared."""


@dataclass(frozen=True, eq=False)
class Content:
    """What lies in bars: whole numbers (N,), in rows (N,) of a piece."""

    rows: NDArray[np.int64]
    what: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Alike:
    """What each bar (rows,) has in common with an earlier one; 0 where there is none to compare it with."""

    common: NDArray[np.int64]
    notes: NDArray[np.int64]  # in both bars together


def alike(heard: Heard, content: Content, lag: int) -> Alike:
    """The content of each bar beside that of the bar `lag` before; what comes twice counts once, upbeats are none."""
    size = int(content.what.max(initial=0)) + 1
    cells = np.unique(content.rows * size + content.what)
    again = cells[np.isin(cells - lag * size, cells, assume_unique=True)]
    own, common = (np.bincount(found // size, minlength=heard.rows) for found in (cells, again))
    earlier = np.zeros_like(own)
    earlier[lag:] = own[:-lag]
    compared = heard.is_bar.copy()
    compared[:lag] = False
    compared[lag:] &= heard.is_bar[:-lag]
    return Alike(np.where(compared, common, 0), np.where(compared, own + earlier, 0))


def self_similarity(lag: int) -> Callable[[], Metric]:
    """The metric of likeness at a distance of so many bars."""

    def count(heard: Heard) -> Counts:
        rows = heard.rows_of_notes
        what = (heard.notes["start"] - heard.origins[rows]) * 128 + heard.notes["pitch"]
        found = alike(heard, Content(rows, what), lag)
        return pairs(2 * found.common, found.notes)

    def self_similarity_at() -> Metric:
        return Metric("0 to 1", count, share(1.0))

    before = "the bar before" if lag == 1 else f"the bar {lag} before"
    self_similarity_at.__doc__ = (
        f"Notes struck in a bar and in {before} at the same place and pitch, twice their number over the notes of both"
        " bars (the coefficient of Dice 1945, in the place of the lag matrix of Foote 1999); upbeats are left out."
    )
    return self_similarity_at


METRICS: dict[str, Callable[[], Metric]] = {
    f"self-similarity-at-{lag}-bar{'s' * (lag > 1)}": self_similarity(lag) for lag in LAGS
}
