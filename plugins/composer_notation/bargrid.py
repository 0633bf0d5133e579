"""Where bars begin when measures are laid end to end, short ones among them; it knows no file format.

A written measure need not be a bar: a repeat sign cuts a bar in two, and an encoder may leave a beat out. Short
measures that add up to a bar are one; what remains odd is given a time signature of its own length, so that the
bars after it stay where they were written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from composer.score import TICKS_PER_QUARTER, TimeSignature


@dataclass(frozen=True)
class Measure:
    """A measure as it is played: start and length in quarter notes, and the time signature in force."""

    start: Fraction
    length: Fraction
    numerator: int = 4
    denominator: int = 4

    @property
    def bar(self) -> Fraction:
        """How long it would be if it were complete."""
        return Fraction(4 * self.numerator, self.denominator)


def ticks(quarters: Fraction) -> int:
    """Quarter notes as whole ticks."""
    return round(quarters * TICKS_PER_QUARTER)


def upbeat_of(measures: Sequence[Measure]) -> int:
    """Length in ticks of a first measure that is shorter than its bar; else 0."""
    if len(measures) < 2 or not 0 < measures[0].length < measures[0].bar:
        return 0
    return ticks(measures[0].length)


def time_signatures(measures: Sequence[Measure]) -> tuple[TimeSignature, ...]:
    """The time signatures whose bars begin where these measures do, each where it changes."""
    found: list[TimeSignature] = []
    place = 0
    while place < len(measures):
        count = 1 if place == 0 and upbeat_of(measures) else _joined(measures, place)
        signature = _signature(measures, place, count)
        if not found or (found[-1].numerator, found[-1].denominator) != (signature.numerator, signature.denominator):
            found.append(signature)
        place += count
    return tuple(found)


def _joined(measures: Sequence[Measure], place: int) -> int:
    """How many measures from `place` on make one bar: more than one if short ones add up to it exactly."""
    first, total = measures[place], Fraction(0)
    for count, measure in enumerate(measures[place:], start=1):
        if measure.bar != first.bar:
            break
        total += measure.length
        if total >= first.bar:
            return count if total == first.bar else 1
    return 1


def _signature(measures: Sequence[Measure], place: int, count: int) -> TimeSignature:
    """The written signature if bars of it fit the measures (the ends of the piece always do), else one that fits."""
    first = measures[place]
    written = TimeSignature(ticks(first.start), first.numerator, first.denominator)
    is_end = place + count == len(measures) and first.length <= first.bar
    if count > 1 or is_end or first.length % first.bar == 0 or (place == 0 and upbeat_of(measures)):
        return written
    return _of_length(first.length, written) or written


def _of_length(quarters: Fraction, near: TimeSignature) -> TimeSignature | None:
    """A signature of that bar length, in the note value of `near` or the next smaller one that does; None if none."""
    denominator = near.denominator
    while denominator <= 64:
        numerator = quarters * denominator / 4
        if numerator.denominator == 1 and 1 <= numerator <= 64:
            return TimeSignature(near.tick, int(numerator), denominator)
        denominator *= 2
    return None
