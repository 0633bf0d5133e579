"""The playing order of sections: by a list of labels, or by repeat signs and words (`D.C. al Fine`)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from composer_notation.musicxml.signs import Marks, add_words
from composer_notation.unfolding import MOST_MEASURES, SignMissing, Signs, Unplayable, find_order

_JUMPS = ("jump", "to_coda", "fine", "coda")
_SEGNO = re.compile(r"^segno\b|^\U0001d10b$")
_AT_THE_END = frozenset(("jump", "to_coda", "fine"))
_ENDING = re.compile(r"^(\d)(?:st|nd|rd|th) ending\b")


@dataclass
class SectionPlan:
    """The order of sections that a file states."""

    lists: dict[str, list[str]] = field(default_factory=dict)  # labels in playing order, by the name of the version
    is_through: bool = False  # everything is written as it is played

    def add(self, text: str) -> str:
        """Add `*>A` or `*>[A,A,B]`; return the label, or "" for a list."""
        name, bracket, rest = text[2:].partition("[")
        if not bracket or not rest.endswith("]"):
            return text[2:]
        self.lists.setdefault(name, [label.strip() for label in rest[:-1].split(",")])
        return ""


@dataclass(frozen=True)
class MarkedMeasure:
    """A measure in the plan: its labels, and the signs around it."""

    labels: tuple[str, ...]
    signs: Signs


@lru_cache(maxsize=1024)
def parse_words(text: str) -> Mapping[str, bool | str]:
    """Parse words such as `D.C. al Fine`, `Fine`, `To Coda` as fields of Signs; none for other words."""
    signs = add_words(Marks(), text).signs
    found = {name: value for name in _JUMPS if (value := getattr(signs, name))}
    return found or ({"segno": "1"} if _SEGNO.match(text.lower()) else {})


def is_at_end(sign: str) -> bool:
    """Tell whether a sign, a field of Signs, holds after its measure."""
    return sign in _AT_THE_END


def order_sections(measures: Sequence[MarkedMeasure], plan: SectionPlan) -> tuple[list[int], str]:
    """Find the playing order, and describe which part of the plan failed, or "".

    A list of labels has precedence over repeat signs, which repeat it for readers. Raises Unplayable.
    """
    if plan.is_through:
        return list(range(len(measures))), ""
    version = next((name for name in ("", *plan.lists) if name in plan.lists and name != "norep"), None)
    if version is None:
        return _order_by_signs(measures)
    expanded = _expand_labels(measures, plan.lists[version])
    if expanded is not None:
        return expanded, ""
    order, fault = _order_by_signs(measures)
    return order, fault or "its list of sections names some that are missing; its repeat signs were followed instead"


def _expand_labels(measures: Sequence[MarkedMeasure], labels: Sequence[str]) -> list[int] | None:
    """List the measures of sections by label, after those before the first label; None if a label is missing."""
    ranges = _find_sections(measures, frozenset(labels))
    if not set(labels) <= set(ranges):
        return None
    first = min((section.start for section in ranges.values()), default=len(measures))
    order = list(range(first))
    for label in labels:
        order += ranges[label]
        if len(order) > MOST_MEASURES:
            raise Unplayable(f"has a list of sections that makes it longer than {MOST_MEASURES:,} measures")
    return order


def _find_sections(measures: Sequence[MarkedMeasure], named: frozenset[str]) -> dict[str, range]:
    """Find the range of each section, up to the next label; labels such as `Form>Coda` count where named."""
    starts: list[tuple[int, str]] = []
    for index, measure in enumerate(measures):
        labels = [label for label in measure.labels if label in named or ">" not in label]
        starts += [(index, label) for label in labels]
    found: dict[str, range] = {}
    until = len(measures)
    for number in range(len(starts) - 1, -1, -1):
        index, label = starts[number]
        if number + 1 < len(starts) and starts[number + 1][0] > index:
            until = starts[number + 1][0]
        found[label] = range(index, until)
    return found


def _order_by_signs(measures: Sequence[MarkedMeasure]) -> tuple[list[int], str]:
    signs = _add_endings(measures)
    try:
        return find_order(signs), ""
    except SignMissing as error:
        still = [replace(sign, jump="", to_coda="") for sign in signs]
        return find_order(still), f"it {error}; the jump was not made"


def _add_endings(measures: Sequence[MarkedMeasure]) -> list[Signs]:
    """Add labels such as `1st ending`, or `A1` after `A`, to the signs as endings."""
    known = {label for measure in measures for label in measure.labels}
    found: list[Signs] = []
    endings: tuple[int, ...] = ()
    for measure in measures:
        if measure.labels:
            number = next((n for label in measure.labels if (n := _find_ending(label, known))), 0)
            endings = (number,) if number else ()
        found.append(replace(measure.signs, endings=endings, begins_ending=bool(measure.labels and endings)))
    return found


def _find_ending(label: str, known: set[str]) -> int:
    """Return the number of the ending that a label names, 0 for none."""
    if found := _ENDING.match(label.lower()):
        return int(found[1])
    is_numbered = len(label) > 1 and label[-1] in "123456789" and label[:-1] in known
    return int(label[-1]) if is_numbered else 0
