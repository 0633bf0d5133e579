"""The durations of the symbols of a tune: unit lengths, tuplets and broken rhythm."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from composer_notation.abc.fields import parse_time_signature, parse_unit_length
from composer_notation.abc.symbols import Symbol

_IN_THE_TIME_OF = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}
_WHOLE, _NOTHING = Fraction(1), Fraction(0)
_COMMON = (4, 4)  # for rests of whole bars, without a time signature


def find_units(written: Sequence[Symbol], unit: Fraction, time_signature: tuple[int, int] | None) -> list[Fraction]:
    """Find the quarter notes that a length of 1 lasts, for each note and chord; a whole bar for `rests`, else 0.

    `unit` and `time_signature` are those at the beginning. ValueError for invalid rhythm.
    """
    found: list[Fraction] = []
    broken, last = _WHOLE, -1
    factor, left = _WHOLE, 0
    for symbol in written:
        length = _NOTHING
        if symbol.kind in ("note", "chord"):
            factor, left = (factor, left - 1) if left else (_WHOLE, 0)
            length = unit if factor == broken == 1 else unit * factor * broken
            broken, last = _WHOLE, len(found)
        elif symbol.kind == "rests":
            length = Fraction(4 * (time_signature or _COMMON)[0], (time_signature or _COMMON)[1])
        elif symbol.kind == "tuplet":
            factor, left = parse_tuplet(
                symbol.text, is_compound=time_signature is not None and _is_compound(*time_signature)
            )
        elif symbol.kind == "broken":
            if last < 0 or broken != 1:
                raise ValueError(f"has a '{symbol.text}' without a note before it")
            first, broken = _parse_broken(symbol.text)
            found[last] *= first
        elif symbol.kind == "field":
            unit, time_signature = _apply_field(symbol.text, unit, time_signature)
        found.append(length)
    return found


def parse_tuplet(text: str, *, is_compound: bool) -> tuple[Fraction, int]:
    """Parse `(p:q:r` as the factor of its notes' length, and their number. ValueError for a p of 0 or 1."""
    numbers = [int(part) if part else 0 for part in text[1:].split(":")]
    p, q, r = (*numbers, 0, 0)[:3]
    if p < 2:
        raise ValueError(f"has an invalid tuplet '{text}'")
    q = q or _IN_THE_TIME_OF.get(p) or (3 if is_compound else 2)
    return Fraction(q, p), r or p


def _is_compound(numerator: int, denominator: int) -> bool:
    """Tell whether beats are dotted: 6/8, 9/8, 12/8."""
    return denominator >= 8 and numerator > 3 and numerator % 3 == 0


def _parse_broken(text: str) -> tuple[Fraction, Fraction]:
    """Return the factors by which the notes before and after `>` or `<` change."""
    short = Fraction(1, 2 ** len(text))
    return (2 - short, short) if text[0] == ">" else (short, 2 - short)


def _apply_field(
    text: str, unit: Fraction, time_signature: tuple[int, int] | None
) -> tuple[Fraction, tuple[int, int] | None]:
    letter, _, value = text.partition(":")
    if letter == "L":
        return parse_unit_length(value), time_signature
    return unit, parse_time_signature(value) if letter == "M" else time_signature
