"""In which order the measures of a part are played; it knows music21's streams and no Score.

music21 expands repeats by copying every note. Here it expands a skeleton of empty, numbered measures instead, and the
numbers are the order.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from composer.errors import ReadingWarning

MOST_MEASURES = 20_000
MOST_TIMES = 16
DEEPEST = 3


def play_order(measures: Sequence[Any], brackets: Sequence[Any]) -> list[int]:
    """Indices of `measures` as they are played, repeats, endings and jumps carried out.

    What cannot be carried out is played as it stands, with a ReadingWarning. `brackets` are the part's
    `RepeatBracket`s.
    """
    as_written = list(range(len(measures)))
    if not any(_jumps(measure) for measure in measures):
        return as_written
    from music21 import repeat
    from music21.exceptions21 import Music21Exception

    try:
        if _depth(measures) > DEEPEST:
            raise ValueError("nested repeats")
        order = [measure.number for measure in repeat.Expander(_skeleton(measures, brackets)).process()]
    except (Music21Exception, ValueError, IndexError, AttributeError, TypeError, RecursionError):
        order = []
    if order and len(order) <= MOST_MEASURES:
        return order
    warnings.warn("its repeats are not well formed and were not played", ReadingWarning, stacklevel=2)
    return as_written


def _jumps(measure: Any) -> bool:
    from music21 import bar, repeat

    lines = (measure.leftBarline, measure.rightBarline)
    return any(isinstance(line, bar.Repeat) for line in lines) or bool(
        measure.getElementsByClass(repeat.RepeatExpressionCommand)
    )


def _depth(measures: Sequence[Any]) -> int:
    """How many repeats are open at once, at most: each level doubles what is played."""
    deepest = depth = 0
    for measure in measures:
        for line in (measure.leftBarline, measure.rightBarline):
            direction = getattr(line, "direction", None)
            depth = depth + 1 if direction == "start" else max(0, depth - 1) if direction == "end" else depth
            deepest = max(deepest, depth)
    return deepest


def _skeleton(measures: Sequence[Any], brackets: Sequence[Any]) -> Any:
    """A part of empty measures, numbered from 0, with the repeat signs of the originals."""
    from music21 import spanner, stream

    streams: Any = stream  # typed in part only
    part = streams.Part()
    for number, measure in enumerate(measures):
        part.insert(number, _empty(number, measure))
    copies = list(part.getElementsByClass(stream.Measure))
    for bracket in brackets:
        under = [number for number, measure in enumerate(measures) if bracket.hasSpannedElement(measure)]
        if under:
            part.insert(0, spanner.RepeatBracket(copies[under[0] : under[-1] + 1], number=bracket.number or 1))
    return part


def _empty(number: int, measure: Any) -> Any:
    from music21 import bar, repeat, stream

    copy = stream.Measure(number=number)
    for side in ("leftBarline", "rightBarline"):
        line = getattr(measure, side)
        if isinstance(line, bar.Repeat):
            times = min(line.times, MOST_TIMES) if line.times else None
            setattr(copy, side, bar.Repeat(direction=line.direction, times=times))
    for mark in measure.getElementsByClass(repeat.RepeatExpression):
        copy.insert(0, type(mark)())
    return copy
