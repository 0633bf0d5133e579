"""Running a batch: chunks to an executor, and what comes back into the folder and the ledger; it makes no music.

catalogue.sqlite      the ledger
manifest.jsonl        a line a piece that is there, written at the end
0000/000017.mid       the pieces, a thousand in a folder
shards/03-of-16/      the ledger and the manifest of a run that makes a part of the batch

Files come before the ledger's word that they are done. What a killed run leaves behind is therefore either done, or
made again to the same bytes. A power cut may take files with it that the ledger calls done: those of a run that did not
come to its end, where all is brought to the disk, are read by the next one and held to their hashes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from composer.batch import manifest
from composer.batch.gates import Keep
from composer.batch.ledger import NAME, WHOLE, Ledger, Row, Shard, opened
from composer.batch.lock import NAME as LOCK
from composer.batch.lock import locked
from composer.batch.plan import Cell
from composer.batch.work import Chunk, Made, Stopped, draw, finish
from composer.errors import BatchFailed, CannotWrite, printable
from composer.generation import BATCH
from composer.types import Executor, Outcome

TRIES = 3
"""Workers that a piece may cost before it is set aside."""

PARTS = 8
"""Into so many a chunk is divided whose worker was lost, to find the piece that it was lost on."""

MOST_BYTES = 2**26
"""Of the files of one chunk, as far as the sizes of earlier ones tell."""

MOST_SECONDS = 60.0
"""That a chunk of more than `BATCH` pieces takes, as far as earlier ones tell."""

PAGE = 1024
"""Rows that are read from the ledger at once."""

SHARDS, SCRATCH = "shards", ".scratch"


@dataclass(frozen=True)
class Settings:
    """How a batch runs, which changes nothing in its pieces."""

    limit: float = 900.0  # seconds that a worker may be busy with one chunk
    chunk: int = 4 * BATCH  # pieces at most
    wait: bool = False  # for another run in the folder
    shard: Shard = WHOLE


@dataclass(frozen=True)
class Progress:
    """How a batch goes."""

    pieces: int  # in all
    counts: Counter[str]  # by state
    rejections: Counter[str]  # by gate
    made: int  # in this run
    seconds: float  # since this run began

    @property
    def rate(self) -> float:
        """Pieces a second in this run."""
        return self.made / self.seconds if self.made else 0.0

    @property
    def left(self) -> float:
        """Seconds, if it goes on so; infinite before the first piece."""
        return self.counts["waiting"] / self.rate if self.rate else float("inf")


Report = Callable[[Progress], None]


@dataclass
class _Course:
    """What changes while a batch runs."""

    out: Path
    ledger: Ledger
    settings: Settings
    cells: list[Cell]
    number: int  # of this run
    clock: Callable[[], float]
    began: float
    counts: Counter[str]
    rejections: Counter[str]
    again: deque[Chunk] = field(default_factory=deque)  # chunks whose worker was lost, in parts
    costs: dict[int, tuple[float, float]] = field(default_factory=dict)  # bytes and seconds of a piece, by cell
    folders: set[Path] = field(default_factory=set)  # that are there
    made: int = 0

    def progress(self) -> Progress:
        seconds = self.clock() - self.began
        return Progress(sum(self.counts.values()), +self.counts, self.rejections, self.made, seconds)


def home(out: Path, shard: Shard) -> Path:
    """Where the ledger of a run lies."""
    return out if shard.parts == 1 else out / SHARDS / f"{shard.part:02}-of-{shard.parts:02}"


def ledgers(out: Path) -> list[Path]:
    """The ledgers in the folder of a batch: one, or one a shard."""
    return [path for path in (out / NAME, *sorted(out.glob(f"{SHARDS}/*/{NAME}"))) if path.is_file()]


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
    """Make what is asked for and not there yet; the end of it. Without `cells`, go on with what the folder has.

    With `retry`, what was set aside is tried once more. Raises BatchFailed for a folder that another run works in, or
    that holds another batch; CannotWrite where nothing can be written.
    """
    folder = home(out, settings.shard)
    _check_folder(out, folder, settings.shard)
    with locked(folder, wait=settings.wait), opened(folder / NAME) as ledger:
        if cells is not None:
            ledger.begin(cells, settings.shard)
        number, settled = ledger.begun()
        _mend(out, ledger, settled)
        if retry:
            ledger.again([row["number"] for row in ledger.pieces("failed", "number")])
        known, counts = ledger.cells(), ledger.counts()
        course = _Course(out, ledger, settings, known, number, clock, clock(), counts, ledger.rejections())
        _select(course, range(len(known)))
        tell = report or (lambda _: None)
        tell(course.progress())
        for _ in _outcomes(course, executor, now):
            tell(course.progress())
        shutil.rmtree(folder / SCRATCH, ignore_errors=True)
        manifest.write(ledger, folder / manifest.NAME)
        if hasattr(os, "sync"):
            os.sync()
            ledger.settled(number)
        return course.progress()


def _check_folder(out: Path, folder: Path, shard: Shard) -> None:
    """Raise BatchFailed for a folder that is somebody's, CannotWrite for what is no folder."""
    shown = printable(str(out))
    try:
        names = {path.name for path in out.iterdir()} if out.exists() else set()
    except OSError as error:
        raise CannotWrite(f"{shown}: is no folder to write to ({error.strerror}).") from error
    ours = {LOCK, NAME, f"{NAME}-journal", SHARDS, SCRATCH, manifest.NAME}
    if not (folder / NAME).exists() and not ledgers(out) and (others := sorted(names - ours)):
        raise BatchFailed(f"{shown}: holds other things ('{printable(others[0])}'); name a new folder.")
    whole = (out / NAME).exists()
    parts = {path.name.rpartition("-")[2] for path in (out / SHARDS).glob("*-of-*")} - {f"{shard.parts:02}"}
    if (whole and shard.parts > 1) or (parts and not whole) or (not whole and shard.parts == 1 and parts):
        kind = f"in {int(min(parts))} shards" if parts else "without shards"
        raise BatchFailed(f"{shown}: was begun {kind}; go on so, or name another folder.")


def _mend(out: Path, ledger: Ledger, settled: int) -> None:
    """Put right what a run left that was killed: half-written files, files to be taken away, files that are gone.

    Files of runs after `settled` are read, and held to their hashes.
    """
    shutil.rmtree(ledger.path.parent / SCRATCH, ignore_errors=True)
    _take_away(out, ledger, ledger.dropping())
    gone = []
    for row in ledger.pieces("done", "number, stem, files, run"):
        paths = {out / f"{row['stem']}.{suffix}": about for suffix, about in row["files"].items()}
        if not all(_is_there(path, size, row["run"] > settled and digest) for path, (digest, size) in paths.items()):
            gone.append(row["number"])
    ledger.again(gone)


def _is_there(path: Path, size: int, digest: str | bool) -> bool:
    """Whether there is a file of that size and, where a hash is given, with that content."""
    if not path.is_file() or path.stat().st_size != size:
        return False
    if not digest:
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == digest


def _take_away(out: Path, ledger: Ledger, pieces: Sequence[tuple[int, str, Sequence[str]]]) -> None:
    for _, stem, suffixes in pieces:
        for suffix in suffixes:
            (out / f"{stem}.{suffix}").unlink(missing_ok=True)
    ledger.dropped([number for number, *_ in pieces])


# --- chunks -----------------------------------------------------------------------------------------------------------


def _chunks(course: _Course, workers: Callable[[], int]) -> Iterator[Chunk]:
    """What waits, packed: pieces of one model and chain together, those of like length beside each other."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, cell in enumerate(course.cells):
        groups.setdefault(cell.together, []).append(place)
    for places in groups.values():
        places.sort(key=lambda place: (-course.cells[place].length, place))  # what takes long is begun early
        left = sum(course.ledger.waiting_in(place) for place in places)
        size, due = 0, 0
        pieces: list[tuple[int, int, int]] = []
        for place in places:
            for number, index in _waiting(course, place):
                if not due:
                    due = workers()
                    size = share(left, due, course.settings.chunk)
                pieces.append((number, place, index))
                if len(pieces) >= min(size, _most(course, place)):
                    yield from _leased(course, pieces)
                    left, due, pieces = left - len(pieces), due - 1, []
        if pieces:
            yield from _leased(course, pieces)


def share(left: int, workers: int, most: int) -> int:
    """Pieces of each of the next chunks, one for each worker, of those that are left.

    A round of equal chunks takes half of what is left, so that all workers end together (factoring: Hummel, Schonberg
    and Flynn 1992), but fills batches as long as there is enough for all.
    """
    size = min(max(-(-left // (2 * workers)), BATCH), most)
    rounds = -(-left // (workers * size))
    return -(-left // (workers * rounds))


def _leased(course: _Course, pieces: Sequence[tuple[int, int, int]]) -> Iterator[Chunk]:
    while course.again:  # parts of lost chunks come first
        yield course.again.popleft()
    yield _chunk(course, pieces)


def _waiting(course: _Course, place: int) -> Iterator[tuple[int, int]]:
    after = -1
    while page := course.ledger.waiting(place, after, PAGE):
        yield from page
        after = page[-1][0]


def _most(course: _Course, place: int) -> int:
    """Pieces of a chunk that has come to this cell: fewer where their files are large, or they take long."""
    if place not in course.costs:
        return min(course.settings.chunk, BATCH)
    size, seconds = course.costs[place]
    for_long = max(BATCH, int(MOST_SECONDS / max(seconds, 1e-6)))
    return max(1, min(course.settings.chunk, for_long, int(MOST_BYTES / max(size, 1.0))))


def _chunk(course: _Course, pieces: Sequence[tuple[int, int, int]]) -> Chunk:
    return Chunk({place: course.cells[place] for _, place, _ in pieces}, tuple(pieces))


def _outcomes(course: _Course, executor: Executor, now: Callable[[], float]) -> Iterator[Outcome]:
    """Everything to the executor, and then what was lost, until nothing is left."""
    waiting: Iterator[Chunk] = _chunks(course, lambda: max(int(getattr(executor, "places", 1)), 1))
    while True:
        with _ended(executor((draw, finish), waiting, course.settings.limit)) as outcomes:
            for outcome in outcomes:
                _settle(course, outcome, now)
                yield outcome
        if not course.again:
            return
        waiting = _again(course)


def _again(course: _Course) -> Iterator[Chunk]:
    while course.again:
        yield course.again.popleft()


@contextmanager
def _ended(outcomes: Iterator[Outcome]) -> Iterator[Iterator[Outcome]]:
    """The same, whose workers end with the block."""
    try:
        yield outcomes
    finally:
        if isinstance(outcomes, Generator):
            outcomes.close()


# --- what comes back --------------------------------------------------------------------------------------------------


def _settle(course: _Course, outcome: Outcome, now: Callable[[], float]) -> None:
    chunk: Chunk = outcome.argument
    if outcome.fault:
        _lost(course, chunk, outcome.fault)
        return
    if isinstance(outcome.value, Stopped):
        raise BatchFailed(outcome.value.reason)
    made: list[Made] = outcome.value
    for one in made:
        if one.files is not None:
            _write(course, chunk, one)
    rows = [_row(one, now(), course.number) for one in made]
    course.ledger.record(rows)
    _count(course, rows)
    places = {place for _, place, _ in chunk.pieces}
    sizes = [sum(len(data) for data in one.files.values()) for one in made if one.files]
    size, seconds = sum(sizes) / max(len(sizes), 1), sum(one.seconds for one in made) / len(made)
    course.costs |= dict.fromkeys(places, (size, seconds))
    _select(course, places)


def _write(course: _Course, chunk: Chunk, made: Made) -> None:
    """The files of a piece, each whole or not at all: they are written in a folder of this run, and moved."""
    place, index = next((place, index) for number, place, index in chunk.pieces if number == made.number)
    stem = course.out / course.cells[place].stem(made.number, index)
    scratch = course.ledger.path.parent / SCRATCH
    try:
        for folder in {stem.parent, scratch} - course.folders:
            folder.mkdir(exist_ok=True)
            course.folders.add(folder)
        for suffix, data in (made.files or {}).items():
            (scratch / f"piece.{suffix}").write_bytes(data)
            (scratch / f"piece.{suffix}").replace(stem.with_name(f"{stem.name}.{suffix}"))
    except OSError as error:
        raise CannotWrite(f"{printable(str(stem))}: cannot be written ({error.strerror}).") from error


def _row(made: Made, moment: float, run: int) -> Row:
    files, hashes = made.files, made.hashes or {}
    return Row(
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


def _count(course: _Course, rows: Sequence[Row]) -> None:
    course.made += len(rows)
    course.counts["waiting"] -= len(rows)
    course.counts.update(row.state for row in rows)
    course.rejections.update(reason.partition(":")[0] for row in rows for _, reason in row.rejections)


def _lost(course: _Course, chunk: Chunk, fault: str) -> None:
    """Divide a chunk, to find the piece that it was lost on; set that piece aside after some tries."""
    count = len(chunk.pieces)
    if count > 1:
        size = -(-count // PARTS)
        for start in range(0, count, size):
            course.again.append(_chunk(course, chunk.pieces[start : start + size]))
        return
    number = chunk.pieces[0][0]
    if course.ledger.tried(number) < TRIES:
        course.again.append(chunk)
        return
    row = Row(number, "failed", reason=f"{fault} ({TRIES} tries)")
    course.ledger.record([row])
    _count(course, [row])


def _select(course: _Course, places: Sequence[int] | set[int] | range) -> None:
    """Take away what is no longer among the best of a job: it would not be among them in the end."""
    kept = {course.cells[place].job: course.cells[place].keep for place in places}
    for job, text in kept.items():
        if text is not None:
            keep = Keep.of(text)
            beyond = course.ledger.beyond(job, keep.count, keep.by)
            _take_away(course.out, course.ledger, beyond)
            course.counts["done"] -= len(beyond)
            course.counts["passed over"] += len(beyond)
