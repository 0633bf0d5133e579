"""The division of a bar into beats and their parts, and the note values that fit into it.

A note is one symbol where the beats that it hides can be inferred. It may hide a boundary that is no stronger than its
onset. It may also be a syncopation of one level, such as a half note on the second of four quarters. Else it is split
and tied. A rest hides no boundary that is as strong as one of its ends.

After Gould, Behind Bars (Faber 2011), pages 164 to 170.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

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
