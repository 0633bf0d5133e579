"""The schemas of a batch: of a file of jobs, and of a catalogue, which may come from anybody.

The JSON schema of a file of jobs is made from the signatures of jobs, gates and all samplers. A catalogue is an SQLite
file with our tables and nothing else, or it is refused. Other schemas (triggers, views, virtual tables), journals that
name other files, and pages that form circles are found before a row is read. Each row is checked.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
import typing
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

from composer.errors import CannotWrite, UnreadableFile, printable
from composer.generation.finishing import is_flag_switch, list_flagged
from composer.plugins.options import Option, list_choices, list_members, read_options, takes_several
from composer.storage.inside import join_inside, open_inside
from composer_batch.cell import SUFFIX
from composer_batch.filters import Gates
from composer_batch.jobfile import DEFAULTS, JOB, LONGEST
from composer_batch.jobs import (
    GRID,
    LARGEST,
    MOST_ATTEMPTS,
    MOST_PIECE_BARS,
    MOST_PIECES,
    PRESET,
    Job,
    list_sampler_keys,
    list_transform_keys,
)

# --- a file of jobs ---------------------------------------------------------------------------------------------------


DIALECT = "https://json-schema.org/draft/2020-12/schema"

_NAMES = {int: "integer", float: "number", bool: "boolean", str: "string", Path: "string"}

_BOUNDS: dict[str, dict[str, Any]] = {
    "count": {"minimum": 1, "maximum": MOST_PIECES},
    "attempts": {"minimum": 1, "maximum": MOST_ATTEMPTS},
    "bars": {"minimum": 1, "maximum": MOST_PIECE_BARS},
    "seed": {"minimum": 0},
    "index": {"minimum": 0},
    "tempo": {"minimum": 5, "maximum": 1000},
    "edition": {"enum": [1, 2]},
    "beams": {"minimum": 1, "maximum": 1024},
}


def build_schema() -> dict[str, Any]:
    """Build the schema of a whole TOML file. `properties.job.items` is the schema of one JSON line."""
    job = {"type": "object", "additionalProperties": False, "properties": _list_properties()}
    return {
        "$schema": DIALECT,
        "title": "Jobs of composer batch",
        "type": "object",
        "additionalProperties": False,
        "required": [JOB],
        "properties": {
            JOB: {"type": "array", "minItems": 1, "items": job},
            DEFAULTS: {**job, "description": "defaults for all jobs"},
        },
    }


def _list_properties() -> dict[str, Any]:
    found = {option.name: _describe_option(option, grid=option.name in GRID) for option in read_options(Job)}
    for key, (_, option) in list_sampler_keys().items():
        found[key] = _describe_option(option, grid=True)
    found |= {name: _describe_transform(name) for name in list_transform_keys()}
    gates = {option.name: _describe_option(option, grid=False) for option in read_options(Gates)}
    found[PRESET] = {"type": "string", "maxLength": LONGEST, "description": "a set of options, such as hymn"}
    found["gates"] = {"type": "object", "additionalProperties": False, "properties": gates}
    text: dict[str, Any] = {"type": "string", "maxLength": LONGEST}
    told = {"anyOf": [text, {"type": "array", "minItems": 1, "items": text}]}
    about = "conditions of the model, such as its style"
    found["conditions"] = {"type": "object", "additionalProperties": told, "description": about}
    found["export_options"] = {"type": "object", "additionalProperties": {"type": "object"}}
    return found


def _describe_transform(name: str) -> dict[str, Any]:
    """Describe the option of a transform: a switch, or what the transform takes first as text."""
    offer = list_flagged()[name]
    one = {"type": "boolean"} if is_flag_switch(offer) else {"type": ["string", "integer"], "maxLength": LONGEST}
    return {"anyOf": [one, {"type": "array", "minItems": 1, "items": one}], "description": offer.summary}


def _describe_option(option: Option, *, grid: bool) -> dict[str, Any]:
    one = {**_describe_type(option.type), **_BOUNDS.get(option.name, {})}
    shape: dict[str, Any] = {"anyOf": [one, {"type": "array", "minItems": 1, "items": one}]} if grid else one
    about: dict[str, Any] = {"description": option.help} if option.help else {}
    if not option.required and option.default is not None:
        about["default"] = list(option.default) if isinstance(option.default, tuple) else option.default
    return {**shape, **about}


def _describe_type(annotation: Any) -> dict[str, Any]:
    members = [member for member in list_members(annotation) if member is not type(None)]
    if len(members) > 1:
        return {"anyOf": list(map(_describe_type, members))}
    (one,) = members
    if takes_several(one):
        items = [kind for kind in typing.get_args(one) if kind is not ...] or [str]
        kinds = list({json.dumps(_describe_type(kind)): _describe_type(kind) for kind in items}.values())
        several = {"type": "array", "items": kinds[0] if len(kinds) == 1 else {"anyOf": kinds}}
        return {"anyOf": [several, {"type": "string", "maxLength": LONGEST}]}
    if words := list_choices(one):
        return {"enum": list(words)}
    kind = _NAMES.get(one)
    if kind == "string":
        return {"type": "string", "maxLength": LONGEST}
    return {"type": kind} if kind else {}


# --- rows of a catalogue ----------------------------------------------------------------------------------------------


_STEM = re.compile(r"\d{4,}/[^/\\\0-\x1f]{1,200}")

_PLAIN = ("asked", "files", "metrics")


def check_row(row: Mapping[str, Any], *, written: bool) -> dict[str, Any]:
    """Check the columns of a piece, and parse those in JSON. Raises ValueError for values that no run writes.

    A piece that is `written` has files.
    """
    values = {name: _parse_json(value) if name in _PLAIN else value for name, value in row.items()}
    for name, value in values.items():
        if (name in _CHECKS and not _CHECKS[name](value)) or (written and name == "files" and value is None):
            raise ValueError(f"a piece has an invalid '{name}'")
    return values


def read_pair(row: tuple[Any, ...]) -> tuple[str, str]:
    """Read a row of two texts, a name and its value. Raises ValueError for others."""
    name, value = row
    if not (isinstance(name, str) and isinstance(value, str)):
        raise ValueError("a value is not text")
    return name, value


def _parse_json(text: Any) -> Any:
    try:
        return json.loads(text) if text else None
    except (TypeError, RecursionError):
        raise ValueError("a piece has a value that is not JSON") from None


def _is_stem(value: Any) -> bool:
    """Tell whether a value is a path that stays in the folder of the batch."""
    return isinstance(value, str) and bool(_STEM.fullmatch(value)) and not value.endswith(("/.", "/.."))


def _are_files(value: Any) -> bool:
    return value is None or (
        isinstance(value, Mapping)
        and all(map(SUFFIX.fullmatch, value))
        and all(isinstance(of, list) and list(map(type, of)) == [str, int] for of in value.values())
    )


def _is_table(value: Any) -> bool:
    return value is None or isinstance(value, Mapping)


def _are_metrics(value: Any) -> bool:
    """Tell whether the metrics that are shown have the right types."""
    if value is None:
        return True
    figures = (value.get(name) for name in ("notes", "nats per note")) if isinstance(value, Mapping) else ("",)
    return all(map(_is_figure, figures)) and all(isinstance(rule, str) for rule in value.get("broken", []))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2 * LARGEST


def _is_figure(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and math.isfinite(value))


def _make_type_check(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: type(value) in kinds


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "stem": _is_stem,
    "files": _are_files,
    "asked": _is_table,
    "metrics": _are_metrics,
    **dict.fromkeys(("model", "model_hash", "reason"), _make_type_check(str)),
    **dict.fromkeys(("number", "seed", "index"), _is_count),
    **dict.fromkeys(("rank", "distance"), _is_figure),
    "run": _make_type_check(int, type(None)),
}


# --- a catalogue, opened safely ---------------------------------------------------------------------------------------


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
