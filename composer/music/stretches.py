"""Chord symbols of two scores joined: stretches of a piece that keep the old ones, or take the new ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from composer.music.score import ChordSymbol

ALWAYS = 2**40
"""Later than the end of any piece."""


@dataclass(frozen=True)
class Stretch:
    """A stretch of a piece, and the symbols that it takes: those at `source` of the old or the new ones."""

    start: int
    end: int
    source: int
    is_new: bool = True


def alternate(spans: Sequence[tuple[int, int]]) -> Iterator[Stretch]:
    """Yield fixed spans (start, end), sorted, and what is new between them."""
    place = 0
    for start, end in spans:
        if place < start:
            yield Stretch(place, start, place)
        if place < end:
            yield Stretch(max(place, start), end, max(place, start), is_new=False)
        place = max(place, end)
    if place < ALWAYS:
        yield Stretch(place, ALWAYS, place)


def select_symbols(
    stretches: Sequence[Stretch], old: Sequence[ChordSymbol], new: Sequence[ChordSymbol]
) -> Iterator[ChordSymbol]:
    """Yield the symbols of all stretches; the one in force at the beginning of a stretch is stated there."""
    last = ""
    for one in stretches:
        if one.start >= one.end:
            continue
        symbols = new if one.is_new else old
        before = [symbol.text for symbol in symbols if symbol.tick <= one.source]
        inside = [symbol for symbol in symbols if one.source < symbol.tick < one.source + one.end - one.start]
        begins = any(symbol.tick == one.source for symbol in symbols)
        if before and (begins or before[-1] != last):
            yield ChordSymbol(one.start, before[-1])
        yield from (replace(symbol, tick=symbol.tick - one.source + one.start) for symbol in inside)
        last = inside[-1].text if inside else before[-1] if before else last
