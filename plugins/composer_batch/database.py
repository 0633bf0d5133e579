"""Opens a catalogue safely: an SQLite file with our tables and nothing else, or it is refused.

A batch may come from anybody. Other schemas (triggers, views, virtual tables), journals that name other files, and
pages that form circles are found before a row is read.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import lru_cache
from pathlib import Path

from composer.errors import CannotWrite, UnreadableFile, printable
from composer.storage.inside import join_inside, open_inside

WAIT = 60.0
"""Seconds to wait while another process uses the catalogue."""

LARGEST_VALUE = 2**27
"""Bytes of one value: a cell with a long primer."""

_MAGIC, _CLASSIC = b"SQLite format 3\0", b"\1\1"
_MANY_FILES = bytes.fromhex("d9d505f920a163d7")
"""The end of a journal of several databases, which names a file that SQLite would delete."""


def connect(path: Path, tables: str, *, reading: bool) -> sqlite3.Connection:
    """Open a catalogue with these tables. Create it if need be.

    Raises UnreadableFile for a file that is no catalogue, CannotWrite for one that cannot be opened.
    """
    shown = printable(str(path))
    for suffix in ("", "-journal", "-wal", "-shm"):
        join_inside(path.parent, path.name + suffix, error=UnreadableFile)
    if reading and not path.is_file():
        raise UnreadableFile(f"{shown}: no such file; a batch that was begun has one.")
    try:
        _check_file(path)
        # A reader may have to roll back the journal of a killed run.
        uri = f"{path.absolute().as_uri()}?mode={'rw' if reading else 'rwc'}"
        connection = sqlite3.connect(uri, timeout=WAIT, uri=True)
    except (OSError, sqlite3.Error) as error:
        raise CannotWrite(f"{shown}: cannot be opened ({getattr(error, 'strerror', None) or error}).") from error
    except ValueError as error:
        raise UnreadableFile(f"{shown}: is not the catalogue of a batch ({error}).") from None
    try:
        _check_content(connection, tables)
    except BaseException as error:
        connection.close()
        message = printable(str(error), 160)
        if isinstance(error, sqlite3.OperationalError):
            raise CannotWrite(
                f"{shown}: is in use ({message}); wait until the other run ends, and try again."
            ) from error
        if isinstance(error, sqlite3.Error | ValueError):  # messages about a damaged file may not be valid text
            raise UnreadableFile(f"{shown}: is not the catalogue of a batch ({message}).") from error
        raise
    return connection


def _check_file(path: Path) -> None:
    """Raise ValueError for a file that SQLite would not treat as one of ours."""
    if path.exists():
        with open_inside(path, "read") as file:
            head = file.read(100)
        if head and not (head.startswith(_MAGIC) and head[18:20] == _CLASSIC):
            raise ValueError("no header of SQLite")
    journal = path.with_name(f"{path.name}-journal")
    if journal.exists():
        with open_inside(journal, "read") as file:
            file.seek(max(journal.stat().st_size - len(_MANY_FILES), 0))
            if file.read() == _MANY_FILES:
                raise ValueError("its journal names other files")


def _check_content(connection: sqlite3.Connection, tables: str) -> None:
    """Raise sqlite3.Error or ValueError for a schema other than ours, and for damaged pages."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    for setting in ("trusted_schema = OFF", "cell_size_check = ON", "synchronous = FULL"):
        connection.execute(f"PRAGMA {setting}")
    found = _read_schema(connection)
    if found and found != _build_schema(tables):
        raise ValueError("its tables are not those of a batch")
    (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if result != "ok":
        raise ValueError("its pages are damaged")


def _read_schema(connection: sqlite3.Connection) -> frozenset[tuple[object, ...]]:
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master LIMIT 100")
    return frozenset((*about, sql if sql is None else " ".join(str(sql).split())) for *about, sql in rows)


@lru_cache(maxsize=1)
def _build_schema(tables: str) -> frozenset[tuple[object, ...]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(tables)
        return _read_schema(connection)
