"""Checks that no two pieces of a batch are the same, or share a file name. Ranges of pieces are compared as a whole."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, groupby, pairwise
from operator import itemgetter
from typing import TypeAlias

from composer.errors import BadOption
from composer_batch.jobs import GridPoint
from composer_batch.places import FOLDER, Names


@dataclass(frozen=True)
class PieceRange:
    """The pieces of one cell: a range of numbers, and the range of indexes that goes with it."""

    point: GridPoint
    number: int
    index: int
    count: int

    @property
    def end(self) -> int:
        """The number after the last one."""
        return self.number + self.count

    def clip(self, start: int, end: int) -> PieceRange:
        """Clip to the numbers from `start` to before `end`."""
        first = max(self.number, start)
        return PieceRange(self.point, first, self.index + first - self.number, min(self.end, end) - first)


def list_ranges(wanted: Sequence[GridPoint]) -> list[PieceRange]:
    """List the range of pieces of each point of the grids."""
    found, number = [], 0
    for one in wanted:
        found.append(PieceRange(one, number, one.job.index or 0, one.job.count))
        number += one.job.count
    return found


def check_pieces(found: Sequence[PieceRange], asked: Sequence[Hashable]) -> None:
    """Raise BadJobs for jobs that ask for the same pieces.

    `asked` has a key for each job: its request without the index.
    """
    alike: dict[Hashable, list[PieceRange]] = {}
    for stretch, key in zip(found, asked, strict=True):
        alike.setdefault(key, []).append(stretch)
    clashes = []
    for same in alike.values():
        same.sort(key=lambda stretch: stretch.index)
        clashes += [pair for pair in pairwise(same) if pair[1].index < pair[0].index + pair[0].count]
    if clashes:
        pairs = (sorted(pair, key=lambda stretch: stretch.number) for pair in clashes)
        earlier, later = min(pairs, key=lambda pair: pair[1].number)
        table = earlier.point.table
        where = f"line {table.line}" if table.line else f"job {table.number}"
        raise later.point.table.make_error(f"this asks for the same pieces as {where}; give it another seed.")


def check_names(found: Sequence[PieceRange], names: Sequence[Names]) -> None:
    """Raise BadJobs for an invalid file name, and for a name that two pieces would share.

    The first and the last name of a cell stand for all: the others are as long, with the same beginning and end.
    """
    for stretch, name in zip(found, names, strict=True):
        for offset in (0, stretch.count - 1):
            try:
                name.make_stem(stretch.number + offset, stretch.index + offset)
            except BadOption as error:
                raise stretch.point.table.make_error(error, "file") from None
    for parts in _find_shared_folders(found, names):
        _check_folder(parts)


_Part: TypeAlias = tuple[PieceRange, Names]


def _find_shared_folders(found: Sequence[PieceRange], names: Sequence[Names]) -> Iterator[list[_Part]]:
    """Yield the pieces of each folder in which two could share a name, cell by cell.

    A cell shares its first and its last folder with others. The folders between are all like the second.
    """
    folders = []
    for cell, stretch in enumerate(found):
        first, last = stretch.number // FOLDER, (stretch.end - 1) // FOLDER
        folders += [(folder, cell) for folder in sorted({first, min(first + 1, last), last})]
    for folder, group in groupby(folders, key=itemgetter(0)):
        parts = [(found[cell].clip(folder * FOLDER, (folder + 1) * FOLDER), names[cell]) for _, cell in group]
        only = parts[0][1] if len({name.template for _, name in parts}) == 1 else None
        if only is None or not only.are_unique or (len(parts) > 1 and only.has_index):
            yield parts


def _check_folder(parts: Sequence[_Part]) -> None:
    """Raise BadJobs if two pieces of one folder share a name."""
    seen: set[str] = set()
    for stretch, names in parts:
        template = names.template.casefold()  # some file systems ignore case
        for number, index in zip(range(stretch.number, stretch.end), count(stretch.index)):
            name = template % {"number": number, "index": index}
            if name in seen:
                called = names.template % {"number": number, "index": index}
                text = f"two pieces would be called '{called}'; put {{index}} or {{number}} into 'file'."
                raise stretch.point.table.make_error(text, "file")
            seen.add(name)
