"""The movements of a MusicXML document, each as a Score with one track for each part, and every repeat played once.

A movement begins where the numbers of measures begin again, with 0 for a pickup or with 1. Of several endings the last
one is played.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import ClassVar

from composer.errors import LeftOutWarning, UnreadableFile, printable
from composer.music.score import Score
from composer_notation.musicxml.document import open_document
from composer_notation.musicxml.measures import Measure
from composer_notation.musicxml.parts import Part, read_parts
from composer_notation.musicxml.score import choose_program, make_score
from composer_notation.musicxml.signs import join_marks, make_signs
from composer_notation.musicxml.values import TooLarge
from composer_notation.owntracks import OwnTrack
from composer_notation.unfolding import Signs


@dataclass(frozen=True)
class MovementsReader:
    """A reader of MusicXML files that yields each movement, with its number from 1; "" for the only one."""

    is_bounded: ClassVar[bool] = True

    def __call__(self, path: Path) -> Score:
        """Read the first movement. Raises UnreadableFile; warns with LeftOutWarning."""
        return next(score for _, score in self.read_pieces(path))

    def read_pieces(self, path: Path) -> Iterator[tuple[str, Score]]:
        """Read each movement that has notes. Raises UnreadableFile; warns with LeftOutWarning."""
        shown, left_out = printable(str(path)), Counter[str]()
        try:
            parts = read_parts(open_document(path))
            for part in parts:
                left_out.update(part.left_out)
            found = [score for score in map(_make_movement, split_movements(parts)) if score.note_count]
        except TooLarge as error:
            raise UnreadableFile(f"{shown}: {error}.") from None
        if +left_out:
            warnings.warn(LeftOutWarning(shown, left_out), stacklevel=2)
        if not found:
            raise UnreadableFile(f"{shown}: contains no notes.")
        for number, score in enumerate(found, start=1):
            yield "" if len(found) == 1 else str(number), replace(score, title=score.title or path.stem)


def split_movements(parts: Sequence[Part]) -> list[list[Part]]:
    """Split parts into movements; each states the time signature, key and tempo that it begins with."""
    count = max((len(part.measures) for part in parts), default=0)
    begins = [0, *_find_begins(max(parts, key=lambda part: len(part.measures)).measures)] if count else []
    columns = [[part.measures[n] for part in parts if n < len(part.measures)] for n in range(count)]
    signs = make_signs([join_marks(measure.marks for measure in column) for column in columns])
    spans = [range(begin, end) for begin, end in zip(begins, [*begins[1:], count], strict=False)]
    return [[_cut_part(part, _choose_measures(signs, span)) for part in parts] for span in spans]


def _find_begins(measures: Sequence[Measure]) -> list[int]:
    """Find the measures, but for the first, with which a movement begins."""
    numbers = [int(measure.number) if measure.number.isdecimal() else -1 for measure in measures]
    again = [n for n in range(1, len(numbers)) if numbers[n] in (0, 1) and max(numbers[:n][-4:]) > 1]
    return [n for n in again if numbers[n - 1] != 0]  # which is the pickup of this movement


def _choose_measures(signs: Sequence[Signs], span: range) -> list[int]:
    """Choose the measures that are played if each repeat is: of the endings that follow one another, the last."""
    chosen: list[int] = []
    last: tuple[int, ...] = ()
    for n in reversed(span):
        endings = signs[n].endings
        last = last if endings and last else endings
        if endings == last:
            chosen.append(n)
    return chosen[::-1]


def _cut_part(part: Part, chosen: Sequence[int]) -> Part:
    """Cut out measures of a part. Signatures and tempos that were in force before a measure are stated in it."""
    found = [_state_all(part.measures, n) if at == 0 or chosen[at - 1] != n - 1 else part.measures[n]
             for at, n in enumerate(chosen) if n < len(part.measures)]  # fmt: skip
    return replace(part, measures=found)


def _state_all(measures: Sequence[Measure], n: int) -> Measure:
    """Return a measure with the time signature, key and tempo in force where it begins."""
    own, before = measures[n], measures[:n][::-1]
    time = own.time or next((one.time for one in before if one.time), None)
    keys = own.keys or [replace(one.keys[-1], start=Fraction(0)) for one in before if one.keys][:1]
    tempos = own.tempos or [(Fraction(0), one.tempos[-1][1]) for one in before if one.tempos][:1]
    return replace(own, time=time, keys=keys, tempos=tempos)


def _make_movement(parts: Sequence[Part]) -> Score:
    """Make the score of a movement, with a track for each part."""
    ends = list(accumulate(part.staves for part in parts))
    tracks = [
        OwnTrack(part.name, choose_program(part), part.is_drum, tuple((n, 0) for n in range(end - part.staves, end)))
        for part, end in zip(parts, ends, strict=True)
    ]
    return make_score(parts, repeats=False, own=tracks)
