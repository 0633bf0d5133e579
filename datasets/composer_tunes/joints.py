"""Join the sections of a tune on the beat, as players do.

Tune books do not adapt the end of a section to what follows: it may be a full bar before a pickup, or short by a pickup
that the next section lacks. Players cut or sustain the last note, or leave out the pickup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from composer_notation.abc.melody import WrittenMeasure


def join_sections(played: Sequence[WrittenMeasure], is_joint: Sequence[bool]) -> list[WrittenMeasure]:
    """Join measures in playing order, so that sections follow on the beat.

    `is_joint` is true for the last measure of each section. The last note of a section is cut or sustained. If it is
    too short to be cut, the following pickup is left out.
    """
    found: list[WrittenMeasure] = []
    filled, is_left_out = _find_pickup_gap(played), False
    for index, measure in enumerate(played):
        if is_left_out:
            is_left_out = False
            continue
        filled += measure.length
        if is_joint[index] and index + 1 < len(played):
            following = played[index + 1]
            missing = _compute_end(measure, following) - (filled % measure.bar or measure.bar)
            changed = _resize(measure, missing)
            is_left_out = missing == -following.length and changed is None
            filled += missing if changed else 0
            measure = changed or measure
        found.append(measure)
        filled %= measure.bar
    return found


def _find_pickup_gap(played: Sequence[WrittenMeasure]) -> Fraction:
    """Return the part of the first bar before a pickup."""
    first = played[0]
    return first.bar - first.length if first.length < first.bar else Fraction(0)


def _compute_end(measure: WrittenMeasure, following: WrittenMeasure) -> Fraction:
    """Return the length of a section's last bar: whole, or short by the following pickup."""
    return measure.bar - following.length if following.length < following.bar else measure.bar


def _resize(measure: WrittenMeasure, missing: Fraction) -> WrittenMeasure | None:
    """Change the measure's length by its last note or rest; return None if that is impossible."""
    length = measure.length + missing
    if not missing or not measure.notes or length <= 0:
        return None
    last = measure.notes[-1]
    is_held = missing > 0 and last.start + last.length == measure.length
    end = length if is_held else min(last.start + last.length, length)
    if end <= last.start:
        return None
    return replace(measure, notes=(*measure.notes[:-1], replace(last, length=end - last.start)), length=length)
