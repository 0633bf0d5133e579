"""Packing: groups the waiting pieces of a catalogue into chunks for the workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from composer.generation.generator import BATCH
from composer_batch.catalogue import Ledger
from composer_batch.cell import Cell
from composer_batch.worker import Chunk

PAGE = 1024
"""Rows that are read from the catalogue at once."""


def chunks(
    catalogue: Ledger, cells: Sequence[Cell], largest: int, workers: Callable[[], int], most: Callable[[int], int]
) -> Iterator[Chunk]:
    """Yield chunks of one model and sampler chain. Pieces of similar length stand together, the longest first.

    No chunk has more than `largest` pieces, or more than `most` of its last cell.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for position, cell in enumerate(cells):
        groups.setdefault(cell.together, []).append(position)
    for positions in groups.values():
        positions.sort(key=lambda position: (-cells[position].length, position))  # long pieces are started early
        left = sum(catalogue.waiting_in(position) for position in positions)
        size, due = 0, 0
        pieces: list[tuple[int, int, int]] = []
        for position in positions:
            for number, index in _waiting(catalogue, position):
                if not due:
                    due = workers()
                    size = share(left, due, largest)
                pieces.append((number, position, index))
                if len(pieces) >= min(size, most(position)):
                    yield chunk(cells, pieces)
                    left, due, pieces = left - len(pieces), due - 1, []
        if pieces:
            yield chunk(cells, pieces)


def share(left: int, workers: int, most: int) -> int:
    """Compute the size of each of the next chunks, one for each worker, from the number of pieces left.

    A round of equal chunks takes half of the rest, so that all workers end together (factoring: Hummel, Schonberg and
    Flynn 1992). While there are enough pieces, each chunk fills a batch.
    """
    size = min(max(-(-left // (2 * workers)), BATCH), most)
    rounds = -(-left // (workers * size))
    return -(-left // (workers * rounds))


def chunk(cells: Sequence[Cell] | Mapping[int, Cell], pieces: Sequence[tuple[int, int, int]]) -> Chunk:
    """Make a chunk of these pieces (number, position of the cell, index) and their cells."""
    return Chunk({position: cells[position] for _, position, _ in pieces}, tuple(pieces))


def _waiting(catalogue: Ledger, position: int) -> Iterator[tuple[int, int]]:
    after = -1
    while page := catalogue.waiting(position, after, PAGE):
        yield from page
        after = page[-1][0]
