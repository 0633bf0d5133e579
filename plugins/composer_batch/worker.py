"""The work of a batch: draw a chunk of pieces, apply the gates, and encode the files. No folder is written.

There are two stages, each a function of one plain value, so that an executor may run them on different workers:
`draw` needs the model, `finish` only exporters.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any

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
    piece: Piece | None = None  # for plugins that answer `piece_written`
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


# --- drawing ----------------------------------------------------------------------------------------------------------


def draw(chunk: Chunk) -> DrawnChunk | Stopped:
    """Draw each piece until it passes its gates, as often as its cell allows.

    A piece that its model cannot make keeps its reason.
    """
    began = perf_counter()
    first = next(iter(chunk.cells.values()))
    try:
        generator = _load_generator(first.model, first.model_path, first.model_hash)
        standard = read_standard(generator.model.card)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RequestWarning)  # the plan has shown them
            drawn = _draw_pieces(generator, standard, chunk)
    except (BadModelFile, UnknownName) as error:
        return Stopped(str(error))
    seconds = (perf_counter() - began) / max(len(drawn), 1)
    return DrawnChunk(chunk, tuple(drawn), standard, seconds)


def _load_generator(name: str, path: str, model_hash: str) -> Generator:
    generator = open_generator(name, path or name)
    if generator.model.hash != model_hash:
        raise BadModelFile(f"the model '{printable(name)}' differs from the one that the batch was begun with.")
    return generator


@dataclass
class _PendingPiece:
    """A piece that is still being drawn."""

    number: int
    cell: int
    asked: Task
    rejections: tuple[tuple[int, str], ...] = ()


def _draw_pieces(generator: Generator, standard: Standard, chunk: Chunk) -> list[DrawnPiece]:
    found: dict[int, DrawnPiece] = {}
    left = [_PendingPiece(number, cell, chunk.cells[cell].make_request(index)) for number, cell, index in chunk.pieces]
    while left:
        going = []
        for position, made in generate_each(generator, [one.asked for one in left]):
            one = left[position]
            if isinstance(made, ComposerError):
                found[one.number] = DrawnPiece(one.number, one.cell, None, None, one.rejections, str(made))
                continue
            cell = chunk.cells[one.cell]
            gates = _parse_gates(json.dumps(cell.gates))
            music = generator.load_training_music() if gates.max_copied_bars is not None else None
            metrics = measure(made, standard, music, gates.rules) if cell.gates else None
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


# --- files ------------------------------------------------------------------------------------------------------------


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
    if cell.title is not None:
        piece = replace(piece, provenance={**piece.provenance, "title": cell.title})
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
        piece,
        files,
        {suffix: hashlib.sha256(data).hexdigest() for suffix, data in files.items()},
        drawn.metrics or measure(piece, group.standard),
        drawn.rejections,
    )


def _export_files(cell: Cell, piece: Piece, folder: Path) -> dict[str, bytes]:
    found = {}
    for suffix in cell.formats:
        path = folder / f"piece.{suffix}"
        _make_exporter(suffix, json.dumps(cell.export_options.get(suffix, {})))([piece], path)
        found[suffix] = path.read_bytes()  # the next piece overwrites it
    return found


@lru_cache(maxsize=64)
def _make_exporter(suffix: str, options: str) -> Exporter:
    return make_exporter(Path(f"piece.{suffix}"), **json.loads(options))
