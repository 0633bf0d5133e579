"""A trial of a batch: a few pieces of it, made to say what all will take; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

from composer.batch.plan import Cell
from composer.batch.work import Chunk, Stopped, draw, finish
from composer.errors import BatchFailed

PIECES = 8
"""Of one cell."""

CELLS = 4
"""That are tried at most: of different models, chains and lengths."""


@dataclass(frozen=True)
class Estimate:
    """What a batch takes, from a few of its pieces."""

    seconds: float  # on one processor
    bytes: float


def estimate(cells: Sequence[Cell], clock: Callable[[], float] = perf_counter) -> Estimate:
    """Time and space for all pieces. Raises what making the few raises."""
    kinds: dict[object, list[Cell]] = {}
    for cell in cells:
        kinds.setdefault((cell.together, cell.length, cell.formats), []).append(cell)
    tried = [_tried(alike[0], clock) for alike in list(kinds.values())[:CELLS]]
    usual = Estimate(sum(t.seconds for t in tried) / len(tried), sum(t.bytes for t in tried) / len(tried))
    seconds = size = 0.0
    for place, alike in enumerate(kinds.values()):
        each = tried[place] if place < len(tried) else usual
        count = sum(cell.count for cell in alike)
        seconds, size = seconds + count * each.seconds, size + count * each.bytes
    return Estimate(seconds, size)


def _tried(cell: Cell, clock: Callable[[], float]) -> Estimate:
    """What one piece takes."""
    count = min(cell.count, PIECES)
    few = tuple((number, 0, cell.first + number) for number in range(count))
    finish(draw(Chunk({0: cell}, few[:1])))  # what is loaded once is not counted
    began = clock()
    made = finish(draw(Chunk({0: cell}, few)))
    if isinstance(made, Stopped):
        raise BatchFailed(made.reason)
    sizes = [sum(map(len, one.files.values())) for one in made if one.files]
    return Estimate((clock() - began) / count, sum(sizes) / max(len(sizes), 1))
