"""The catalogue of a batch: a row for each piece, in SQLite.

    waiting      to be made
    done         its files are in the folder
    rejected     no attempt passed the gates
    dropping     its files are being removed, since better pieces are kept
    passed over  its files are removed
    failed       set aside: it could not be made, for the `reason` in its row

One process writes, under the lock of the folder, and commits a chunk at a time, after its files. The journal is the
classic one, the only one of SQLite's that works on network file systems. A commit is on disk when it returns; files
may not be, until their run is `settled`.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from composer import __version__
from composer.errors import BadOption, BatchFailed, CannotWrite, UnreadableFile, printable
from composer_batch.cell import Cell
from composer_batch.plan import iterate_pieces
from composer_batch.schema import check_row, connect, read_pair

NAME = "catalogue.sqlite"

FORMAT = 1

MOST_RUNS = 2**31

CHUNK = 64
"""Pieces in a row that belong to one shard."""

STATES = ("waiting", "done", "rejected", "dropping", "passed over", "failed")

_TABLES = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE cells (cell INTEGER PRIMARY KEY, job INTEGER NOT NULL, first INTEGER NOT NULL, plain TEXT NOT NULL);
CREATE TABLE pieces (
    number INTEGER PRIMARY KEY, cell INTEGER NOT NULL, model TEXT NOT NULL, model_hash TEXT NOT NULL,
    seed INTEGER NOT NULL, "index" INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'waiting',
    tries INTEGER NOT NULL DEFAULT 0, attempt INTEGER, asked TEXT, stem TEXT NOT NULL, files TEXT, bytes INTEGER,
    metrics TEXT, rank REAL, distance REAL, reason TEXT NOT NULL DEFAULT '', seconds REAL, made_at REAL, run INTEGER
);
CREATE INDEX pieces_by_state ON pieces (state, cell, number);
CREATE TABLE rejections (number INTEGER NOT NULL, attempt INTEGER NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (number, attempt));
"""


@dataclass(frozen=True)
class Shard:
    """One of several runs that share the pieces of a batch: number `part` of `parts`, counted from 1."""

    part: int = 1
    parts: int = 1

    def has(self, number: int) -> bool:
        """Tell whether a piece belongs to this shard."""
        return number // CHUNK % self.parts == self.part - 1


WHOLE = Shard()
"""One run for all pieces."""


@dataclass(frozen=True)
class PieceRecord:
    """The result of one piece."""

    number: int
    state: str
    attempt: int = 0
    asked: str = ""  # its provenance as JSON
    files: Mapping[str, tuple[str, int]] | None = None  # suffix to SHA-256 and bytes
    metrics: Mapping[str, Any] | None = None
    rejections: Sequence[tuple[int, str]] = ()  # attempt, reason
    reason: str = ""
    seconds: float = 0.0
    made_at: float = 0.0  # seconds since 1970
    run: int = 0  # the run that made it, counted from 1


@dataclass(frozen=True, eq=False)
class Catalogue:
    """An open catalogue. Every method raises CannotWrite, in one sentence, where the file cannot be read or written.

    Where it is corrupt, or not a catalogue, they raise UnreadableFile.
    """

    path: Path
    connection: sqlite3.Connection

    @contextmanager
    def _guard(self) -> Iterator[sqlite3.Connection]:
        try:
            with self.connection:  # commits, or rolls back
                yield self.connection
        except sqlite3.Error as error:
            raise CannotWrite(f"{printable(str(self.path))}: {printable(str(error), 160)}.") from error
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, BadOption) as error:
            text = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            what = printable(text, 160).rstrip(".")
            raise UnreadableFile(f"{printable(str(self.path))}: corrupt, or not a catalogue ({what}).") from error

    # --- what is asked for

    def begin(self, cells: Sequence[Cell], shard: Shard) -> int:
        """Add the cells, or find the same ones there. Return the number of pieces added to a batch that had been begun.

        Raises BatchFailed for a batch of other jobs, models or versions.
        """
        begun = self._has_begun()
        known = self._check_same(cells, shard) if begun else 0
        first = sum(cell.count for cell in cells[:known])
        with self._guard() as connection:
            connection.execute("BEGIN IMMEDIATE")  # so that tables are created whole or not at all
            if not begun:
                for statement in _TABLES.split(";"):  # a script would commit first
                    connection.execute(statement)
                about = {"format": FORMAT, "composer": __version__, "shard": f"{shard.part}/{shard.parts}"}
                connection.executemany("INSERT INTO about VALUES (?, ?)", [(k, str(v)) for k, v in about.items()])
            number = first
            for position, cell in enumerate(cells[known:], start=known):
                row = (position, cell.job, number, json.dumps(cell.to_json()))
                connection.execute("INSERT INTO cells VALUES (?, ?, ?, ?)", row)
                number += cell.count
            rows = _make_rows(cells[known:], known, first, shard)
            columns = 'number, cell, model, model_hash, seed, "index", stem'
            connection.executemany(f"INSERT INTO pieces ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)  # noqa: S608
        return number - first if known else 0

    def _has_begun(self) -> bool:
        with self._guard() as connection:
            return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'about'").fetchone())

    def _check_same(self, cells: Sequence[Cell], shard: Shard) -> int:
        """Raise BatchFailed unless these cells begin with the known ones. Return how many are known."""
        shown, about = printable(str(self.path.parent)), self.read_header()
        if about["composer"] != __version__:
            raise BatchFailed(
                f"{shown}: was begun with composer {printable(about['composer'], 9)}, and this is {__version__}, whose "
                "pieces may differ; go on with that version, or name another folder."
            )
        if about["shard"] != f"{shard.part}/{shard.parts}":
            raise BatchFailed(
                f"{shown}: was begun as shard {printable(about['shard'], 20)}; go on so, or name another folder."
            )
        known = 0
        for old in map(_make_comparable, self.read_cells()):
            new = _make_comparable(cells[known]) if known < len(cells) else {}
            known += 1
            if old == new:
                continue
            if {**old, "model_hash": ""} == {**new, "model_hash": ""}:
                what = f"the model '{printable(old['model'])}' has changed since it was begun; bring it back"
            else:
                what = f"was begun with another file of jobs (job {old['job']} differs); jobs may be added at its end"
            raise BatchFailed(f"{shown}: {what}, or name another folder.")
        return known

    def read_header(self) -> dict[str, str]:
        """Read the header: format, version, shard."""
        with self._guard() as connection:
            rows = connection.execute("SELECT key, value FROM about")
            return {"composer": "", "shard": "", **dict(map(read_pair, rows))}

    def start_run(self) -> tuple[int, int]:
        """Register one more run. Return its number, and that of the last run whose files are known to be on disk."""
        with self._guard() as connection:
            rows = connection.execute("SELECT key, value FROM about")
            about = dict(map(read_pair, rows))
            run, settled = int(about.get("runs", 0)) + 1, int(about.get("settled", 0))
            if not 0 <= settled < run < MOST_RUNS:
                raise ValueError("invalid run numbers")
            connection.execute("INSERT OR REPLACE INTO about VALUES ('runs', ?)", (str(run),))
        return run, settled

    def mark_settled(self, run: int) -> None:
        """Mark the files of this run, and of all earlier ones, as being on disk."""
        with self._guard() as connection:
            connection.execute("INSERT OR REPLACE INTO about VALUES ('settled', ?)", (str(run),))

    def read_cells(self) -> Iterator[Cell]:
        """Yield the cells in their order."""
        with self._guard() as connection:
            for number, (position, plain) in enumerate(
                connection.execute("SELECT cell, plain FROM cells ORDER BY cell")
            ):
                if position != number:
                    raise ValueError("a job is missing")
                yield Cell.from_json(json.loads(plain))

    def list_waiting(self, cell: int, after: int, most: int) -> list[tuple[int, int]]:
        """List (number, index) of the next waiting pieces of a cell, after the number `after`."""
        query = (
            "SELECT number, \"index\" FROM pieces WHERE state = 'waiting' AND cell = ? AND number > ? "
            "ORDER BY number LIMIT ?"
        )
        with self._guard() as connection:
            rows = connection.execute(query, (cell, after, most)).fetchall()
            for number, index in rows:
                check_row({"number": number, "index": index}, written=False)
            return rows

    def count_waiting(self, cell: int) -> int:
        """Count the waiting pieces of a cell."""
        query = "SELECT count(*) FROM pieces WHERE state = 'waiting' AND cell = ?"
        with self._guard() as connection:
            return int(connection.execute(query, (cell,)).fetchone()[0])

    # --- what became of it

    def record(self, rows: Iterable[PieceRecord]) -> None:
        """Record the results of these pieces, in one transaction."""
        rows = list(rows)
        with self._guard() as connection:
            connection.executemany(
                "UPDATE pieces SET state = ?, attempt = ?, asked = ?, files = ?, bytes = ?, metrics = ?, rank = ?, "
                "distance = ?, reason = ?, seconds = ?, made_at = ?, run = ? WHERE number = ?",
                [_list_values(row) for row in rows],
            )
            connection.executemany(
                "INSERT OR REPLACE INTO rejections VALUES (?, ?, ?)",
                [(row.number, attempt, reason) for row in rows for attempt, reason in row.rejections],
            )

    def count_try(self, number: int) -> int:
        """Count one more try of a piece whose worker was lost. Return the number of tries."""
        with self._guard() as connection:
            connection.execute("UPDATE pieces SET tries = tries + 1 WHERE number = ?", (number,))
            return int(connection.execute("SELECT tries FROM pieces WHERE number = ?", (number,)).fetchone()[0])

    def reset_pieces(self, numbers: Iterable[int]) -> None:
        """Set these pieces back to `waiting`, as if they had never been made."""
        with self._guard() as connection:
            listed = [(number,) for number in numbers]
            connection.executemany(
                "UPDATE pieces SET state = 'waiting', tries = 0, reason = '' WHERE number = ?", listed
            )
            connection.executemany("DELETE FROM rejections WHERE number = ?", listed)

    def rank_pieces(self, job: int, by: str, after: int = 0) -> list[tuple[Any, ...]]:
        """List the sort key of each finished piece of a job, its number last, the best first; skip `after` of them."""
        order = "rank, distance, number" if by == "rules" else "distance, number"
        query = (
            f"SELECT {order} FROM pieces WHERE state = 'done' AND cell IN (SELECT cell FROM cells WHERE job = ?) "  # noqa: S608
            f"ORDER BY {order} LIMIT -1 OFFSET ?"
        )
        with self._guard() as connection:
            rows = connection.execute(query, (job, after)).fetchall()
            for row in rows:
                check_row(dict(zip(order.split(", "), row, strict=True)), written=True)
                if None in row:
                    raise ValueError("a piece has no rank")
            return rows

    def drop(self, numbers: Iterable[int]) -> list[tuple[int, str, list[str]]]:
        """Mark these pieces as `dropping`. List number, stem and suffixes of all such pieces."""
        with self._guard() as connection:
            rows = [(number,) for number in numbers]
            connection.executemany("UPDATE pieces SET state = 'dropping' WHERE number = ?", rows)
        return self.list_dropping() if rows else []

    def list_dropping(self) -> list[tuple[int, str, list[str]]]:
        """List number, stem and suffixes of the pieces whose files are being removed."""
        found = self.read_pieces("dropping", "number, stem, files")
        return [(row["number"], row["stem"], list(row["files"])) for row in found]

    def mark_dropped(self, numbers: Iterable[int]) -> None:
        """Mark the files of these pieces as removed."""
        with self._guard() as connection:
            rows = [(number,) for number in numbers]
            connection.executemany("UPDATE pieces SET state = 'passed over' WHERE number = ?", rows)

    # --- to be read

    def count_states(self) -> Counter[str]:
        """Count pieces by state."""
        with self._guard() as connection:
            found = dict(connection.execute("SELECT state, count(*) FROM pieces GROUP BY state"))
            if others := found.keys() - set(STATES):
                raise ValueError(f"a piece is in the state {next(iter(others))!r}")
            return Counter(found)

    def count_rejections(self) -> Counter[str]:
        """Count rejections by gate."""
        with self._guard() as connection:
            found = connection.execute(
                "SELECT substr(reason, 1, instr(reason, ':') - 1), count(*) FROM rejections GROUP BY 1"
            )
            return Counter({str(gate): count for gate, count in found})

    def read_rows(self, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Yield these columns of all pieces, with the `job` of their cells. Rows are read one by one."""
        listed = ", ".join(f'"{name}"' for name in columns)
        with self._guard() as connection:
            yield from connection.execute(f"SELECT {listed} FROM pieces JOIN cells USING (cell) ORDER BY pieces.number")  # noqa: S608

    def read_pieces(self, state: str, columns: str = "*", order: str = "number") -> Iterator[dict[str, Any]]:
        """Yield the rows of one state, with these columns and in this order (both SQL). Rows are read one by one."""
        with self._guard() as connection:
            cursor = connection.execute(
                f"SELECT {columns} FROM pieces WHERE state = ? ORDER BY {order}",  # noqa: S608  (no text of a user)
                (state,),
            )
            names = [column[0] for column in cursor.description]
            for row in cursor:
                yield check_row(dict(zip(names, row, strict=True)), written=state in ("done", "dropping"))


def _make_rows(cells: Sequence[Cell], start: int, first: int, shard: Shard) -> Iterator[tuple[Any, ...]]:
    for at, (cell, found) in enumerate(
        groupby(iterate_pieces(cells, first), key=lambda piece: id(piece[2])), start=start
    ):
        del cell
        for number, index, own in found:
            if shard.has(number):
                seed = own.asked["request"].get("seed", 0)
                yield number, at, own.model, own.model_hash, seed, index, own.names.make_stem(number, index)


def _list_values(row: PieceRecord) -> tuple[Any, ...]:
    metrics = row.metrics or {}
    rank, distance = metrics.get("rank", (None, None))
    files = None if row.files is None else json.dumps({suffix: list(of) for suffix, of in row.files.items()})
    size = None if row.files is None else sum(size for _, size in row.files.values())
    kept = json.dumps(metrics) if metrics else None
    state = (row.state, row.attempt, row.asked or None, files, size, kept, rank, distance)
    return (*state, row.reason, row.seconds, row.made_at, row.run, row.number)


def _make_comparable(cell: Cell) -> dict[str, Any]:
    """Return the values of a cell that may not change while a batch goes on. The model may move: its hash is known."""
    return {**json.loads(json.dumps(cell.to_json())), "model_path": ""}


@contextmanager
def open_catalogue(path: Path, *, reading: bool = False) -> Iterator[Catalogue]:
    """Open a catalogue, and create it if need be. Raises CannotWrite, and UnreadableFile for a file that is none."""
    with closing(connect(path, _TABLES, reading=reading)) as connection:
        catalogue = Catalogue(path, connection)
        with catalogue._guard():
            begun = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'about'").fetchone()
            found = begun and connection.execute("SELECT value FROM about WHERE key = 'format'").fetchone()
        if begun and (not found or found[0] != str(FORMAT)):
            raise UnreadableFile(f"{printable(str(path))}: was made by another version of composer.")
        yield catalogue
