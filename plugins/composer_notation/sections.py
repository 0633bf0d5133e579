"""Sections of a piece as it is played: where each begins, and its letter.

A section ends at a repeat sign or a double bar line. Double bar lines between an opening and a closing repeat sign do
not count. Music that is written once, or twice alike, has one letter, whatever its ending.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise

from composer.music.sections import name_in_order
from composer_notation.unfolding import Signs


def find_starts(signs: Sequence[Signs], is_double: Sequence[bool]) -> list[int]:
    """Find the measures that begin a section, the first one included.

    `is_double` tells for each measure whether a double bar line follows it.
    """
    found, is_open = [0], False
    for index, (sign, following) in enumerate(pairwise(signs)):
        is_open = (is_open or sign.opens) and not sign.times
        is_continued = bool(following.endings) and min(following.endings) > 1
        is_last_ending = bool(sign.endings) and not following.endings
        ends = sign.times or is_last_ending or following.opens or (is_double[index] and not is_open)
        if ends and not is_continued:
            found.append(index + 1)
    return found


def name_played_sections(
    order: Sequence[int], starts: Sequence[int], is_short: Sequence[bool], music: Sequence[Hashable]
) -> Mapping[int, str]:
    """Name the sections of a piece: the place in `order` of the first whole measure of each one played, and its letter.

    `starts` are measures that begin a section. `is_short` tells for each measure whether it is shorter than its bar, as
    a pickup is, and `music` is what it holds. A pickup alone is no section; nor has a piece names that is one section,
    played once.
    """
    section_of = [bisect_right(starts, index) - 1 for index in range(len(music))]
    written = [tuple(music[begin:end]) for begin, end in pairwise([*starts, len(music)])]
    begins = [
        place
        for place, (before, index) in enumerate(pairwise([-1, *order]))
        if place == 0 or index <= before or section_of[index] != section_of[before]
    ]
    spans = list(pairwise([*begins, len(order)]))
    begins = [place for place, end in spans if not (is_short[order[place]] and end == place + 1)]  # no bare pickups
    if len(begins) < 2:
        return {}
    names = name_in_order(written[section_of[order[place]]] for place in begins)
    return {place + is_short[order[place]]: name for place, name in zip(begins, names, strict=True)}
