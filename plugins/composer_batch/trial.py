"""A trial of a batch: a few bars are made to estimate time and size. Nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from composer.errors import BatchFailed
from composer_batch.cell import Cell
from composer_batch.worker import Chunk, Stopped, draw, finish

PIECES = 8
"""Pieces of one cell."""

CELLS = 4
"""Cells that are tried, at most: of different models, chains and lengths."""

BARS = 16
"""Bars of one piece; the cost of a longer one is in proportion."""

BARS_OF_SECTION = 4

MOST_SECONDS = 2.0
"""Seconds after which no other cell is tried."""


@dataclass(frozen=True)
class Estimate:
    """Time and size of a batch, estimated from a few of its pieces."""

    seconds: float  # on one processor
    bytes: float

    def scale(self, factor: float) -> Estimate:
        """Scale the estimate by a factor."""
        return Estimate(self.seconds * factor, self.bytes * factor)


def estimate(cells: Sequence[Cell], clock: Callable[[], float] = perf_counter) -> Estimate:
    """Estimate time and space for all pieces. Raises the errors of making a few."""
    kinds: dict[object, list[Cell]] = {}
    for cell in cells:
        kinds.setdefault((cell.batch_key, cell.length, cell.formats), []).append(cell)
    tried: list[Estimate] = []
    began = clock()
    for alike in list(kinds.values())[:CELLS]:
        tried.append(_try_cell(alike[0], clock))
        if clock() - began > MOST_SECONDS:
            break
    usual = Estimate(sum(t.seconds for t in tried) / len(tried), sum(t.bytes for t in tried) / len(tried))
    seconds = size = 0.0
    for index, alike in enumerate(kinds.values()):
        each = tried[index] if index < len(tried) else usual
        count = sum(cell.count for cell in alike)
        seconds, size = seconds + count * each.seconds, size + count * each.bytes
    return Estimate(seconds, size)


def _try_cell(cell: Cell, clock: Callable[[], float]) -> Estimate:
    """Estimate one piece of a cell by making a few."""
    short, factor = _reduce_cell(cell)
    count = 1 if "form" in cell.asked else min(cell.count, PIECES)
    few = tuple((number, 0, cell.first + number) for number in range(count))
    if count > 1:
        finish(draw(Chunk({0: short}, few[:1])))  # loading is not counted
    began = clock()
    made = finish(draw(Chunk({0: short}, few)))
    if isinstance(made, Stopped):
        raise BatchFailed(made.reason)
    sizes = [sum(map(len, one.files.values())) for one in made if one.files]
    one = Estimate(
        (clock() - began) / count * _expect_attempts(cell, len(sizes) / count), sum(sizes) / max(len(sizes), 1)
    )
    return one.scale(factor)


def _reduce_cell(cell: Cell) -> tuple[Cell, float]:
    """Reduce a cell to fewer bars or two sections, drawn once. Return how many times longer its pieces really are."""
    request: dict[str, Any] = dict(cell.asked["request"])
    asked, bars, factor = dict(cell.asked), int(request.get("bars") or 0), 1.0
    most = BARS_OF_SECTION if "form" in asked else BARS
    if bars > most:
        request["bars"], factor = most, bars / most
    if "form" in asked:
        sections = str(asked["form"]["sections"]).split()
        kinds = list(dict.fromkeys(sections))
        asked["form"] = {**asked["form"], "sections": " ".join(kinds[:2])}
        factor *= len(kinds) / len(kinds[:2])
    return replace(cell, asked={**asked, "request": request}, attempts=1), factor


def _expect_attempts(cell: Cell, share: float) -> float:
    """Compute how often a piece is drawn on average, if this share of the pieces passes the gates."""
    return (1 - (1 - share) ** cell.attempts) / share if share else cell.attempts
