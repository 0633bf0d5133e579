"""Packing: groups the waiting pieces of a catalogue into chunks for the workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from composer.generation.generator import BATCH_SIZE
from composer_batch.catalogue import Catalogue
from composer_batch.cell import Cell
from composer_batch.worker import Chunk

PAGE = 1024
"""Rows that are read from the catalogue at once."""


def make_chunks(
    catalogue: Catalogue, cells: Sequence[Cell], largest: int, workers: Callable[[], int], most: Callable[[int], int]
) -> Iterator[Chunk]:
    """Yield chunks of one model and sampler chain. Pieces of similar length stand together, the longest first.

    No chunk has more than `largest` pieces, or more than `most` of its last cell.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for position, cell in enumerate(cells):
        groups.setdefault(cell.batch_key, []).append(position)
    for positions in groups.values():
        positions.sort(key=lambda position: (-cells[position].length, position))  # long pieces are started early
        left = sum(catalogue.count_waiting(position) for position in positions)
        size, due = 0, 0
        pieces: list[tuple[int, int, int]] = []
        for position in positions:
            for number, index in _read_waiting(catalogue, position):
                if not due:
                    due = workers()
                    size = compute_chunk_size(left, due, largest)
                pieces.append((number, position, index))
                if len(pieces) >= min(size, most(position)):
                    yield make_chunk(cells, pieces)
                    left, due, pieces = left - len(pieces), due - 1, []
        if pieces:
            yield make_chunk(cells, pieces)


def compute_chunk_size(left: int, workers: int, most: int) -> int:
    """Compute the size of each of the next chunks, one for each worker, from the number of pieces left.

    A round of equal chunks takes half of the rest, so that all workers end together (factoring: Hummel, Schonberg and
    Flynn 1992). While there are enough pieces, each chunk fills a batch.
    """
    size = min(max(-(-left // (2 * workers)), BATCH_SIZE), most)
    rounds = -(-left // (workers * size))
    return -(-left // (workers * rounds))


def make_chunk(cells: Sequence[Cell] | Mapping[int, Cell], pieces: Sequence[tuple[int, int, int]]) -> Chunk:
    """Make a chunk of these pieces (number, position of the cell, index) and their cells."""
    return Chunk({position: cells[position] for _, position, _ in pieces}, tuple(pieces))


def _read_waiting(catalogue: Catalogue, position: int) -> Iterator[tuple[int, int]]:
    after = -1
    while page := catalogue.list_waiting(position, after, PAGE):
        yield from page
        after = page[-1][0]
