"""The times that notation can write: the division of a bar, note values, and moves of the notes beside them.

A note is one symbol where the beats that it hides can be inferred. It may hide a boundary that is no stronger than its
onset. It may also be a syncopation of one level, such as a half note on the second of four quarters. Else it is split
and tied. A rest hides no boundary that is as strong as one of its ends. After Gould, Behind Bars (Faber 2011), pages
164 to 170.

A beat is a tuplet where all onsets and ends in it lie on thirds or fifths of it. A beat of neither kind is a
performance: it takes, of four grids, the one nearest to its onsets, and the simpler of two that are about as near.
There a note sounds until the next onset, if the silence between them is shorter than the note.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from composer.music.score import Bars, Notes

# --- bars, beats and note values --------------------------------------------------------------------------------------


SHORTEST = 30
"""Ticks of a 64th note, the shortest value written."""

VALUES = {3840: "breve", 1920: "whole", 960: "half", 480: "quarter", 240: "eighth", 120: "16th", 60: "32nd", 30: "64th"}
"""Note values by their length in ticks."""

_WRITABLE = {
    length * (3 if dots else 2) // 2: (name, dots) for length, name in VALUES.items() for dots in (0, 1)
    if not (dots and length == SHORTEST)
}  # fmt: skip
_OUTER = -1


@dataclass(frozen=True)
class Boundary:
    """A boundary inside a span: how deep its division lies (0: strongest), and into how many parts it divides."""

    level: int
    parts: int
    is_even: bool = True


@dataclass(frozen=True, eq=False)
class Division:
    """A span of time from 0 to `length` ticks, and the boundaries inside it, by tick."""

    length: int
    boundaries: Mapping[int, Boundary]

    def get_level(self, tick: int) -> int:
        """Return the level of a tick: the smaller the stronger."""
        boundary = self.boundaries.get(tick)
        return _OUTER if boundary is None else boundary.level


def find_value(ticks: int) -> tuple[str, int] | None:
    """Return the note value of that length and its number of dots; None if no single one has it."""
    return _WRITABLE.get(ticks)


@lru_cache(maxsize=256)
def divide_bar(numerator: int, denominator: int) -> Division:
    """Divide a bar: 4/4 in halves, 3/4 in thirds, 6/8 in halves and these in thirds, 5/4 as 3 + 2."""
    unit = 1920 // denominator
    found: dict[int, Boundary] = {}
    _divide(found, 0, numerator, unit, 0)
    return Division(numerator * unit, found)


@lru_cache(maxsize=256)
def divide_tuplet(length: int, parts: int) -> Division:
    """Divide a tuplet of that many parts."""
    unit = length // parts
    found: dict[int, Boundary] = {}
    for index in range(parts):
        if index:
            found[index * unit] = Boundary(0, parts)
        _halve(found, index * unit, unit, 1)
    return Division(length, found)


@lru_cache(maxsize=65_536)  # a piece repeats the same few
def split_note(
    division: Division, start: int, end: int, *, is_rest: bool, stretch: float = 1
) -> tuple[tuple[int, int], ...]:
    """Split a note or rest from `start` to `end` into the symbols that write it, each as start and end.

    In a tuplet a value lasts `stretch` times as long on paper.
    """
    allowed = _can_write_rest if is_rest else _can_write_note
    found = []
    while start < end:
        ends = (p for p in _list_ends(division, start, end) if find_value(round((p - start) * stretch)))
        until = next((p for p in ends if allowed(division, start, p)), end)
        found.append((start, until))
        start = until
    return tuple(found)


def _list_ends(division: Division, start: int, end: int) -> Iterator[int]:
    """Yield the ticks at which a symbol from `start` on could end, the latest first."""
    yield end
    yield from sorted((tick for tick in division.boundaries if start < tick < end), reverse=True)


def _can_write_note(division: Division, start: int, end: int) -> bool:
    inside = [tick for tick in division.boundaries if start < tick < end]
    if not inside:
        return True
    strongest = min(division.get_level(tick) for tick in inside)
    begins, ends = division.get_level(start), division.get_level(end)
    if begins <= strongest:
        hidden = [division.boundaries[tick] for tick in inside if division.get_level(tick) == strongest]
        return ends <= strongest or (division.boundaries[end].parts == 2 and all(b.is_even for b in hidden))
    is_next_level = begins == strongest + 1 and division.boundaries[start].parts == 2
    return is_next_level and ends <= begins and [division.get_level(tick) for tick in inside].count(strongest) == 1


def _can_write_rest(division: Division, start: int, end: int) -> bool:
    ends = max(division.get_level(start), division.get_level(end))
    return all(division.get_level(tick) > ends for tick in division.boundaries if start < tick < end)


def _divide(found: dict[int, Boundary], start: int, units: int, unit: int, level: int) -> None:
    if units == 1:
        _halve(found, start, unit, level)
        return
    groups = group_units(units)
    tick = start
    for group in groups:
        if tick != start:
            found[tick] = Boundary(level, len(groups), is_even=len(set(groups)) == 1)
        _divide(found, tick, group, unit, level + 1)
        tick += group * unit


def group_units(units: int) -> Sequence[int]:
    """Divide a group of units into smaller groups: 4 as 2 + 2, 9 as 3 + 3 + 3, 7 as 4 + 3."""
    if units % 4 == 0:
        return (units // 2,) * 2
    if units % 3 == 0:
        return (3,) * (units // 3) if units > 3 else (1, 1, 1)
    return (units - units // 2, units // 2)


def _halve(found: dict[int, Boundary], start: int, length: int, level: int) -> None:
    half, rest = divmod(length, 2)
    if rest or half < SHORTEST // 2:
        return
    found[start + half] = Boundary(level, 2)
    _halve(found, start, half, level + 1)
    _halve(found, start + half, half, level + 1)


# --- tuplets and moves ------------------------------------------------------------------------------------------------


_TUPLETS = (120, 240, 480, 960)  # ticks that one can last
_NARROWEST = min(_TUPLETS)
_GRIDS = ((4, 0.0), (3, 0.02), (8, 0.05), (6, 0.05))
"""Parts of a beat, and by how much nearer to them, in beats, the notes must be."""

_ROUNDS = 3
"""Most rounds of moves; a note that moves into another beat may not fit there."""


@dataclass(frozen=True)
class TupletSpan:
    """A tuplet: its start and end in the bar, and `actual` parts in the time of `normal`."""

    start: int
    end: int
    actual: int
    normal: int


@dataclass(frozen=True)
class _Span:
    """A part of a bar as its metre divides it, in units."""

    start: int
    units: int
    unit: int

    @property
    def end(self) -> int:
        return self.start + self.units * self.unit

    def divide(self) -> Iterator[_Span]:
        """Divide the span; it yields nothing below the shortest tuplet."""
        if self.units == 1:
            half = self.unit // 2
            if half >= _NARROWEST:
                yield from (_Span(self.start, 1, half), _Span(self.start + half, 1, half))
            return
        start = self.start
        for group in group_units(self.units):
            yield _Span(start, group, self.unit)
            start += group * self.unit


def find_tuplets(numerator: int, denominator: int, points: Sequence[int]) -> tuple[TupletSpan, ...]:
    """Find the tuplets in a bar where notes begin and end at `points`, ticks from the bar line."""
    found, _ = _resolve(_Span(0, numerator, 1920 // denominator), sorted(points))
    return tuple(found)


def _resolve(span: _Span, points: Sequence[int]) -> tuple[list[TupletSpan], list[_Span]]:
    """Resolve a span into tuplets, and beats that are neither plain nor tuplets."""
    inside = [point for point in points if span.start < point < span.end]
    if all(point % SHORTEST == 0 for point in inside):
        return [], []
    if tuplet := _find_tuplet(span, inside):
        return [tuplet], []
    found: list[TupletSpan] = []
    bad: list[_Span] = []
    parts = list(span.divide())
    for part in parts:
        more, worse = _resolve(part, inside)
        found += more
        bad += worse
    is_beat = span.units == 1 and span.unit in (240, 480)
    if not parts or (is_beat and bad):
        return [], [span]
    return found, bad


def _find_tuplet(span: _Span, inside: Sequence[int]) -> TupletSpan | None:
    length = span.end - span.start
    if length not in _TUPLETS:
        return None
    offsets = [point - span.start for point in inside]
    for actual, normal in ((3, 2), (5, 4)):
        unit = length // actual
        fits = all(offset % unit == 0 for offset in offsets)
        halved = actual == 3 and length > _NARROWEST and length // 2 not in offsets
        if fits or (halved and all(offset % (unit // 2) == 0 for offset in offsets)):
            return TupletSpan(span.start, span.end, actual, normal)
    return None


def move_to_grid(notes: Notes, bars: Bars) -> tuple[Notes, int]:
    """Move the notes of a track that lie off the grid to it; return the notes, and the largest move in ticks.

    Every note keeps some length. Notes that fall together are one.
    """
    most = 0
    for _ in range(_ROUNDS):
        moves = _find_moves(notes, bars)
        if not moves.to:
            return notes, most
        notes = _apply_moves(notes, moves, int(bars.starts[-1]))
        most += moves.most
    moves = _find_plain_moves(notes)
    return _apply_moves(notes, moves, int(bars.starts[-1])), most + moves.most


@dataclass(frozen=True)
class _Moves:
    """The targets of onsets and ends, and, for each target, the next time on its grid."""

    to: dict[int, int] = field(default_factory=dict)
    following: dict[int, int] = field(default_factory=dict)

    @property
    def most(self) -> int:
        """The largest move."""
        return max((abs(new - old) for old, new in self.to.items()), default=0)


def _find_points(notes: Notes) -> NDArray[np.int64]:
    starts = notes["start"].astype(np.int64)
    return np.unique(np.concatenate([starts, starts + notes["duration"]]))


def _find_moves(notes: Notes, bars: Bars) -> _Moves:
    starts, points = notes["start"].astype(np.int64), _find_points(notes)
    bar = np.clip(np.searchsorted(bars.starts, points, side="right") - 1, 0, len(bars.nominal) - 1)
    offset = points - bars.nominal[bar]
    found = _Moves()
    for number in np.unique(bar[offset % SHORTEST != 0]).tolist():
        _snap_bar(bars, number, starts, points[bar == number], found)
    return found


def _find_plain_moves(notes: Notes) -> _Moves:
    """Find moves to 64ths, which fit into every bar: for notes that fit no tuplet."""
    found = _Moves()
    for tick in _find_points(notes).tolist():
        target = round(tick / SHORTEST) * SHORTEST
        found.to[tick] = target
        found.following[target] = target + SHORTEST
    return found


def _snap_bar(bars: Bars, number: int, starts: NDArray[np.int64], points: NDArray[np.int64], found: _Moves) -> None:
    """Record the moves of the points of a bar."""
    metre, origin = bars.signatures[number], int(bars.nominal[number])
    begun = set(starts[np.isin(starts, points)].tolist())
    inside = (points - origin).tolist()
    edges = [int(edge) - origin for edge in bars.starts[number : number + 2]]
    _, bad = _resolve(_Span(0, metre.numerator, 1920 // metre.denominator), sorted({*inside, *edges}))
    for span in bad:
        mine = [offset for offset in inside if span.start <= offset < span.end]
        is_cut = any(span.start < edge < span.end for edge in edges)
        grid = SHORTEST if is_cut else _find_nearest_grid(span, [offset for offset in mine if offset + origin in begun])
        for offset in mine:
            target = min(span.start + round((offset - span.start) / grid) * grid, edges[1])
            if target + origin == bars.starts[-1] and offset + origin in begun:
                target -= grid
            found.to[offset + origin] = target + origin
            found.following[target + origin] = min(target + grid, span.end) + origin
            found.following.setdefault(span.end + origin, span.end + origin + grid)


def _find_nearest_grid(span: _Span, offsets: Sequence[int]) -> int:
    length = span.end - span.start
    choices = [choice for choice in _GRIDS if length // choice[0] >= SHORTEST]
    if not choices:
        return SHORTEST
    if not offsets:
        return length // choices[0][0]

    def compute_cost(choice: tuple[int, float]) -> float:
        step = length / choice[0]
        off = [abs((offset - span.start) / step - round((offset - span.start) / step)) * step for offset in offsets]
        return sum(off) / len(off) / length + choice[1]

    return length // min(choices, key=compute_cost)[0]


def _apply_moves(notes: Notes, moves: _Moves, last: int) -> Notes:
    """Apply the moves to notes; none begins or ends after `last`."""
    found: dict[tuple[int, int], tuple[int, int]] = {}
    starts, ends = notes["start"].tolist(), (notes["start"] + notes["duration"]).tolist()
    begun = sorted({moves.to.get(start, start) for start in starts})
    for begin, stop, pitch, velocity in zip(
        starts, ends, notes["pitch"].tolist(), notes["velocity"].tolist(), strict=True
    ):
        start, end = min(moves.to.get(begin, begin), last - SHORTEST), moves.to.get(stop, stop)
        if end <= start:
            end = moves.following.get(start, start + SHORTEST)
        if stop in moves.to:
            end = _find_end(start, end, begun)
        found[start, pitch] = max(found.get((start, pitch), (0, 0)), (min(end, last), velocity))
    result = np.empty(len(found), dtype=notes.dtype)
    rows = sorted((start, pitch, end, velocity) for (start, pitch), (end, velocity) in found.items())
    for index, (start, pitch, end, velocity) in enumerate(rows):
        result[index] = (start, end - start, pitch, velocity)
    return result


def _find_end(start: int, end: int, begun: Sequence[int]) -> int:
    """Return the end of a note, or the onset of the next one if that is near."""
    index = bisect_left(begun, end)
    following = begun[index] if index < len(begun) else end
    return following if following - end <= min(end - start, 480) else end
