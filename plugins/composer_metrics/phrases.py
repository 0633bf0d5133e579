"""Metrics of tunes in phrases: sections that come back, and cadences of the melody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from composer.metrics.counts import Counts, count_in_last_bar, make_share, measure_above_tonic, pair_counts
from composer.metrics.score_view import ScoreView
from composer.types import Metric

SECTIONS = 4
ALIKE = 0.75
"""Coefficient of Dice from which two sections are alike."""

PERIOD = 8
"""Bars of two phrases."""

STABLE = (0, 7)
"""Semitones of the tonic and the dominant degree above the tonic."""

PITCHES = 128


def measure_aabb(bars: Annotated[int, "of a section"] = 8) -> Metric:
    """Count pieces that begin as AABB or AA'BB', of those with four sections of 8 bars (or `bars`) or more.

    The second section is like the first, the fourth like the third, and the third unlike the first. Sections are alike
    if twice their common onsets, at the same place and pitch, are 3/4 of their notes or more (the coefficient of Dice
    1945). A section begins and ends as long before a bar line as the piece does before its first one: it has its own
    pickup.
    """
    if bars < 1:
        raise ValueError("a section has one bar or more")

    def count(view: ScoreView) -> Counts:
        contents = _list_sections(view, bars)
        if contents is None:
            return count_in_last_bar(view, 0, 0)
        first, second, third, fourth = contents
        returns = _are_alike(first, second) and _are_alike(third, fourth) and not _are_alike(first, third)
        return count_in_last_bar(view, returns, 1)

    return Metric("% of pieces", count, make_share())


def _list_sections(view: ScoreView, bars: int) -> list[NDArray[np.int64]] | None:
    """List the contents of the first four sections: a number for each place and pitch; None for a shorter piece."""
    downbeats = view.starts[:-1][view.is_bar]
    edges = np.append(downbeats, view.starts[-1])[: SECTIONS * bars + 1 : bars]
    if len(downbeats) < SECTIONS * bars or not len(view.notes):
        return None
    edges = edges - (downbeats[0] - view.starts[0])
    parts = np.split(view.notes, np.searchsorted(view.notes["start"], edges))[1:-1]
    return [
        np.unique((part["start"] - edge) * PITCHES + part["pitch"]) for part, edge in zip(parts, edges, strict=False)
    ]


def _are_alike(one: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    common = len(np.intersect1d(one, other, assume_unique=True))
    return 2 * common >= ALIKE * (len(one) + len(other)) > 0


def make_cadences(bar: int) -> Callable[[], Metric]:
    """Make the metric of cadences in this bar of every eight."""

    def count(view: ScoreView) -> Counts:
        found = np.zeros((2, view.rows))
        if len(view.notes):
            chosen = np.flatnonzero(view.is_bar)[bar - 1 :: PERIOD]
            found[1, chosen] = 1
            found[0, chosen[_find_cadences(view, chosen)]] = 1
        return pair_counts(*found)

    def measure_cadences() -> Metric:
        return Metric("% of such bars", count, make_share())

    measure_cadences.__doc__ = (
        f"Count cadences of the melody in bar {bar} of every {PERIOD}, of these bars. The last note that begins there,"
        " before the pickup of what follows, is the tonic or the dominant degree. From its onset to the next one"
        " (or to the end) is longer than the mean of the piece (the gap rule of Temperley, The Cognition of Basic"
        " Musical Structures, 2001). The melody is the notes with no higher one sounding at their onset; each pickup is"
        " as long as the first."
    )
    return measure_cadences


def _find_cadences(view: ScoreView, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Find the rows (R,) in which the melody comes to a cadence."""
    melody = view.top_line
    onsets = melody["start"]
    gaps = np.diff(onsets, append=view.score.end)
    pickup = 0 if view.is_bar[0] else view.starts[1] - view.starts[0]
    last = np.searchsorted(onsets, view.starts[rows + 1] - pickup) - 1
    begins_there = (last >= 0) & (onsets[last] >= view.starts[rows])
    is_stable = np.isin(measure_above_tonic(melody["pitch"][last], view.key), STABLE)
    return np.asarray(begins_there & is_stable & (gaps[last] > gaps.mean()))


METRICS: dict[str, Callable[..., Metric]] = {
    "form-aabb": measure_aabb,
    "cadences-at-bar-4": make_cadences(4),
    "cadences-at-bar-8": make_cadences(8),
}
