"""The work of a batch: draw a chunk of pieces, apply the gates, and encode the files. No folder is written.

There are two stages, each a function of one plain value, so that an executor may run them on different workers:
`draw` needs the model, `finish` only exporters.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import warnings
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count, groupby, pairwise
from operator import itemgetter
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias

from composer.errors import (
    BadModelFile,
    BadOption,
    CannotWrite,
    ComposerError,
    RequestWarning,
    UnknownName,
    printable,
)
from composer.generation.generator import Generator
from composer.generation.ranking import Standard, read_standard
from composer.generation.tasks import Task, generate_each, get_request, read_task, replace_request
from composer.io.formats import make_exporter
from composer.types import Exporter, Piece
from composer_batch.cell import Cell
from composer_batch.filters import Gates, make_gates, measure
from composer_batch.jobs import FOLDER, GridPoint, Names
from composer_batch.requests import open_generator


@dataclass(frozen=True)
class Chunk:
    """Pieces that are made together: all of one model and one sampler chain."""

    cells: Mapping[int, Cell]  # by position
    pieces: tuple[tuple[int, int, int], ...]  # number, position of the cell, index


@dataclass(frozen=True)
class DrawnPiece:
    """A piece that passed its gates, or the reasons why none did."""

    number: int
    cell: int
    piece: Piece | None
    metrics: Mapping[str, Any] | None
    rejections: tuple[tuple[int, str], ...]  # attempt, reason
    reason: str = ""  # why it cannot be made at all


@dataclass(frozen=True)
class DrawnChunk:
    """A chunk between the two stages."""

    chunk: Chunk
    drawn: tuple[DrawnPiece, ...]
    standard: Standard
    seconds: float  # of each piece


@dataclass(frozen=True)
class FinishedPiece:
    """A piece that is ready to be written, or the reason why there is none."""

    number: int
    state: str  # done, rejected, failed
    attempt: int = 0
    asked: str = ""
    files: Mapping[str, bytes] | None = None  # by suffix
    hashes: Mapping[str, str] | None = None
    metrics: Mapping[str, Any] | None = None
    rejections: tuple[tuple[int, str], ...] = ()
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Stopped:
    """Why no chunk can be made on this worker."""

    reason: str


def draw(chunk: Chunk) -> DrawnChunk | Stopped:
    """Draw each piece until it passes its gates, as often as its cell allows.

    A piece that its model cannot make keeps its reason.
    """
    began = perf_counter()
    first = next(iter(chunk.cells.values()))
    try:
        player = _load_generator(first.model, first.model_path, first.model_hash)
        standard = read_standard(player.model.card)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RequestWarning)  # the plan has shown them
            drawn = _draw_pieces(player, standard, chunk)
    except (BadModelFile, UnknownName) as error:
        return Stopped(str(error))
    seconds = (perf_counter() - began) / max(len(drawn), 1)
    return DrawnChunk(chunk, tuple(drawn), standard, seconds)


def _load_generator(name: str, path: str, model_hash: str) -> Generator:
    player = open_generator(name, path or name)
    if player.model.hash != model_hash:
        raise BadModelFile(f"the model '{printable(name)}' differs from the one that the batch was begun with.")
    return player


@dataclass
class _PendingPiece:
    """A piece that is still being drawn."""

    number: int
    cell: int
    asked: Task
    rejections: tuple[tuple[int, str], ...] = ()


def _draw_pieces(player: Generator, standard: Standard, chunk: Chunk) -> list[DrawnPiece]:
    found: dict[int, DrawnPiece] = {}
    left = [_PendingPiece(number, cell, chunk.cells[cell].make_request(index)) for number, cell, index in chunk.pieces]
    while left:
        going = []
        for position, made in generate_each(player, [one.asked for one in left]):
            one = left[position]
            if isinstance(made, ComposerError):
                found[one.number] = DrawnPiece(one.number, one.cell, None, None, one.rejections, str(made))
                continue
            cell = chunk.cells[one.cell]
            gates = _parse_gates(json.dumps(cell.gates))
            music = player.load_training_music() if gates.max_copied_bars is not None else None
            metrics = measure(made, standard, music) if cell.gates else None
            fault = gates.find_fault(metrics) if metrics is not None else ""
            request = get_request(read_task(made.provenance))
            if fault:
                one.rejections += ((request.attempt, fault),)
            if fault and len(one.rejections) < cell.attempts:
                one.asked = replace_request(one.asked, replace(get_request(one.asked), attempt=request.attempt + 1))
                going.append(one)
            else:
                found[one.number] = DrawnPiece(one.number, one.cell, None if fault else made, metrics, one.rejections)
        left = going
    return [found[number] for number, _, _ in chunk.pieces]


@lru_cache(maxsize=64)
def _parse_gates(text: str) -> Gates:
    return make_gates(json.loads(text))


# --- bytes ------------------------------------------------------------------------------------------------------------


def finish(group: DrawnChunk | Stopped) -> list[FinishedPiece] | Stopped:
    """Encode the files of each piece, with the values for the catalogue."""
    if isinstance(group, Stopped):
        return group
    began = perf_counter()
    try:
        with tempfile.TemporaryDirectory(prefix="composer-") as folder:
            made = [_finish_piece(group, one, Path(folder)) for one in group.drawn]
    except (CannotWrite, OSError) as error:
        return Stopped(f"temporary files: {printable(str(error), 200).rstrip('.')}.")
    seconds = group.seconds + (perf_counter() - began) / max(len(made), 1)
    return [replace(one, seconds=round(seconds, 4)) for one in made]


def _finish_piece(group: DrawnChunk, drawn: DrawnPiece, folder: Path) -> FinishedPiece:
    cell, piece = group.chunk.cells[drawn.cell], drawn.piece
    if piece is None:
        state, reason = ("failed", drawn.reason) if drawn.reason else ("rejected", drawn.rejections[-1][1])
        return FinishedPiece(drawn.number, state, metrics=drawn.metrics, rejections=drawn.rejections, reason=reason)
    try:
        files = _export_files(cell, piece, folder)
    except (CannotWrite, BadOption, UnknownName) as error:
        if isinstance(error.__cause__, OSError):  # an error of the machine, not of the piece
            raise
        return FinishedPiece(drawn.number, "failed", rejections=drawn.rejections, reason=str(error))
    kept = {name: piece.provenance[name] for name in ("request", "primer", "form") if name in piece.provenance}
    return FinishedPiece(
        drawn.number,
        "done",
        get_request(read_task(piece.provenance)).attempt,
        json.dumps(kept),
        files,
        {suffix: hashlib.sha256(data).hexdigest() for suffix, data in files.items()},
        drawn.metrics or measure(piece, group.standard),
        drawn.rejections,
    )


def _export_files(cell: Cell, piece: Piece, folder: Path) -> dict[str, bytes]:
    if cell.title is not None:
        piece = replace(piece, provenance={**piece.provenance, "title": cell.title})
    found = {}
    for suffix in cell.formats:
        path = folder / f"piece.{suffix}"
        _make_exporter(suffix, json.dumps(cell.export_options.get(suffix, {})))([piece], path)
        found[suffix] = path.read_bytes()  # the next piece overwrites it
    return found


@lru_cache(maxsize=64)
def _make_exporter(suffix: str, options: str) -> Exporter:
    return make_exporter(Path(f"piece.{suffix}"), **json.loads(options))


# --- Checks that no two pieces of a batch are the same, or share a file name ------------------------------------------


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
