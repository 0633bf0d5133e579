"""The grid of a picture: rows of bars at one scale, and lanes of pitches and drums.

There is a lane for each pitch in range, and below them one for each drum sound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from composer.music.score import TICKS_PER_QUARTER, Bars, Notes, Score, Track, compute_bars

# --- rows of bars -----------------------------------------------------------------------------------------------------


_QUARTER = 17.0  # preferred units, unless there would be too many rows
_STEPS = (1, 2, 4, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)


@dataclass(frozen=True)
class Row:
    """Bars `first` up to `last` of a piece, with the ticks of the first and the last bar line."""

    first: int
    last: int
    start: int
    end: int


@dataclass(frozen=True)
class Grid:
    """The bars of a piece, their rows, and the scale in units a tick."""

    bars: Bars
    rows: tuple[Row, ...]
    scale: float
    upbeat: bool

    def number_bars(self, row: Row, space: float) -> Iterator[tuple[int, int]]:
        """Yield (number, tick) of bars at least `space` units apart; the first whole bar is 1, a pickup 0."""
        shift = 0 if self.upbeat else 1
        step = self._step(row, space)
        for bar in range(row.first, row.last):
            number = bar + shift
            if bar == row.first or (number - 1) % step == 0:
                yield number, int(self.bars.starts[bar])

    def find_bar_lines(self, row: Row, space: float) -> np.ndarray:
        """Return the ticks of a row's bar lines, thinned where they are closer than `space` units."""
        starts = self.bars.starts[row.first : row.last + 1]
        return starts[:: self._step(row, space)]

    def _step(self, row: Row, space: float) -> int:
        bar = (row.end - row.start) / max(row.last - row.first, 1) * self.scale
        return next((step for step in _STEPS if step * bar >= space), _STEPS[-1])

    def find_beats(self, row: Row, space: float) -> np.ndarray:
        """Return the ticks of beats inside the bars of a row, except where they are closer than `space` units."""
        found = []
        for bar in range(row.first, row.last):
            beat = self.bars.time_signatures[self.bars.signature_index[bar]].beat_ticks
            if beat * self.scale >= space:
                ticks = np.arange(self.bars.nominal[bar], self.bars.starts[bar + 1], beat)
                found.append(ticks[ticks > self.bars.starts[bar]])
        return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


def find_bars(score: Score) -> Bars:
    """Return the bars of a piece, at least one. Raises ValueError for too many bars."""
    return compute_bars(score, max(score.length, 1))


def lay_out(score: Score, width: float, *, in_row: int = 0, most_rows: int = 1) -> Grid:
    """Lay out a piece on at most `most_rows` rows of this width, with `in_row` bars each (0: a readable number).

    A piece without notes has one bar. Raises ValueError for too many bars.
    """
    its = find_bars(score)
    count = len(its.signature_index)
    upbeat = 0 < score.upbeat < its.time_signatures[0].bar_ticks
    each = in_row or _fit_bars(its, count - upbeat, width)
    each = max(each, -(-count // most_rows))
    edges = [0, *range(each + upbeat, count, each), count]
    rows = tuple(Row(first, last, int(its.starts[first]), int(its.starts[last])) for first, last in pairwise(edges))
    return Grid(its, rows, width / max(row.end - row.start for row in rows), upbeat)


def _fit_bars(its: Bars, count: int, width: float) -> int:
    """Choose the bars of a row: all if they fit, else a multiple of four that fills rows evenly."""
    bar = float(its.starts[-1]) / TICKS_PER_QUARTER / max(count, 1)
    fit = max(int(width / _QUARTER / bar), 1)
    if count <= fit * 1.25:
        return max(count, 1)
    rows = -(-count // fit)
    each = -(-count // rows)
    return -(-each // 4) * 4 if each > 2 else each


# --- lanes ------------------------------------------------------------------------------------------------------------


_FEWEST, _AROUND = 13, 2  # fewest pitches shown, and pitches shown beyond the range of the notes
_BLACK = (1, 3, 6, 8, 10)


@dataclass(frozen=True)
class Lanes:
    """From the highest pitch down to the lowest, then the sounds of drums."""

    highest: int
    lowest: int
    drums: tuple[int, ...]

    @property
    def pitches(self) -> int:
        """Number of pitch lanes."""
        return self.highest - self.lowest + 1 if self.highest >= self.lowest else 0

    @property
    def count(self) -> int:
        """Number of lanes."""
        return self.pitches + len(self.drums)

    def assign(self, track: Track, notes: Notes) -> np.ndarray:
        """Return the lane of each note, 0 at the top."""
        if not track.is_drum:
            return self.highest - notes["pitch"].astype(np.int64)
        indices = np.searchsorted(np.array(self.drums), notes["pitch"])
        return self.pitches + len(self.drums) - 1 - indices  # low sounds lie low

    def list_drums(self) -> list[tuple[int, int]]:
        """Return (lane, drum sound) of the drum lanes."""
        return [(self.pitches + len(self.drums) - 1 - index, sound) for index, sound in enumerate(self.drums)]


def make_lanes(tracks: Sequence[Track]) -> Lanes:
    """Make lanes for all notes of these tracks; without notes, an octave from middle C."""
    used = {kind: np.zeros(128, dtype=bool) for kind in (False, True)}
    for track in tracks:
        used[track.is_drum][np.clip(track.notes["pitch"], 0, 127)] = True
    sounds = tuple(np.flatnonzero(used[True]).tolist())
    pitches = np.flatnonzero(used[False]).tolist()
    if not pitches and sounds:
        return Lanes(-1, 0, sounds)
    lowest, highest = (pitches[0] - _AROUND, pitches[-1] + _AROUND) if pitches else (60, 72)
    missing = max(_FEWEST - (highest - lowest + 1), 0)
    lowest, highest = lowest - missing // 2, highest + missing - missing // 2
    return Lanes(min(highest, 127), max(lowest, 0), sounds)


def is_black(pitch: int) -> bool:
    """Tell whether a pitch is a black key."""
    return pitch % 12 in _BLACK
