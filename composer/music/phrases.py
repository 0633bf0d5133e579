"""Phrases of a score: where the music comes to rest.

A phrase ends with the longest note, or rest after it, of the top part within two to four bars. Where no note is longer
than the others, a phrase is four bars.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from composer.music.score import Bars, Score, Track, compute_bars

USUAL_BARS = 4
"""Bars of a phrase that nothing but its length ends."""

LEAST_BARS, MOST_BARS = 1.5, 4.75
"""Bars from the begin of a phrase in which it may end."""

LONGER = 1.5
"""How many times as long as the median note the last one of a phrase is, at least."""


@dataclass(frozen=True)
class Phrase:
    """A phrase, in ticks: its begin, the onset of its last note, and the begin of the next one, or the piece's end."""

    start: int
    last: int
    end: int


def find_phrases(score: Score) -> tuple[Phrase, ...]:
    """Find the phrases of a score, in order; none without pitched notes. Raises ValueError for too many bars."""
    onsets = _list_onsets(score)
    if not len(onsets):
        return ()
    bars = compute_bars(score, score.length)
    starts = [int(onsets[0])]
    while (following := _find_next(onsets, starts[-1], bars)) is not None:
        starts.append(following)
    ends = [*starts[1:], int(bars.starts[-1])]
    lasts = [int(onsets[np.searchsorted(onsets, end) - 1]) for end in ends]
    return tuple(Phrase(*one) for one in zip(starts, lasts, ends, strict=True))


def _list_onsets(score: Score) -> NDArray[np.int64]:
    """List the onsets (n,) of the top part: the pitched track with the highest mean."""
    pitched = [track for track in score.tracks if len(track.notes) and not track.is_drum]
    if not pitched:
        return np.zeros(0, dtype=np.int64)
    top: Track = max(pitched, key=lambda track: float(track.notes["pitch"].mean()))
    return np.unique(top.notes["start"])


def _find_next(onsets: NDArray[np.int64], start: int, bars: Bars) -> int | None:
    """Find the begin of the phrase after the one that begins at `start`; None if that is the last."""
    row = max(int(np.searchsorted(bars.starts, start, side="right")) - 1, 0)
    bar = bars.signatures[min(row, len(bars.nominal) - 1)].bar_ticks
    if bars.starts[-1] - start <= (MOST_BARS + 1) * bar:
        last = bars.starts[-1] - LEAST_BARS * bar
    else:
        last = start + MOST_BARS * bar
    gaps = np.diff(onsets)
    inside = np.flatnonzero((onsets[1:] >= start + LEAST_BARS * bar) & (onsets[1:] <= last))
    if not len(inside):
        return None
    heard = gaps[(onsets[:-1] >= start) & (onsets[:-1] < start + MOST_BARS * bar)]
    longest = inside[int(np.argmax(gaps[inside]))]
    if gaps[longest] >= LONGER * np.median(heard):
        return int(onsets[longest + 1])
    usual = inside[onsets[inside + 1] >= start + USUAL_BARS * bar]
    return int(onsets[usual[0] + 1]) if len(usual) else None
