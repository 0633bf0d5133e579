"""Where time signatures stand, and how they show an upbeat, which MIDI has no word for: a short first bar.

Music programs place their bar lines by them. Time signatures here begin at tick 0.
"""

from __future__ import annotations

from dataclasses import replace

from composer.music.score import TICKS_PER_QUARTER, TimeSignature

BESIDE = 2
"""Ticks by which a time signature in a file may miss a bar line."""

MOST_REACH = TICKS_PER_QUARTER // 32
"""A time signature farther from a bar line is meant to be there."""

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


def aligned(signatures: _Signatures, reach: int) -> tuple[_Signatures, int]:
    """The signatures, where those beside a bar line are moved to it, and how many were.

    Beside is by at most `reach` ticks, and a small part of a bar. Of several that come to stand at one place, the last
    one counts.
    """
    found: dict[int, TimeSignature] = {}
    line, bar, moved = 0, TimeSignature(0, 4, 4).bar_ticks, 0
    for signature in signatures:
        most = min(reach, MOST_REACH, bar // 8)
        beyond = (signature.tick - line + most) % bar - most  # after the nearest bar line; before it where negative
        if beyond and abs(beyond) <= most:
            signature = replace(signature, tick=signature.tick - beyond)
            moved += 1
        found[signature.tick] = signature
        line, bar = signature.tick, signature.bar_ticks
    return tuple(sorted(found.values())), moved


def is_plain(signatures: _Signatures) -> bool:
    """Whether a reader takes them for what they are, with no upbeat, in a file of the ticks of a Score."""
    return guessed(aligned(signatures, BESIDE)[0]) == (signatures, 0)


def _short_bar(ticks: int) -> TimeSignature | None:
    for denominator in (4, 8, 16, 32, 64):
        numerator, rest = divmod(ticks * denominator, TICKS_PER_QUARTER * 4)
        if not rest and 1 <= numerator <= 64:
            return TimeSignature(0, numerator, denominator)
    return None
