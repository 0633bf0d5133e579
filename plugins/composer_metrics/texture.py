"""Metrics of texture: notes that sound at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from composer.metrics.counts import Counts, count_ticks, make_share, pair_counts
from composer.metrics.score_view import ScoreView, compute_ends
from composer.types import Metric


@dataclass(frozen=True, eq=False)
class Segments:
    """The number of sounding pitches in each segment (M,) between onsets, ends and bar lines."""

    starts: NDArray[np.int64]
    ticks: NDArray[np.int64]
    pitches: NDArray[np.int64]


def divide_segments(view: ScoreView) -> Segments:
    """Divide a piece into such segments, from its beginning to its end; several notes of one pitch count once."""
    begun, ended = _merge_spans(view)
    bar_lines = np.minimum(view.starts, view.score.length)
    times = np.unique(np.concatenate([bar_lines, begun, ended]))
    counts = [np.searchsorted(np.sort(ticks), times[:-1], side="right") for ticks in (begun, ended)]
    return Segments(times[:-1], np.diff(times), counts[0] - counts[1])


def _merge_spans(view: ScoreView) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the begins and ends of sounding pitches; overlapping notes of one pitch are one."""
    notes = view.notes[np.lexsort((view.notes["start"], view.notes["pitch"]))]
    after = view.score.end + 1  # shift each pitch to its own range of numbers
    starts, stops = (ticks + notes["pitch"].astype(np.int64) * after for ticks in (notes["start"], compute_ends(notes)))
    reached = np.maximum.accumulate(stops)
    is_new = np.r_[True, starts[1:] > reached[:-1]][: len(notes)]
    is_last = np.r_[is_new[1:], True][: len(notes)]
    return starts[is_new] % after, reached[is_last] % after


def measure_polyphony() -> Metric:
    """Count pitches that sound at once: the mean over the time with any (after Dong et al. 2020, MusPy).

    Time is exact, not sampled.
    """

    def count(view: ScoreView) -> Counts:
        found = divide_segments(view)
        ticks = np.where(found.pitches > 0, found.ticks, 0)
        return pair_counts(
            count_ticks(view, found.starts, ticks * found.pitches), count_ticks(view, found.starts, ticks)
        )

    return Metric("pitches", count, make_share(1.0))


def measure_polyphony_rate() -> Metric:
    """Measure the time in which two pitches or more sound, of the whole piece (after Dong et al. 2018, MuseGAN).

    Time is exact, not sampled.
    """

    def count(view: ScoreView) -> Counts:
        found = divide_segments(view)
        several = np.where(found.pitches > 1, found.ticks, 0)
        return pair_counts(count_ticks(view, found.starts, several), count_ticks(view, found.starts, found.ticks))

    return Metric("% of time", count, make_share())


METRICS: dict[str, Callable[[], Metric]] = {"polyphony": measure_polyphony, "polyphony-rate": measure_polyphony_rate}
