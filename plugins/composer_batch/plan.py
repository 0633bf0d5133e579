"""The plan of a batch: cells that are checked, in order, before anything runs. No folder is made.

No two pieces are the same, or share a file name; ranges of pieces are compared as a whole. A trial makes a few bars, to
estimate time and size. Nothing is written.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count, groupby, pairwise
from operator import itemgetter
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias

from composer.errors import BadOption, BatchFailed, ComposerError
from composer.generation.generator import Generator
from composer.plugins.registry import registry
from composer.storage.inside import expand_home
from composer_batch import jobs
from composer_batch.cell import Cell
from composer_batch.jobs import FOLDER, GridPoint, Names
from composer_batch.requests import JobChecker, PlainRequest
from composer_batch.worker import Chunk, Stopped, draw, finish

# --- the plan ---------------------------------------------------------------------------------------------------------


MOST_IN_ALL = 5_000_000
"""Pieces of one batch, at most."""


def make_plan(wanted: Sequence[GridPoint], opened: Mapping[str, Generator] | None = None) -> list[Cell]:
    """Build the cells of a batch and check each. Raises BadJobs, with file and line, for the first invalid one.

    Pieces are counted, and not visited one by one.
    """
    _check_count(wanted)
    desk = JobChecker(dict(opened or {}))
    cells: list[Cell] = []
    marks: list[Hashable] = []
    for one in wanted:
        with _locate_errors(one, "model"):
            generator = desk.find_generator(one.job.model)
        with _locate_errors(one, "formats"):
            desk.check_formats(one)
        with _locate_errors(one):
            asking = desk.make_request(one)
            cells.append(_make_cell(one, generator, asking))
            marks.append((generator.model.hash, asking.digest, one.job.seed))
        with _locate_errors(one, "file"):
            _ = cells[-1].names  # computed here, so that errors have its line
    found = list_ranges(wanted)
    check_pieces(found, marks)
    check_names(found, [cell.names for cell in cells])
    return cells


def _check_count(wanted: Sequence[GridPoint]) -> None:
    """Raise BadJobs if a batch has too many pieces."""
    total = 0
    for one in wanted:
        total += one.job.count
        if total > MOST_IN_ALL:
            text = f"up to here the jobs ask for {total:,} pieces; {MOST_IN_ALL:,} are the most."
            raise one.table.make_error(text, "count")


@contextmanager
def _locate_errors(one: GridPoint, key: str = "") -> Iterator[None]:
    """Report errors with the line of the key, or of the key that they name."""
    try:
        yield
    except ComposerError as error:
        raise one.table.make_error(error, key or _guess_key(str(error), one)) from None


def _guess_key(text: str, one: GridPoint) -> str:
    """Guess which key of a table an error is about, for its line."""
    words = set(re.findall(r"[\w-]+", text.lower()))
    keys = sorted(one.table.values, key=len, reverse=True)
    return next((key for key in keys if key.replace("-", "_").lower() in words or key.lower() in words), "")


def _make_cell(one: GridPoint, generator: Generator, asking: PlainRequest) -> Cell:
    job = one.job
    if one.gates.get("max_copied_bars") is not None:
        generator.load_training_music()  # read and indexed once, and not by each worker
    options = registry().list_names("models")
    return Cell(
        job=one.table.number,
        name=job.name or f"job{one.table.number}",
        model=job.model,
        model_path="" if job.model in options else str(expand_home(job.model).absolute()),
        model_hash=generator.model.hash,
        asked=asking.replace_seed(job.seed),
        first=job.index or 0,
        count=job.count,
        file=job.file,
        fields=_list_fields(one),
        formats=job.formats,
        export_options=one.export_options,
        title=job.title,
        gates=one.gates,
        attempts=1 if job.beams else job.attempts,  # beams would find the same piece
        keep=job.keep,
    )


def _list_fields(one: GridPoint) -> dict[str, Any]:
    """List the values that a file name pattern may use: options of the job, conditions and samplers in its grid."""
    job = one.job
    model = Path(job.model).stem if job.model.endswith(".safetensors") else job.model
    own = ("seed", "bars", "form", "time_signature", "key", "tempo", "device", "backend", "precision")
    found = {name: getattr(job, name) for name in own} | {"stepper": job.backend}  # its first name
    found |= {"beams": job.beams} if job.beams else {}
    keys = {option: key for key, option in _map_sampler_keys().items()}
    for link in one.links:
        for name, value in link.options.items():
            found[keys[link.name, name]] = value
    return {**dict(one.conditions), "name": job.name or f"job{one.table.number}", "model": model, **found}


@lru_cache(maxsize=1)
def _map_sampler_keys() -> dict[str, tuple[str, str]]:
    found = jobs.list_sampler_keys().items()
    return {key.replace("-", "_"): (sampler, option.name) for key, (sampler, option) in found}


def iterate_pieces(cells: Sequence[Cell], number: int = 0) -> Iterator[tuple[int, int, Cell]]:
    """Yield (number, index, cell) of every piece. Numbers start at `number`."""
    for cell in cells:
        for index in range(cell.first, cell.first + cell.count):
            yield number, index, cell
            number += 1


def count_pieces(cells: Sequence[Cell]) -> Counter[str]:
    """Count the requested pieces by model."""
    found: Counter[str] = Counter()
    for cell in cells:
        found[cell.model] += cell.count
    return found


# --- no two pieces the same, no two names -----------------------------------------------------------------------------


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


_Part: TypeAlias = tuple[PieceRange, Names]


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


# --- a trial ----------------------------------------------------------------------------------------------------------


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
        asked["form"] = {**asked["form"], "sections": " ".join(kinds[:2]), "titles": []}
        factor *= len(kinds) / len(kinds[:2])
    return replace(cell, asked={**asked, "request": request}, attempts=1), factor


def _expect_attempts(cell: Cell, share: float) -> float:
    """Compute how often a piece is drawn on average, if this share of the pieces passes the gates."""
    return (1 - (1 - share) ** cell.attempts) / share if share else cell.attempts
