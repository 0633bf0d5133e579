"""Counts of a piece, bar by bar, and figures computed from their sums.

Counts are (rows, W), a row for each bar of a score view. A pair, W = 2, is a part and its whole. Properties of the
whole piece, such as its end, are counted in its last bar.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from composer.metrics.score_view import ScoreView
from composer.music.keys import Key

Counts: TypeAlias = NDArray[np.float64]
"""(..., W) counts; the figures are (...), NaN where there is nothing to count."""

# --- counts -----------------------------------------------------------------------------------------------------------


def count_histogram(view: ScoreView, ticks: NDArray[np.int64], places: NDArray[np.int64], size: int) -> Counts:
    """Count (rows, size) how often each of 0..size-1 is among the `places` at these ticks."""
    cells = view.find_bar(ticks) * size + places
    return np.bincount(cells, minlength=view.rows * size).reshape(-1, size).astype(np.float64)


def count_ticks(view: ScoreView, ticks: NDArray[np.int64], weights: NDArray[np.integer] | None = None) -> Counts:
    """Count (rows,) these ticks in each bar, or sum their weights."""
    return np.bincount(view.find_bar(ticks), weights, minlength=view.rows).astype(np.float64)


def pair_counts(part: Any, whole: Any) -> Counts:
    """Pair parts with their wholes: (rows, 2)."""
    return np.stack([part, whole], axis=-1).astype(np.float64)


def count_in_last_bar(view: ScoreView, part: float, whole: float) -> Counts:
    """Return (rows, 2) counts with a part and a whole of the piece in its last bar."""
    counts = np.zeros((view.rows, 2))
    counts[-1] = part, whole
    return counts


# --- relations of notes -------------------------------------------------------------------------------------


def measure_above_tonic(pitches: NDArray[np.int64], key: Key) -> NDArray[np.int64]:
    """Compute pitch classes relative to the tonic of `key`, 0..11."""
    return np.asarray((pitches.astype(np.int64) - key.tonic) % 12)


def is_outside_scale(pitches: NDArray[np.int64], key: Key) -> NDArray[np.bool_]:
    """Tell which pitches lie outside the scale of `key`; in minor the raised sixth and seventh belong to it."""
    return ~np.isin(measure_above_tonic(pitches, key), key.scale)


def compute_intervals(pitches: NDArray[np.int64]) -> NDArray[np.int64]:
    """Compute the semitones from each pitch to the next."""
    return np.asarray(np.diff(pitches.astype(np.int64)), dtype=np.int64)


# --- figures ----------------------------------------------------------------------------------------------------------


def make_share(scale: float = 100.0) -> Callable[[Counts], Counts]:
    """Return a figure: parts per `scale` of the whole, from pairs (..., 2)."""

    def compute(sums: Counts) -> Counts:
        return _divide(scale * sums[..., 0], sums[..., 1])

    return compute


def compute_mean(sums: Counts) -> Counts:
    """Compute the mean index of a histogram (..., W)."""
    return _divide(sums @ np.arange(sums.shape[-1], dtype=np.float64), sums.sum(axis=-1))


def make_quantile(percent: int) -> Callable[[Counts], Counts]:
    """Return a figure: the lowest index at or below which `percent` of a histogram (..., W) lies."""

    def compute(sums: Counts) -> Counts:
        below = np.cumsum(sums, axis=-1)
        place = np.argmax(100 * below >= percent * below[..., -1:], axis=-1)
        return np.where(below[..., -1] > 0, place, np.nan)

    return compute


def _divide(part: Counts, whole: Counts) -> Counts:
    quotient: Counts = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)
    return quotient
