"""Metrics of the length and the end of a piece."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from composer.metrics.counts import Counts, count_in_last_bar, make_share, measure_above_tonic
from composer.metrics.score_view import ScoreView, find_final_chord
from composer.types import Metric

_TRIADS = {False: (0, 4, 7), True: (0, 3, 4, 7)}


def measure_length() -> Metric:
    """Count the bars of a piece up to the end of its last note, without a pickup; the mean over pieces."""

    def count(view: ScoreView) -> Counts:
        counts = count_in_last_bar(view, 0, 1)
        counts[:, 0] = view.is_bar & (view.starts[:-1] < view.score.end)
        return counts

    return Metric("bars", count, make_share(1.0))


def measure_tonic_endings() -> Metric:
    """Count pieces whose last chord (the notes that sound at the last onset) has the tonic at its top or its bottom."""

    def count(view: ScoreView) -> Counts:
        chord = measure_above_tonic(find_final_chord(view.notes), view.key)
        return count_in_last_bar(view, len(chord) > 0 and 0 in (chord[0], chord[-1]), 1)

    return Metric("% of pieces", count, make_share())


def measure_tonic_chord_endings() -> Metric:
    """Count pieces whose last chord (the notes that sound at the last onset) has only notes of the tonic triad.

    In minor its third may be major.
    """

    def count(view: ScoreView) -> Counts:
        chord = measure_above_tonic(find_final_chord(view.notes), view.key)
        return count_in_last_bar(view, len(chord) > 0 and bool(np.isin(chord, _TRIADS[view.key.minor]).all()), 1)

    return Metric("% of pieces", count, make_share())


METRICS: dict[str, Callable[[], Metric]] = {
    "length": measure_length,
    "ends-on-the-tonic": measure_tonic_endings,
    "ends-on-the-tonic-chord": measure_tonic_chord_endings,
}
