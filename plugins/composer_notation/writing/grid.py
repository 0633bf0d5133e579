"""Times that notation can write, and notes that lie beside them moved there; it knows no pitch.

A beat is a tuplet where all that begins or ends in it lies on thirds or fifths of it. A beat of neither kind is a
performance: it takes, of four grids, the one that is nearest to its beginnings, the simpler one if they are about as
near. There a note sounds until the next one begins, if the silence between them is the shorter part.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from composer.score import Bars, Notes
from composer_notation.writing.metre import SHORTEST, grouping

_TUPLETS = (120, 240, 480, 960)  # ticks that one can last
_NARROWEST = min(_TUPLETS)
_GRIDS = ((4, 0.0), (3, 0.02), (8, 0.05), (6, 0.05))
"""Into how many parts a beat is divided, and by how much nearer, in beats, the notes must be for it."""


@dataclass(frozen=True)
class Cell:
    """A tuplet: its place in the bar, and so many parts in the time of fewer."""

    start: int
    end: int
    actual: int
    normal: int


@dataclass(frozen=True)
class _Span:
    """A part of a bar as its metre divides it: so many units."""

    start: int
    units: int
    unit: int

    @property
    def end(self) -> int:
        return self.start + self.units * self.unit

    def parts(self) -> Iterator[_Span]:
        """What it divides into; nothing below the shortest tuplet."""
        if self.units == 1:
            half = self.unit // 2
            if half >= _NARROWEST:
                yield from (_Span(self.start, 1, half), _Span(self.start + half, 1, half))
            return
        place = self.start
        for group in grouping(self.units):
            yield _Span(place, group, self.unit)
            place += group * self.unit


def cells(numerator: int, denominator: int, points: Sequence[int]) -> tuple[Cell, ...]:
    """The tuplets in a bar where notes begin and end at `points`, ticks from the bar line."""
    found, _ = _resolved(_Span(0, numerator, 1920 // denominator), sorted(points))
    return tuple(found)


def _resolved(span: _Span, points: Sequence[int]) -> tuple[list[Cell], list[_Span]]:
    """The tuplets of a span, and the beats that are neither plain nor tuplets."""
    inside = [point for point in points if span.start < point < span.end]
    if all(point % SHORTEST == 0 for point in inside):
        return [], []
    if tuplet := _tuplet(span, inside):
        return [tuplet], []
    found: list[Cell] = []
    bad: list[_Span] = []
    parts = list(span.parts())
    for part in parts:
        more, worse = _resolved(part, inside)
        found += more
        bad += worse
    is_beat = span.units == 1 and span.unit in (240, 480)
    if not parts or (is_beat and bad):
        return [], [span]
    return found, bad


def _tuplet(span: _Span, inside: Sequence[int]) -> Cell | None:
    length = span.end - span.start
    if length not in _TUPLETS:
        return None
    places = [point - span.start for point in inside]
    for actual, normal in ((3, 2), (5, 4)):
        unit = length // actual
        fits = all(place % unit == 0 for place in places)
        halved = actual == 3 and length > _NARROWEST and length // 2 not in places
        if fits or (halved and all(place % (unit // 2) == 0 for place in places)):
            return Cell(span.start, span.end, actual, normal)
    return None


def on_grid(notes: Notes, bars: Bars) -> tuple[Notes, int]:
    """The notes of a track, with those that lie off the grid moved to it, and how far at most, in ticks.

    Every note keeps some length. Notes that fall together are one.
    """
    starts, ends = notes["start"].astype(np.int64), (notes["start"] + notes["duration"]).astype(np.int64)
    points = np.unique(np.concatenate([starts, ends]))
    bar = np.clip(np.searchsorted(bars.starts, points, side="right") - 1, 0, len(bars.nominal) - 1)
    offset = points - bars.nominal[bar]
    moved: dict[int, int] = {}
    beats: dict[int, int] = {}
    for number in np.unique(bar[offset % SHORTEST != 0]).tolist():
        here = bar == number
        _snap_bar(bars, number, starts, points[here], moved, beats)
    if not moved:
        return notes, 0
    return _moved(notes, starts, ends, moved, beats), max(abs(new - old) for old, new in moved.items())


def _snap_bar(
    bars: Bars,
    number: int,
    starts: NDArray[np.int64],
    points: NDArray[np.int64],
    moved: dict[int, int],
    beats: dict[int, int],
) -> None:
    """Put down where the points of a bar go to, and, for each place gone to, the next one on its grid."""
    metre, origin = bars.signatures[number], int(bars.nominal[number])
    begun = set(starts[np.isin(starts, points)].tolist())
    inside = (points - origin).tolist()
    _, bad = _resolved(_Span(0, metre.numerator, 1920 // metre.denominator), inside)
    for span in bad:
        mine = [place for place in inside if span.start <= place < span.end]
        grid = _nearest_grid(span, [place for place in mine if place + origin in begun])
        for place in mine:
            target = span.start + round((place - span.start) / grid) * grid
            moved[place + origin] = target + origin
            beats[target + origin] = min(target + grid, span.end) + origin
            beats.setdefault(span.end + origin, span.end + origin + grid)


def _nearest_grid(span: _Span, places: Sequence[int]) -> int:
    length = span.end - span.start
    if not places:
        return length // 4

    def cost(choice: tuple[int, float]) -> float:
        step = length / choice[0]
        off = [abs((place - span.start) / step - round((place - span.start) / step)) * step for place in places]
        return sum(off) / len(off) / length + choice[1]

    choices = [choice for choice in _GRIDS if length // choice[0] >= SHORTEST]
    return length // min(choices, key=cost)[0]


def _moved(
    notes: Notes, starts: NDArray[np.int64], ends: NDArray[np.int64], moved: dict[int, int], beats: dict[int, int]
) -> Notes:
    found: dict[tuple[int, int], tuple[int, int]] = {}
    begun = sorted({moved.get(start, start) for start in starts.tolist()})
    for begin, stop, pitch, velocity in zip(
        starts.tolist(), ends.tolist(), notes["pitch"].tolist(), notes["velocity"].tolist(), strict=True
    ):
        start, end = moved.get(begin, begin), moved.get(stop, stop)
        if end <= start:
            end = beats.get(start, start + 480)
        if stop in moved:
            end = _until_next(start, end, begun)
        found[start, pitch] = max(found.get((start, pitch), (0, 0)), (end, velocity))
    result = np.empty(len(found), dtype=notes.dtype)
    rows = sorted((start, pitch, end, velocity) for (start, pitch), (end, velocity) in found.items())
    for place, (start, pitch, end, velocity) in enumerate(rows):
        result[place] = (start, end - start, pitch, velocity)
    return result


def _until_next(start: int, end: int, begun: Sequence[int]) -> int:
    """The end of a note, or the beginning of the next one where that is near."""
    place = bisect_left(begun, end)
    following = begun[place] if place < len(begun) else end
    return following if following - end <= min(end - start, 480) else end
