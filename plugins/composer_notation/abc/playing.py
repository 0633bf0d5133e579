"""The playing order of a tune: its bar lines and words as the signs of `unfolding`.

A repeat without a beginning goes back to the latest double bar line or end of a repeat (4.8 of the standard 2.1).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from composer_notation import unfolding
from composer_notation.abc.melody import WrittenMeasure
from composer_notation.sections import name_played_sections
from composer_notation.unfolding import BEGINNING, Signs

_CLOSING, _OPENING = re.compile(r"(:++)[|\]]"), re.compile(r"[|\[](:++)")


def find_sections(measures: Sequence[WrittenMeasure]) -> list[range]:
    """Split a tune into sections, as ranges of measures, each with all its endings.

    A section ends at a repeat sign or a double bar line. Double bar lines between an opening and a closing repeat sign
    do not count.
    """
    found: list[range] = []
    start, is_open = 0, False
    for index, measure in enumerate(measures):
        is_open = (is_open or (index == start and _is_repeat_start(measure.before))) and not is_repeat_end(measure)
        following = measures[index + 1] if index + 1 < len(measures) else None
        if following is None or (
            not _is_continued(measure, following)
            and (
                is_repeat_end(measure)
                or _is_repeat_start(following.before)
                or (_is_double(measure.after) and not is_open)
            )
        ):
            found.append(range(start, index + 1))
            start, is_open = index + 1, False
    return found


def find_order(measures: Sequence[WrittenMeasure], *, has_jumps: bool = False) -> list[int]:
    """List measures by index as they are played: repeats, endings and, with `has_jumps`, D.C. and D.S.

    Raises Unplayable, a ValueError, if the result is too long, and SignMissing for a jump without a target.
    """
    return unfolding.find_order(find_signs(measures, has_jumps=has_jumps))


def find_signs(measures: Sequence[WrittenMeasure], *, has_jumps: bool = False) -> list[Signs]:
    """Find the signs around each measure."""
    jumps = _find_jumps(measures) if has_jumps else {}
    found: list[Signs] = []
    for section in find_sections(measures):
        times = _count_times(measures, section)
        highest = max((max(_parse_numbers(measures[index].ending), default=0) for index in section), default=0)
        numbers: tuple[int, ...] = ()
        for index in section:
            its_ending = measures[index].ending
            numbers = _parse_numbers(its_ending) if its_ending else numbers
            found.append(
                Signs(
                    opens=index == section.start,
                    times=times if is_repeat_end(measures[index]) or (highest == 1 and index == section[-1]) else 0,
                    endings=numbers,
                    begins_ending=bool(its_ending),
                    **jumps.get(index, {}),
                )
            )
    return found


def name_sections(measures: Sequence[WrittenMeasure], order: Sequence[int]) -> Mapping[int, str]:
    """Name the sections as played: the place in `order` of the first whole measure of each, and its letter."""
    starts = [section.start for section in find_sections(measures)]
    is_short = [measure.length < measure.bar for measure in measures]
    return name_played_sections(order, starts, is_short, [measure.notes for measure in measures])


def is_repeat_end(measure: WrittenMeasure) -> bool:
    """Tell whether a repeat ends after this measure."""
    return ":|" in measure.after or "::" in measure.after or ":]" in measure.after


def find_joints(measures: Sequence[WrittenMeasure], order: Sequence[int]) -> list[bool]:
    """Tell, for each measure played, whether a section ends after it or the music goes back."""
    return [
        _is_double(measures[index].after) or is_repeat_end(measures[index]) or following <= index
        for index, following in zip(order, (*order[1:], len(measures)), strict=True)
    ]


def _is_repeat_start(line: str) -> bool:
    return "|:" in line.replace("|:|", ":|") or "::" in line


def _is_double(line: str) -> bool:
    return any(sign in line for sign in ("||", "]", "["))


def _is_continued(measure: WrittenMeasure, following: WrittenMeasure) -> bool:
    """Tell whether the next measure is another ending of the same section."""
    return bool(following.ending) and (not is_repeat_end(measure) or min(_parse_numbers(following.ending)) > 1)


def _count_times(measures: Sequence[WrittenMeasure], section: range) -> int:
    """Count how often a section is played, by the colons at its beginning and its end (`|::` three times)."""
    colons = _OPENING.findall(measures[section.start].before) + _CLOSING.findall(measures[section[-1]].after)
    return 1 + max(map(len, colons), default=1)


def _find_jumps(measures: Sequence[WrittenMeasure]) -> dict[int, dict[str, Any]]:
    """Find jumps, their targets and `fine`, as fields of `Signs` by measure; `{}` if nothing jumps."""
    named = [(index, at, name) for index, measure in enumerate(measures) for at, name in measure.signs]
    names = [name for _, _, name in named]
    if "da capo" not in names and "dal segno" not in names:
        return {}
    found: dict[int, dict[str, Any]] = defaultdict(dict)
    is_left_by_coda = "to coda" not in names and names.count("coda") > 1  # the first of two says where to leave
    for index, at, name in named:
        beginning = min(index + 1, len(measures) - 1) if at and at >= measures[index].length else index
        ended = max(index - 1, 0) if at == 0 else index
        if name == "to coda" or (name == "coda" and is_left_by_coda):
            found[ended]["to_coda"] = "coda"
            is_left_by_coda = False
        elif name in ("segno", "coda"):
            found[beginning].setdefault(name, name)
        elif name == "fine":
            found[index]["fine"] = True
        else:
            found[index]["jump"] = BEGINNING if name == "da capo" else "segno"
    return found


def _parse_numbers(ending: str) -> tuple[int, ...]:
    """Parse `1`, `1,3` or `1-3` as numbers; a text has none."""
    found: list[int] = []
    for first, last in re.findall(r"([1-9]\d?)(?:-([1-9]\d?))?", ending):
        found.extend(range(int(first), int(last or first) + 1))
    return tuple(found)
