"""Positions of time signatures, and pickups: MIDI has none, and shows them as a short first bar.

Music programs derive bar lines from time signatures. Time signatures here begin at tick 0.
"""

from __future__ import annotations

from dataclasses import replace

from composer.music.score import TICKS_PER_QUARTER, TimeSignature

BESIDE = 2
"""Ticks by which a misplaced time signature may miss a bar line."""

MOST_REACH = TICKS_PER_QUARTER // 32
"""A time signature farther from a bar line is intended."""

_Signatures = tuple[TimeSignature, ...]


def show_pickup(signatures: _Signatures, upbeat: int) -> _Signatures:
    """Insert a short first bar for the pickup, if a time signature of that length exists."""
    short = _make_short_bar(upbeat)
    if not signatures or short is None or upbeat >= signatures[0].bar_ticks:
        return signatures
    if len(signatures) > 1 and signatures[1].tick <= upbeat:
        return signatures
    return (short, replace(signatures[0], tick=upbeat), *signatures[1:])


def fold_pickup(signatures: _Signatures, upbeat: int) -> _Signatures:
    """Remove the short first bar of `shown` for this pickup; other signatures stay as they are."""
    if upbeat and len(signatures) > 1 and signatures[0] == _make_short_bar(upbeat) and signatures[1].tick == upbeat:
        return (replace(signatures[1], tick=0), *signatures[2:])
    return signatures


def guess_pickup(signatures: _Signatures) -> tuple[_Signatures, int]:
    """Guess the pickup from a second signature before the first bar is full. Returns the signatures and the pickup.

    A first bar shorter than those after it also counts as a pickup.
    """
    if len(signatures) < 2:
        return signatures, 0
    first, second = signatures[:2]
    if second.tick <= first.bar_ticks and second.tick < second.bar_ticks:
        return (replace(second, tick=0), *signatures[2:]), second.tick
    return signatures, 0


def align_signatures(signatures: _Signatures, reach: int) -> tuple[_Signatures, int]:
    """Move signatures beside a bar line to it. Returns the signatures and the number of moves.

    Beside means at most `reach` ticks, and a small part of a bar. Of signatures at one tick the last one counts.
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
    """Tell whether a reader takes signatures as they are, without a pickup, in a file with the ticks of a Score."""
    return guess_pickup(align_signatures(signatures, BESIDE)[0]) == (signatures, 0)


def _make_short_bar(ticks: int) -> TimeSignature | None:
    for denominator in (4, 8, 16, 32, 64):
        numerator, rest = divmod(ticks * denominator, TICKS_PER_QUARTER * 4)
        if not rest and 1 <= numerator <= 64:
            return TimeSignature(0, numerator, denominator)
    return None
