"""Beams of notes, by beats."""

from __future__ import annotations

from collections.abc import Sequence

from composer_notation.writing.rhythm import Measure, Symbol

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
