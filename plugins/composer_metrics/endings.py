"""Metrics of the length and the end of a piece."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from composer.metrics.counting import Counts, above_tonic, of_piece, share
from composer.metrics.heard import Heard, final_chord
from composer.types import Metric

_TRIADS = {False: (0, 4, 7), True: (0, 3, 4, 7)}


def length() -> Metric:
    """Count the bars of a piece up to the end of its last note, without a pickup; the mean over pieces."""

    def count(view: Heard) -> Counts:
        counts = of_piece(view, 0, 1)
        counts[:, 0] = view.is_bar & (view.starts[:-1] < view.score.end)
        return counts

    return Metric("bars", count, share(1.0))


def ends_on_the_tonic() -> Metric:
    """Count pieces whose last chord (the notes that sound at the last onset) has the tonic at its top or its bottom."""

    def count(view: Heard) -> Counts:
        chord = above_tonic(final_chord(view.notes), view.key)
        return of_piece(view, len(chord) > 0 and 0 in (chord[0], chord[-1]), 1)

    return Metric("% of pieces", count, share())


def ends_on_the_tonic_chord() -> Metric:
    """Count pieces whose last chord (the notes that sound at the last onset) has only notes of the tonic triad.

    In minor its third may be major.
    """

    def count(view: Heard) -> Counts:
        chord = above_tonic(final_chord(view.notes), view.key)
        return of_piece(view, len(chord) > 0 and bool(np.isin(chord, _TRIADS[view.key.minor]).all()), 1)

    return Metric("% of pieces", count, share())


METRICS: dict[str, Callable[[], Metric]] = {
    "length": length,
    "ends-on-the-tonic": ends_on_the_tonic,
    "ends-on-the-tonic-chord": ends_on_the_tonic_chord,
}
