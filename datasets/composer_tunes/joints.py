"""Makes the sections of a tune meet on the beat, as players do; it knows measures and no ABC text.

Tune books write the end of a section as if nothing followed: a full bar before an upbeat, or a bar that is short by an
upbeat which the next section does not have. A player cuts or holds the last note, or goes on without the upbeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from composer_notation.abc.melody import Written


def met(played: Sequence[Written], is_joint: Sequence[bool]) -> list[Written]:
    """Measures in playing order, with sections that meet on the beat.

    `is_joint` says of each measure whether a section ends after it. The last note of a section is cut or held; where
    it is too short to be cut, the upbeat that follows is left out.
    """
    found: list[Written] = []
    filled, is_left_out = _before_upbeat(played), False
    for place, measure in enumerate(played):
        if is_left_out:
            is_left_out = False
            continue
        filled += measure.length
        if is_joint[place] and place + 1 < len(played):
            following = played[place + 1]
            missing = _end(measure, following) - (filled % measure.bar or measure.bar)
            changed = _longer(measure, missing)
            is_left_out = missing == -following.length and changed is None
            filled += missing if changed else 0
            measure = changed or measure
        found.append(measure)
        filled %= measure.bar
    return found


def _before_upbeat(played: Sequence[Written]) -> Fraction:
    """What an upbeat leaves of its bar."""
    first = played[0]
    return first.bar - first.length if first.length < first.bar else Fraction(0)


def _end(measure: Written, following: Written) -> Fraction:
    """How full the last bar of a section should be: whole, or short by the upbeat that follows."""
    return measure.bar - following.length if following.length < following.bar else measure.bar


def _longer(measure: Written, missing: Fraction) -> Written | None:
    """The measure, longer or shorter by its last note or rest; None if that is too short, or there is none to hold."""
    length = measure.length + missing
    if not missing or not measure.notes or length <= 0:
        return None
    last = measure.notes[-1]
    is_held = missing > 0 and last.start + last.length == measure.length
    end = length if is_held else min(last.start + last.length, length)
    if end <= last.start:
        return None
    return replace(measure, notes=(*measure.notes[:-1], replace(last, length=end - last.start)), length=length)
