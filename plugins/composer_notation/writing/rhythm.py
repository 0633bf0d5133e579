"""The notes of one voice as symbols on paper, bar by bar: values, dots, ties, tuplets, rests and beams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from composer_notation.writing.grid import (
    SHORTEST,
    TupletSpan,
    divide_bar,
    divide_tuplet,
    find_tuplets,
    find_value,
    split_note,
)
from composer_notation.writing.spelling import Spelled

# --- symbols ----------------------------------------------------------------------------------------------------------


_Pitches = frozenset[Spelled]
_NONE: _Pitches = frozenset()


@dataclass(frozen=True)
class Event:
    """A note or chord from `start` to `end`, in ticks; ties may lead to it or from it for some of its pitches."""

    start: int
    end: int
    pitches: tuple[Spelled, ...]  # from the lowest
    velocities: tuple[int, ...] = ()  # one for each pitch
    held_from: _Pitches = _NONE
    held_to: _Pitches = _NONE


@dataclass(frozen=True)
class Tuplet:
    """The tuplet of a symbol: `actual` parts in the time of `normal`, and whether it is its first or last symbol."""

    actual: int
    normal: int
    begins: bool = False
    ends: bool = False


@dataclass(frozen=True)
class Symbol:
    """A note, chord or rest (without pitches) as it is written; `start` counts from the beginning of the piece."""

    start: int
    duration: int
    value: str  # as MusicXML has it: half, quarter, 16th
    dots: int = 0
    pitches: tuple[Spelled, ...] = ()
    velocities: tuple[int, ...] = ()  # one for each pitch
    held_from: _Pitches = _NONE
    held_to: _Pitches = _NONE
    tuplet: Tuplet | None = None
    fills_bar: bool = False
    is_continued: bool = False  # not the first symbol of its note

    @property
    def end(self) -> int:
        """The tick at which it ends."""
        return self.start + self.duration


@dataclass(frozen=True)
class Measure:
    """A bar on paper, in ticks: its start and end, and its start if it were whole."""

    start: int
    end: int
    nominal: int
    numerator: int
    denominator: int

    @property
    def is_whole(self) -> bool:
        """Whether it lasts as long as its time signature says."""
        return self.end - self.start == 1920 * self.numerator // self.denominator


def write_symbols(events: Sequence[Event], measure: Measure) -> list[Symbol]:
    """Write the events of one voice in a measure as symbols; silence becomes rests."""
    inside = [_clip(event, measure) for event in events]
    if not inside:
        return (
            [_make_bar_rest(measure)]
            if measure.is_whole
            else list(_write_event(_make_silence(measure.start, measure.end), measure))
        )
    filled = list(_fill_with_rests(inside, measure))
    offsets = {time - measure.nominal for event in filled for time in (event.start, event.end)}
    tuplets = find_tuplets(measure.numerator, measure.denominator, sorted(offsets))
    found = [symbol for event in filled for symbol in _write_event(event, measure, tuplets)]
    return _mark_tuplets(found, tuplets, measure.nominal)


def divide_events(events: Sequence[Event], measure: Measure, ticks: Sequence[int]) -> list[Event]:
    """Cut the events of one voice in a measure, rests among them, at those `ticks` at which notation can."""
    filled = list(_fill_with_rests([_clip(event, measure) for event in events], measure))
    offsets = {time - measure.nominal for event in filled for time in (event.start, event.end)}
    tuplets = find_tuplets(measure.numerator, measure.denominator, sorted(offsets))
    for tick in ticks:
        if _can_cut(tick - measure.nominal, tuplets):
            filled = [part for event in filled for part in _split_at(event, tick)]
    return filled


def _can_cut(offset: int, tuplets: Sequence[TupletSpan]) -> bool:
    """Tell whether a symbol can begin at a tick: on the grid or, in a tuplet, on a part of it."""
    for tuplet in tuplets:
        if tuplet.start < offset < tuplet.end:
            return (offset - tuplet.start) % ((tuplet.end - tuplet.start) // tuplet.actual) == 0
    return offset % SHORTEST == 0


def _split_at(event: Event, tick: int) -> tuple[Event, ...]:
    if not event.start < tick < event.end:
        return (event,)
    tied = frozenset(event.pitches)
    return replace(event, end=tick, held_to=tied), replace(event, start=tick, held_from=tied)


def _clip(event: Event, measure: Measure) -> Event:
    """Clip an event to a measure; it is tied to its parts outside."""
    everything = frozenset(event.pitches)
    return replace(
        event,
        start=max(event.start, measure.start),
        end=min(event.end, measure.end),
        held_from=everything if event.start < measure.start else event.held_from,
        held_to=everything if event.end > measure.end else event.held_to,
    )


def _make_silence(start: int, end: int) -> Event:
    return Event(start, end, ())


def _fill_with_rests(events: Sequence[Event], measure: Measure) -> Iterator[Event]:
    tick = measure.start
    for event in events:
        if event.start > tick:
            yield _make_silence(tick, event.start)
        yield event
        tick = event.end
    if tick < measure.end:
        yield _make_silence(tick, measure.end)


def _make_bar_rest(measure: Measure) -> Symbol:
    return Symbol(measure.start, measure.end - measure.start, "whole", fills_bar=True)


def _write_event(event: Event, measure: Measure, tuplets: Sequence[TupletSpan] = ()) -> Iterator[Symbol]:
    """Write an event as symbols that are tied to one another."""
    spans = list(_split_event(event, measure, tuplets))
    everything = frozenset(event.pitches)
    for number, (start, end, tuplet) in enumerate(spans):
        stretch = tuplet.actual / tuplet.normal if tuplet else 1
        name, dots = find_value(round((end - start) * stretch)) or ("64th", 0)
        yield Symbol(
            start + measure.nominal,
            end - start,
            name,
            dots,
            event.pitches,
            event.velocities,
            event.held_from if number == 0 else everything,
            event.held_to if number == len(spans) - 1 else everything,
            Tuplet(tuplet.actual, tuplet.normal) if tuplet else None,
            is_continued=number > 0 or event.held_from == everything,
        )


def _split_event(
    event: Event, measure: Measure, tuplets: Sequence[TupletSpan]
) -> Iterator[tuple[int, int, TupletSpan | None]]:
    """Yield start and end of the symbols of an event, from the bar line, and the tuplet of each."""
    start, end = event.start - measure.nominal, event.end - measure.nominal
    division = divide_bar(measure.numerator, measure.denominator)
    is_rest = not event.pitches
    for begin, until, tuplet in _cut_at_tuplets(start, end, tuplets):
        if tuplet is None:
            yield from ((a, b, None) for a, b in split_note(division, begin, until, is_rest=is_rest))
            continue
        inner = divide_tuplet(tuplet.end - tuplet.start, tuplet.actual)
        stretch = tuplet.actual / tuplet.normal
        for a, b in split_note(inner, begin - tuplet.start, until - tuplet.start, is_rest=is_rest, stretch=stretch):
            yield a + tuplet.start, b + tuplet.start, tuplet


def _cut_at_tuplets(
    start: int, end: int, tuplets: Sequence[TupletSpan]
) -> Iterator[tuple[int, int, TupletSpan | None]]:
    """Cut a span of time where tuplets begin and end."""
    for tuplet in tuplets:
        if tuplet.end <= start or tuplet.start >= end:
            continue
        if start < tuplet.start:
            yield start, tuplet.start, None
        yield max(start, tuplet.start), min(end, tuplet.end), tuplet
        start = tuplet.end
    if start < end:
        yield start, end, None


def _mark_tuplets(found: list[Symbol], tuplets: Sequence[TupletSpan], origin: int) -> list[Symbol]:
    """Mark the first and the last symbol of each tuplet."""
    for tuplet in tuplets:
        begin, end = tuplet.start + origin, tuplet.end + origin
        mine = [index for index, symbol in enumerate(found) if begin <= symbol.start < end]
        for index, mark in ((mine[0], "begins"), (mine[-1], "ends")):
            its = found[index].tuplet
            if its:
                found[index] = replace(found[index], tuplet=replace(its, **{mark: True}))
    return found


# --- beams ------------------------------------------------------------------------------------------------------------


_FLAGS = {"eighth": 1, "16th": 2, "32nd": 3, "64th": 4}


def count_flags(symbol: Symbol) -> int:
    """Count the flags that a note has alone; 0 for a rest."""
    return _FLAGS.get(symbol.value, 0) if symbol.pitches else 0


def find_beams(found: Sequence[Symbol], measure: Measure) -> list[tuple[str, ...]]:
    """Find the state of the beams of each symbol, from the outermost: `begin`, `continue`, `end` or a hook.

    Notes of one beat are beamed. So are half a bar of four beats, or a bar of three, where they are all eighths.
    """
    result: list[tuple[str, ...]] = [()] * len(found)
    for group in _group_notes(found, measure):
        for index, states in zip(group, _find_states([count_flags(found[index]) for index in group]), strict=True):
            result[index] = states
    return result


def _group_notes(found: Sequence[Symbol], measure: Measure) -> list[list[int]]:
    wide, beat = _find_lengths(measure)
    groups: list[list[int]] = []
    last: tuple[int, int] | None = None
    plain = _find_plain_groups(found, measure, wide)
    for index, symbol in enumerate(found):
        offset = symbol.start - measure.nominal
        here = (wide, offset // wide) if offset // wide in plain else (beat, offset // beat)
        if not count_flags(symbol):
            last = None
        elif last == here:
            groups[-1].append(index)
        else:
            groups.append([index])
            last = here
    return [group for group in groups if len(group) > 1]


def _find_lengths(measure: Measure) -> tuple[int, int]:
    """Return the ticks of the widest group of eighths, and of a beat."""
    unit = 1920 // measure.denominator
    if measure.denominator >= 8:
        beat = 3 * unit if measure.numerator % 3 == 0 else 2 * unit
        return beat, beat
    beat = min(unit, 480)
    if measure.numerator == 3 and unit == 480:
        return 1440, beat
    return 960 if measure.numerator % 2 == 0 or unit == 960 else beat, beat


def _find_plain_groups(found: Sequence[Symbol], measure: Measure, wide: int) -> set[int]:
    """Find the wide groups that hold nothing but eighths."""
    other: set[int] = set()
    seen: set[int] = set()
    for symbol in found:
        first = (symbol.start - measure.nominal) // wide
        last = (symbol.end - measure.nominal - 1) // wide
        seen.update(range(first, last + 1))
        if count_flags(symbol) != 1 or symbol.tuplet or symbol.dots:
            other.update(range(first, last + 1))
    return seen - other


def _find_states(flagged: Sequence[int]) -> list[tuple[str, ...]]:
    return [
        tuple(_find_state(flagged, index, level) for level in range(1, own + 1)) for index, own in enumerate(flagged)
    ]


def _find_state(flagged: Sequence[int], index: int, level: int) -> str:
    before = index > 0 and flagged[index - 1] >= level
    after = index + 1 < len(flagged) and flagged[index + 1] >= level
    if before:
        return "continue" if after else "end"
    if after:
        return "begin"
    return "backward hook" if index > 0 else "forward hook"
