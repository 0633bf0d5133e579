"""In which order the measures of a tune are played; it knows repeat signs and endings, and no note."""

from __future__ import annotations

from collections.abc import Sequence

from composer_notation.abc.melody import Written

_MOST_TIMES = 6


def sections(measures: Sequence[Written]) -> list[range]:
    """The sections of a tune as ranges of measures, each with all its endings.

    One ends at a repeat sign or a double bar line; a double bar line between an opening repeat sign and its closing
    one is none.
    """
    found: list[range] = []
    start, is_open = 0, False
    for place, measure in enumerate(measures):
        is_open = (is_open or (place == start and _opens(measure.before))) and not closes(measure)
        following = measures[place + 1] if place + 1 < len(measures) else None
        if following is None or (
            not _goes_on(measure, following)
            and (closes(measure) or _opens(following.before) or (_is_double(measure.after) and not is_open))
        ):
            found.append(range(start, place + 1))
            start, is_open = place + 1, False
    return found


def play_order(measures: Sequence[Written]) -> list[int]:
    """Indices of measures as played. ValueError for endings that do not follow from one another."""
    return [index for section in sections(measures) for index in _played(measures, section)]


def closes(measure: Written) -> bool:
    """Whether the repeat goes back after this measure."""
    return ":|" in measure.after or "::" in measure.after or ":]" in measure.after


def joints(measures: Sequence[Written], order: Sequence[int]) -> list[bool]:
    """For each measure played, whether a section ends after it, or goes back."""
    return [
        _is_double(measures[index].after) or closes(measures[index]) or following <= index
        for index, following in zip(order, (*order[1:], len(measures)), strict=True)
    ]


def _opens(line: str) -> bool:
    return "|:" in line.replace("|:|", ":|") or "::" in line


def _is_double(line: str) -> bool:
    return any(sign in line for sign in ("||", "]", "["))


def _goes_on(measure: Written, following: Written) -> bool:
    """Whether what follows is an ending of the section that the measure belongs to."""
    return bool(following.ending) and (not closes(measure) or min(_numbers(following.ending)) > 1)


def _played(measures: Sequence[Written], section: range) -> list[int]:
    marks = [index for index in section if measures[index].ending]
    if not marks:
        return list(section) * (2 if closes(measures[section[-1]]) else 1)
    body = list(range(section.start, marks[0]))
    ends = [*marks[1:], section.stop]
    endings = {n: range(a, b) for a, b in zip(marks, ends, strict=True) for n in _numbers(measures[a].ending)}
    times = max(2, *endings)
    if times > _MOST_TIMES or not set(range(1, times)) <= set(endings):
        raise ValueError("has endings that do not follow from one another")
    return [index for time in range(1, times + 1) for index in (*body, *endings.get(time, ()))]


def _numbers(ending: str) -> list[int]:
    """`1`, `1,3` or `1-3` as numbers."""
    found: list[int] = []
    for part in ending.split(","):
        first, _, last = part.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return found
