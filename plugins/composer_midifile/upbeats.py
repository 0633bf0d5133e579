"""How a MIDI file shows an upbeat, which it has no word for: a short first bar; it knows no file.

Music programs place their bar lines by it. Time signatures here begin at tick 0.
"""

from __future__ import annotations

from dataclasses import replace

from composer.score import TICKS_PER_QUARTER, TimeSignature

_Signatures = tuple[TimeSignature, ...]


def shown(signatures: _Signatures, upbeat: int) -> _Signatures:
    """The signatures with one of a single short bar before them, where there is one of that length."""
    short = _short_bar(upbeat)
    if not signatures or short is None or upbeat >= signatures[0].bar_ticks:
        return signatures
    if len(signatures) > 1 and signatures[1].tick <= upbeat:
        return signatures
    return (short, replace(signatures[0], tick=upbeat), *signatures[1:])


def folded(signatures: _Signatures, upbeat: int) -> _Signatures:
    """What was `shown` for this upbeat; other signatures stay as they are."""
    if upbeat and len(signatures) > 1 and signatures[0] == _short_bar(upbeat) and signatures[1].tick == upbeat:
        return (replace(signatures[1], tick=0), *signatures[2:])
    return signatures


def guessed(signatures: _Signatures) -> tuple[_Signatures, int]:
    """The signatures, and the upbeat that they seem to show: a second one before the first bar is full.

    A first bar that is shorter than those after it counts as well.
    """
    if len(signatures) < 2:
        return signatures, 0
    first, second = signatures[:2]
    if second.tick <= first.bar_ticks and second.tick < second.bar_ticks:
        return (replace(second, tick=0), *signatures[2:]), second.tick
    return signatures, 0


def _short_bar(ticks: int) -> TimeSignature | None:
    for denominator in (4, 8, 16, 32, 64):
        numerator, rest = divmod(ticks * denominator, TICKS_PER_QUARTER * 4)
        if not rest and 1 <= numerator <= 64:
            return TimeSignature(0, numerator, denominator)
    return None
