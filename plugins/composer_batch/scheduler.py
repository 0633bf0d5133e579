"""Runs a batch: chunks go to an executor, and the results into the folder and the catalogue.

The waiting pieces of the catalogue are grouped into chunks, one for each call of a worker.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from composer.errors import BatchFailed
from composer.generation.generator import BATCH_SIZE
from composer.io.outputs import hold_lock
from composer.plugins import events
from composer.types import Executor, Outcome
from composer_batch import folder
from composer_batch.catalogue import NAME, WHOLE, Catalogue, PieceRecord, Shard, open_catalogue
from composer_batch.cell import Cell
from composer_batch.worker import Chunk, FinishedPiece, Stopped, draw, finish

# --- the run ----------------------------------------------------------------------------------------------------------


TRIES = 3
"""Workers lost on a piece before it is set aside."""

PARTS = 8
"""Parts into which a lost chunk is divided, to find the piece at fault."""

MOST_BYTES = 2**26
"""Bytes of the files of one chunk, estimated from earlier ones."""

MOST_SECONDS = 60.0
"""Seconds that a chunk of more than `BATCH_SIZE` pieces may take, estimated from earlier ones."""


@dataclass(frozen=True)
class Settings:
    """How a batch runs. None of it changes the pieces."""

    limit: float = 900.0  # seconds that a worker may be busy with one chunk
    chunk: int = 4 * BATCH_SIZE  # most pieces
    wait: bool = False  # until another run in the folder ends
    shard: Shard = WHOLE


@dataclass(frozen=True)
class Progress:
    """The progress of a batch."""

    pieces: int  # in all
    counts: Counter[str]  # by state
    rejections: Counter[str]  # by gate
    made: int  # in this run
    seconds: float  # since this run began

    @property
    def rate(self) -> float:
        """Pieces per second in this run."""
        return self.made / self.seconds if self.made else 0.0

    @property
    def left(self) -> float:
        """Seconds left at this rate; infinite before the first piece."""
        return self.counts["waiting"] / self.rate if self.rate else float("inf")


Report = Callable[[Progress], None]


@dataclass
class _RunState:
    """The state of a run."""

    out: Path
    catalogue: Catalogue
    settings: Settings
    cells: list[Cell]
    number: int  # of this run
    clock: Callable[[], float]
    began: float
    counts: Counter[str]
    rejections: Counter[str]
    retries: deque[Chunk] = field(default_factory=deque)  # parts of lost chunks
    costs: dict[int, tuple[float, float]] = field(default_factory=dict)  # bytes and seconds of a piece, by cell
    folders: set[Path] = field(default_factory=set)  # that exist
    made: int = 0

    def measure_progress(self) -> Progress:
        seconds = self.clock() - self.began
        return Progress(sum(self.counts.values()), +self.counts, self.rejections, self.made, seconds)


def run(
    out: Path,
    cells: Sequence[Cell] | None,
    executor: Executor,
    settings: Settings = Settings(),
    report: Report | None = None,
    *,
    retry: bool = False,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], float] = time.time,
) -> Progress:
    """Make the missing pieces, and return the final progress. Without `cells`, use those in the folder.

    With `retry`, pieces that were set aside are tried again. Raises BatchFailed for a folder in use by another run, or
    with another batch; CannotWrite where nothing can be written.
    """
    home, parts = folder.find_run_folder(out, settings.shard), settings.shard.parts
    folder.check(out, settings.shard)
    with (
        hold_lock(home, wait=settings.wait, advice=", or wait for it with --wait"),
        open_catalogue(home / NAME) as catalogue,
    ):
        if cells is not None:
            catalogue.begin(cells, settings.shard)
        number, settled = catalogue.start_run()
        folder.repair(out, catalogue, settled)
        if retry:
            catalogue.reset_pieces([row["number"] for row in catalogue.read_pieces("failed", "number")])
        known, counts = list(catalogue.read_cells()), catalogue.count_states()
        course = _RunState(
            out, catalogue, settings, known, number, clock, clock(), counts, catalogue.count_rejections()
        )
        _keep_best(course, range(len(known)))
        tell = report or (lambda _: None)
        tell(course.measure_progress())
        for _ in _run_chunks(course, executor, now):
            tell(course.measure_progress())
        folder.write_manifest(catalogue, home / folder.MANIFEST)
        if parts > 1:
            folder.keep_best_of_shards(out, parts, folder.collect_keep_rules(known))
            course.counts = catalogue.count_states()
        folder.flush(catalogue, number)
        ended = course.measure_progress()
    events.tell("batch_finished", folder=out.absolute(), counts=dict(ended.counts))
    return ended


# --- chunks -----------------------------------------------------------------------------------------------------------


def _schedule_chunks(course: _RunState, executor: Executor) -> Iterator[Chunk]:
    """Yield the waiting pieces in chunks. Parts of lost chunks come first."""

    def count_workers() -> int:
        """Return how many chunks the executor works on at once."""
        return max(int(getattr(executor, "places", 1)), 1)

    for chunk in make_chunks(
        course.catalogue, course.cells, course.settings.chunk, count_workers, partial(_limit_chunk, course)
    ):
        yield from _drain_retries(course)
        yield chunk


def _limit_chunk(course: _RunState, position: int) -> int:
    """Limit the pieces of a chunk that has reached this cell: fewer if their files are large or they are slow."""
    if position not in course.costs:
        return BATCH_SIZE
    size, seconds = course.costs[position]
    for_long = max(BATCH_SIZE, int(MOST_SECONDS / max(seconds, 1e-6)))
    return max(1, min(for_long, int(MOST_BYTES / max(size, 1.0))))


def _run_chunks(course: _RunState, executor: Executor, now: Callable[[], float]) -> Iterator[Outcome]:
    """Run all chunks, and then what was lost, until nothing is left."""
    waiting: Iterator[Chunk] = _schedule_chunks(course, executor)
    while True:
        with _close_at_end(executor((draw, finish), waiting, course.settings.limit)) as outcomes:
            for outcome in outcomes:
                _settle(course, outcome, now)
                yield outcome
        if not course.retries:
            return
        waiting = _drain_retries(course)


def _drain_retries(course: _RunState) -> Iterator[Chunk]:
    while course.retries:
        yield course.retries.popleft()


@contextmanager
def _close_at_end(outcomes: Iterator[Outcome]) -> Iterator[Iterator[Outcome]]:
    """Close the outcomes at the end of the block, and so end their workers."""
    try:
        yield outcomes
    finally:
        if isinstance(outcomes, Generator):
            outcomes.close()


# --- results ----------------------------------------------------------------------------------------------------------


def _settle(course: _RunState, outcome: Outcome, now: Callable[[], float]) -> None:
    chunk: Chunk = outcome.argument
    if outcome.fault:
        _handle_loss(course, chunk, outcome.fault)
        return
    if isinstance(outcome.value, Stopped):
        raise BatchFailed(outcome.value.reason)
    made: list[FinishedPiece] = outcome.value
    for one in made:
        if one.files is not None:
            _write(course, chunk, one)
    rows = [_make_row(one, now(), course.number) for one in made]
    course.catalogue.record(rows)
    _count(course, rows)
    positions = {position for _, position, _ in chunk.pieces}
    sizes = [sum(len(data) for data in one.files.values()) for one in made if one.files]
    size, seconds = sum(sizes) / max(len(sizes), 1), sum(one.seconds for one in made) / len(made)
    course.costs |= dict.fromkeys(positions, (size, seconds))
    _keep_best(course, positions)
    _tell_written(course, chunk, made)


def _write(course: _RunState, chunk: Chunk, made: FinishedPiece) -> None:
    stem, scratch = _make_stem(course, chunk, made), course.catalogue.path.parent / folder.SCRATCH
    folder.write(course.out, stem, made.files or {}, scratch, course.folders)


def _make_stem(course: _RunState, chunk: Chunk, made: FinishedPiece) -> str:
    position, index = next((position, index) for number, position, index in chunk.pieces if number == made.number)
    return course.cells[position].names.make_stem(made.number, index)


def _tell_written(course: _RunState, chunk: Chunk, made: Iterable[FinishedPiece]) -> None:
    """Tell plugins of the pieces that are still there, once these are recorded: no resumed run tells of them again."""
    for one in made:
        if one.piece is not None:
            stem = _make_stem(course, chunk, one)
            paths = [folder.make_path(course.out, stem, suffix) for suffix in one.files or {}]
            if all(path.exists() for path in paths):
                events.tell_piece_written(paths, one.piece)


def _make_row(made: FinishedPiece, moment: float, run: int) -> PieceRecord:
    files, hashes = made.files, made.hashes or {}
    return PieceRecord(
        made.number,
        made.state,
        made.attempt,
        made.asked,
        None if files is None else {suffix: (hashes[suffix], len(data)) for suffix, data in files.items()},
        made.metrics,
        made.rejections,
        made.reason,
        made.seconds,
        moment,
        run,
    )


def _count(course: _RunState, rows: Sequence[PieceRecord]) -> None:
    course.made += len(rows)
    course.counts["waiting"] -= len(rows)
    course.counts.update(row.state for row in rows)
    course.rejections.update(reason.partition(":")[0] for row in rows for _, reason in row.rejections)


def _handle_loss(course: _RunState, chunk: Chunk, fault: str) -> None:
    """Divide a lost chunk to find the piece at fault. After some tries, set that piece aside."""
    count = len(chunk.pieces)
    if count > 1:
        size = -(-count // PARTS)
        for start in range(0, count, size):
            course.retries.append(make_chunk(chunk.cells, chunk.pieces[start : start + size]))
        return
    number = chunk.pieces[0][0]
    if course.catalogue.count_try(number) < TRIES:
        course.retries.append(chunk)
        return
    row = PieceRecord(number, "failed", reason=f"{fault} ({TRIES} tries)")
    course.catalogue.record([row])
    _count(course, [row])


def _keep_best(course: _RunState, positions: Iterable[int]) -> None:
    """Keep the best pieces of the jobs of these cells."""
    rules = folder.collect_keep_rules(course.cells[position] for position in positions)
    count = folder.keep_best(course.out, [course.catalogue], rules)
    course.counts["done"] -= count
    course.counts["passed over"] += count


# --- waiting pieces, grouped ------------------------------------------------------------------------------------------


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
