"""Metrics of rhythm: durations, density, length, silence and groove."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from composer.metrics.counts import Counts, count_histogram, count_ticks, make_share, pair_counts
from composer.metrics.score_view import ScoreView, compute_ends
from composer.music.score import TICKS_PER_QUARTER
from composer.types import Metric
from composer_metrics.likeness import Content, compare_bars
from composer_metrics.pitch import DISTANCE

_CLASS_TICKS = np.array([quarter * TICKS_PER_QUARTER // 12 for quarter in (3, 4, 6, 8, 9, 12, 18, 24, 36, 48)])
_STEP = TICKS_PER_QUARTER // 12  # of the groove: a grid for sixteenths and triplets


def measure_durations() -> Metric:
    """Count notes by exact length: 1/4, 1/3, 1/2, 2/3, 3/4, 1, 1.5, 2, 3, 4 quarters or another.

    The figure is the Jensen-Shannon divergence, base 2, from the histogram of the real pieces (Lin 1991).
    """

    def count(view: ScoreView) -> Counts:
        return count_histogram(
            view, view.notes["start"], classify_durations(view.notes["duration"]), len(_CLASS_TICKS) + 1
        )

    return Metric(DISTANCE, count)


def classify_durations(ticks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the class of each length in ticks; lengths without a class of their own share the last."""
    place = np.searchsorted(_CLASS_TICKS, ticks)
    exact = _CLASS_TICKS[np.minimum(place, len(_CLASS_TICKS) - 1)] == ticks
    return np.where(exact, place, len(_CLASS_TICKS))


def measure_notes_per_beat() -> Metric:
    """Count notes of all tracks but drums, over the beats up to the end of the last note (dotted in compound time)."""

    def count(view: ScoreView) -> Counts:
        return pair_counts(count_ticks(view, view.notes["start"]), view.bar_beats)

    return Metric("notes", count, make_share(1.0))


def measure_empty_beats() -> Metric:
    """Count beats in which no note sounds (after Dong et al. 2020, MusPy), dotted in compound time.

    A beat ends where the next begins: a note that ends there does not fill the next. Beats extend to the end of the
    piece.
    """

    def count(view: ScoreView) -> Counts:
        begins, stops = find_beats(view)
        return pair_counts(count_ticks(view, begins[is_silent(view, begins, stops)]), count_ticks(view, begins))

    return Metric("% of beats", count, make_share())


def find_beats(view: ScoreView) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the begin and the end of each beat, in ticks; cut at bar lines and at the end of the piece."""
    stops = np.minimum(view.starts[1:], view.score.length)
    first = (view.starts[:-1] - view.origins) // view.beat_ticks
    counts = np.maximum(-((view.origins - stops) // view.beat_ticks) - first, 0)
    row = np.repeat(np.arange(view.rows), counts)
    number = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts) + first[row]
    begins = view.origins[row] + number * view.beat_ticks[row]
    return np.maximum(begins, view.starts[row]), np.minimum(begins + view.beat_ticks[row], stops[row])


def is_silent(view: ScoreView, begins: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell whether no note sounds from each tick of `begins` up to that of `stops`."""
    begun, ended = np.sort(view.notes["start"]), np.sort(compute_ends(view.notes))
    # A segment is silent if all notes that begin before its end have ended by its begin.
    return np.searchsorted(begun, stops) <= np.searchsorted(ended, begins, side="right")


def measure_empty_bars() -> Metric:
    """Count bars in which no note sounds (after Dong et al. 2018, MuseGAN), without a pickup.

    A bar ends where the next begins. Bars extend to the end of the piece.
    """

    def count(view: ScoreView) -> Counts:
        nothing = is_silent(view, view.starts[:-1], view.starts[1:])
        return pair_counts(view.is_bar & nothing, view.is_bar)

    return Metric("% of bars", count, make_share())


def measure_groove_consistency() -> Metric:
    """Measure 1 less the share of positions in the bar with an onset in only one of two neighbouring bars.

    The mean over bars and the bar before (after Dong et al. 2020, MusPy), of equal length, without a pickup, unless
    both are silent. There are twelve positions to a quarter; a note counts for the nearest.
    """

    def count(view: ScoreView) -> Counts:
        grid = (view.notes["start"] + _STEP // 2) // _STEP * _STEP
        rows = view.find_bar(grid)
        found = compare_bars(view, Content(rows, grid - view.starts[rows]), lag=1)
        ticks = np.diff(view.starts)
        compared = (found.notes > 0) & (ticks == np.roll(ticks, 1))
        differing = (found.notes - 2 * found.common) * _STEP / np.maximum(ticks, 1)
        return pair_counts(np.where(compared, 1 - differing, 0.0), compared)

    return Metric("0 to 1", count, make_share(1.0))


METRICS: dict[str, Callable[[], Metric]] = {
    "durations": measure_durations,
    "notes-per-beat": measure_notes_per_beat,
    "empty-beats": measure_empty_beats,
    "empty-bars": measure_empty_bars,
    "groove-consistency": measure_groove_consistency,
}
