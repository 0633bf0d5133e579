"""The signs around a measure: bar lines, endings, and jumps by elements, by attributes of `<sound>` or by words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from xml.etree.ElementTree import Element

from composer_notation.musicxml.values import get_text, read_endings
from composer_notation.unfolding import BEGINNING, MOST_TIMES, Signs

_CAPO = re.compile(r"^d\.? ?c\b|^da capo\b")
_SEGNO = re.compile(r"^d\.? ?s\b|^dal segno\b|^del segno\b")
_TO_CODA = re.compile(r"^to (?:the )?coda\b|^al coda$|^alla coda$")
_FINE = re.compile(r"^(?:il )?fine\.?$")
_DOUBLE = frozenset(("light-light", "light-heavy", "heavy-light", "heavy-heavy"))
_UNNAMED = "1"
_JUMPS = {"dacapo", "dalsegno", "tocoda", "segno", "coda", "fine", "forward-repeat"}


@dataclass(frozen=True)
class Marks:
    """The signs of one measure as they stand in the file, before endings are spread under their bracket.

    `coda_signs` counts coda signs that may either lead to the coda or mark it.
    """

    signs: Signs = field(default_factory=Signs)
    ending_stops: bool = False
    coda_signs: int = 0
    is_double: bool = False  # a double bar line follows


PLAIN = Marks()
"""The marks of a measure without signs."""


def join_marks(marks: Iterable[Marks]) -> Marks:
    """Join the signs of a measure of all parts; each part may repeat them."""
    result = PLAIN
    for mark in marks:
        if mark is PLAIN or result is PLAIN:  # nearly all measures have no sign
            result = mark if result is PLAIN else result
            continue
        a, b = result.signs, mark.signs
        signs = Signs(
            opens=a.opens or b.opens,
            times=max(a.times, b.times),
            endings=a.endings or b.endings,
            begins_ending=a.begins_ending or b.begins_ending,
            segno=a.segno or b.segno,
            coda=a.coda or b.coda,
            fine=a.fine or b.fine,
            to_coda=a.to_coda or b.to_coda,
            jump=a.jump or b.jump,
        )
        coda_signs = max(result.coda_signs, mark.coda_signs)
        ending_stops, is_double = result.ending_stops or mark.ending_stops, result.is_double or mark.is_double
        result = Marks(signs, ending_stops, coda_signs, is_double)
    return result


def make_signs(marks: Sequence[Marks]) -> list[Signs]:
    """Make the signs of each measure, endings on every measure under their bracket, and coda signs resolved."""
    found: list[Signs] = []
    inside: tuple[int, ...] = ()
    for mark in _resolve_codas(marks):
        inside = mark.signs.endings or inside
        found.append(replace(mark.signs, endings=inside))
        if mark.ending_stops:
            inside = ()
    return found


def _resolve_codas(marks: Sequence[Marks]) -> Sequence[Marks]:
    """Resolve coda signs: the last is the coda, and those before it lead there, unless something says so itself."""
    bare = [index for index, mark in enumerate(marks) if mark.coda_signs]
    if not bare:
        return marks
    is_coda_known = any(mark.signs.coda for mark in marks)
    found = list(marks)
    for index in bare:
        signs = found[index].signs
        if signs.to_coda or signs.coda:
            continue
        stands = not is_coda_known and index == bare[-1]
        signs = replace(signs, coda=_UNNAMED) if stands else replace(signs, to_coda=_UNNAMED)
        found[index] = replace(found[index], signs=signs)
    return found


def add_barline(mark: Marks, element: Element) -> Marks:
    """Add the signs of a `<barline>`. Raises NotUnderstood for an ending without a number."""
    signs, stops = mark.signs, mark.ending_stops
    repeat = element.find("repeat")
    if repeat is not None and repeat.get("direction") == "forward":
        signs = replace(signs, opens=True)
    elif repeat is not None and repeat.get("direction") == "backward":
        times = repeat.get("times", "")
        signs = replace(signs, times=min(int(times), MOST_TIMES) if times.isdecimal() and len(times) < 9 else 2)
    for name in ("segno", "coda"):
        if element.find(name) is not None:
            mark = add_sign(replace(mark, signs=signs), name)
            signs = mark.signs
    ending = element.find("ending")
    if ending is not None:
        if ending.get("type") == "start":
            signs = replace(signs, endings=read_endings(ending.get("number", "")), begins_ending=True)
        else:
            stops = True
    is_double = element.get("location") != "left" and get_text(element, "bar-style") in _DOUBLE
    return replace(mark, signs=signs, ending_stops=stops, is_double=mark.is_double or is_double)


def add_sign(mark: Marks, tag: str) -> Marks:
    """Add a sign drawn above the staff: `segno` or `coda`."""
    if tag == "segno":
        return replace(mark, signs=replace(mark.signs, segno=mark.signs.segno or _UNNAMED))
    return replace(mark, coda_signs=mark.coda_signs + 1)


def make_coda_jump(mark: Marks) -> Marks:
    """Turn a coda sign at the end of its measure into a jump to the coda."""
    return replace(mark, signs=replace(mark.signs, to_coda=mark.signs.to_coda or _UNNAMED), coda_signs=0)


def add_words(mark: Marks, text: str) -> Marks:
    """Add the signs that words above the staff state, such as `D.C. al Fine`, `To Coda` or `Fine`."""
    words, signs = " ".join(text.lower().split()), mark.signs
    if _CAPO.match(words):
        signs = replace(signs, jump=signs.jump or BEGINNING)
    elif _SEGNO.match(words):
        signs = replace(signs, jump=signs.jump or _UNNAMED)
    elif _TO_CODA.match(words):
        signs = replace(signs, to_coda=signs.to_coda or _UNNAMED)
    elif _FINE.match(words):
        signs = replace(signs, fine=True)
    elif words == "coda":
        signs = replace(signs, coda=signs.coda or _UNNAMED)
    return mark if signs is mark.signs else replace(mark, signs=signs)


def add_sound(mark: Marks, element: Element) -> Marks:
    """Add the jumps and signs in the attributes of a `<sound>`, which are meant for players."""
    if _JUMPS.isdisjoint(element.keys()):
        return mark
    signs = mark.signs
    if element.get("dacapo") == "yes":
        signs = replace(signs, jump=BEGINNING)
    if label := element.get("dalsegno"):
        signs = replace(signs, jump=label)
    if label := element.get("tocoda"):
        signs = replace(signs, to_coda=label)
    if label := element.get("segno"):
        signs = replace(signs, segno=label)
    if label := element.get("coda"):
        signs = replace(signs, coda=label)
    if element.get("fine"):
        signs = replace(signs, fine=True)
    if element.get("forward-repeat") == "yes":
        signs = replace(signs, opens=True)
    return replace(mark, signs=signs)
