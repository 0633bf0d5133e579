"""Metrics of drums: how much is struck, what, where in the beat, how loud, how far from the grid, how often again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from composer.metrics.counts import (
    Counts,
    compute_mean,
    count_histogram,
    count_ticks,
    make_quantile,
    make_share,
    pair_counts,
)
from composer.metrics.score_view import ScoreView
from composer.music.score import TICKS_PER_QUARTER, Notes, concatenate_notes
from composer.types import Metric
from composer_metrics.likeness import LAGS, Content, compare_bars

PLACES = 12
"""Positions to a quarter note; a hit counts for the nearest."""

_STEP = TICKS_PER_QUARTER // PLACES
_SOUNDS = 128


def list_hits(view: ScoreView) -> Notes:
    """List the notes of all tracks of drums."""
    return concatenate_notes([track.notes for track in view.score.tracks if track.is_drum])


def _find_places(view: ScoreView, hits: Notes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the row (N,) of each hit, and its position (N,) in that bar; an early one belongs to the bar it leads to."""
    grid = (hits["start"] + _STEP // 2) // _STEP * _STEP
    rows = view.find_bar(grid)
    return rows, np.maximum(grid - view.origins[rows], 0) // _STEP


def measure_hits_per_beat() -> Metric:
    """Count hits of drums, over the beats up to the end of the last note (dotted in compound time)."""

    def count(view: ScoreView) -> Counts:
        hits = list_hits(view)
        return pair_counts(count_ticks(view, hits["start"]), view.bar_beats * bool(len(hits)))

    return Metric("hits", count, make_share(1.0), follows_drums=True)


def measure_drum_sounds() -> Metric:
    """Compare how often each sound of the General MIDI kit is struck."""

    def count(view: ScoreView) -> Counts:
        hits = list_hits(view)
        return count_histogram(view, hits["start"], hits["pitch"].astype(np.int64), _SOUNDS)

    return Metric("JS distance", count, follows_drums=True)


def measure_hit_positions() -> Metric:
    """Compare where in the quarter note drums are struck, at twelve positions."""

    def count(view: ScoreView) -> Counts:
        hits = list_hits(view)
        _, places = _find_places(view, hits)
        return count_histogram(view, hits["start"], places % PLACES, PLACES)

    return Metric("JS distance", count, follows_drums=True)


def make_loudness(figure: Callable[[Counts], Counts], what: str) -> Callable[[], Metric]:
    """Make the metric of a figure of the velocities of hits."""

    def count(view: ScoreView) -> Counts:
        hits = list_hits(view)
        return count_histogram(view, hits["start"], hits["velocity"].astype(np.int64), _SOUNDS)

    def measure_loudness() -> Metric:
        return Metric("MIDI velocity", count, figure, follows_drums=True)

    measure_loudness.__doc__ = f"Measure {what} of the velocities of hits of drums."
    return measure_loudness


def measure_hit_offsets() -> Metric:
    """Measure how far hits of drums are from the nearest twelfth of a quarter note, early or late: the mean."""

    def count(view: ScoreView) -> Counts:
        hits = list_hits(view)
        off = np.abs((hits["start"] + _STEP // 2) % _STEP - _STEP // 2)
        return pair_counts(count_ticks(view, hits["start"], off), count_ticks(view, hits["start"]))

    return Metric("% of a quarter", count, make_share(100.0 / TICKS_PER_QUARTER), follows_drums=True)


def make_similarity(lag: int) -> Callable[[], Metric]:
    """Make the metric of the similarity of drums at a distance of `lag` bars."""

    def count(view: ScoreView) -> Counts:
        hits = list_hits(view)
        rows, places = _find_places(view, hits)
        found = compare_bars(view, Content(rows, places * _SOUNDS + hits["pitch"]), lag)
        return pair_counts(2 * found.common, found.notes)

    def measure_drum_similarity() -> Metric:
        return Metric("0 to 1", count, make_share(1.0), follows_drums=True)

    before = "the bar before" if lag == 1 else f"the bar {lag} before"
    measure_drum_similarity.__doc__ = (
        f"Count hits of drums in a bar and in {before} of the same sound at the same position, of twelve to a quarter,"
        " twice their number over the hits of both bars (as self-similarity does for other notes)."
    )
    return measure_drum_similarity


METRICS: dict[str, Callable[[], Metric]] = {
    "hits-per-beat": measure_hits_per_beat,
    "drum-sounds": measure_drum_sounds,
    "hit-positions": measure_hit_positions,
    "hit-loudness": make_loudness(compute_mean, "the mean"),
    "quiet-hits": make_loudness(make_quantile(10), "the tenth percentile"),
    "loud-hits": make_loudness(make_quantile(90), "the ninetieth percentile"),
    "hit-offsets": measure_hit_offsets,
    **{f"drum-similarity-at-{lag}-bar{'s' * (lag > 1)}": make_similarity(lag) for lag in LAGS[:3]},
}
