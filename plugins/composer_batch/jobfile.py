"""Files of jobs as plain tables, each value with its line: TOML, JSON Lines and CSV."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from composer.errors import BadJobs, ComposerError, printable, suggest
from composer.storage import toml
from composer.storage.opening import read_bytes

LARGEST = 2**23
"""Bytes of a file of jobs, at most."""

LONGEST = 10_000
"""Characters of one text in it, at most."""

MOST_TABLES = 10_000

MOST_VALUES = 10_000
"""Values of one list, at most."""

WIDEST = 64
"""Bits of a whole number."""

DEEPEST = 4
"""Levels of lists and tables within a job."""

JOB, DEFAULTS = "job", "defaults"


@dataclass(frozen=True)
class Table:
    """One job as it was written."""

    values: Mapping[str, Any]
    file: str  # printable path
    number: int  # among the jobs of the file, from 1
    line: int = 0  # its first line; 0: unknown
    lines: Mapping[str, int] = field(default_factory=dict)  # of its keys, where known

    def make_error(self, text: str | ComposerError, key: str = "") -> BadJobs:
        """Make an error about this table, or about one of its values, with file and line."""
        line = self.lines.get(key, self.line)
        return BadJobs(f"{self.file}, {f'line {line}' if line else f'job {self.number}'}: {text}")


def read(path: Path) -> list[Table]:
    """Read the jobs in a file, by its suffix. Raises BadJobs, with file and line, for an invalid one."""
    shown, suffix = printable(str(path)), path.suffix.lower()
    if suffix not in _READERS:
        raise BadJobs(f"{shown}: jobs must be in .toml, .jsonl or .csv files; {suggest(suffix, _READERS)}")
    try:
        text = read_bytes(path, LARGEST, BadJobs).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadJobs(f"{shown}: is not UTF-8 ({error.reason}).") from None
    tables: list[Table] = []
    for table in _READERS[suffix](text, shown):
        if len(tables) == MOST_TABLES:
            raise BadJobs(f"{shown}: contains more than {MOST_TABLES} jobs; divide it, or let lists make a grid.")
        for key, value in table.values.items():
            _check_size(table, key, value, 1)
        tables.append(table)
    if not tables:
        raise BadJobs(f"{shown}: contains no jobs; a job begins with [[job]].")
    return tables


def _check_size(table: Table, key: str, value: Any, depth: int) -> None:
    """Raise BadJobs for a value that is too long, nested too deeply, or not plain."""
    if isinstance(value, str) and len(value) > LONGEST:
        raise table.make_error(f"'{printable(key)}' has {len(value):,} characters; {LONGEST:,} are the most.", key)
    if isinstance(value, list | Mapping):
        if depth > DEEPEST or len(value) > MOST_VALUES:
            much = f"holds {len(value):,} values; {MOST_VALUES:,} are the most"
            raise table.make_error(f"'{printable(key)}' {'is nested too deeply' if depth > DEEPEST else much}.", key)
        for inner in value.values() if isinstance(value, Mapping) else value:
            _check_size(table, key, inner, depth + 1)
    elif isinstance(value, int) and value.bit_length() > WIDEST:
        raise table.make_error(
            f"'{printable(key)}' is a number of {value.bit_length():,} bits; {WIDEST} are the most.", key
        )
    elif value is not None and not isinstance(value, str | int | float | bool):
        raise table.make_error(f"'{printable(key)}' is {printable(str(value))}, which no option takes.", key)


# --- TOML -------------------------------------------------------------------------------------------------------------


def _read_toml(text: str, shown: str) -> Iterator[Table]:
    try:
        plain = toml.parse(text)
    except ValueError as error:
        raise BadJobs(f"{shown}: is not TOML ({printable(str(error), 160)}).") from None
    for key in plain:
        if key not in (JOB, DEFAULTS):
            raise BadJobs(f"{shown}: there is no '{printable(key)}' beside the jobs: {suggest(key, (JOB, DEFAULTS))}")
    jobs, defaults = plain.get(JOB, []), plain.get(DEFAULTS, {})
    if not isinstance(defaults, dict) or not isinstance(jobs, list) or not all(isinstance(job, dict) for job in jobs):
        raise BadJobs(f"{shown}: jobs are tables that begin with [[job]], and [defaults] is one table.")
    usual, places = _find_toml_lines(text)
    for number, job in enumerate(jobs):
        line, lines = places[number] if len(places) == len(jobs) else (0, {})
        yield Table({**defaults, **job}, shown, number + 1, line, {**usual, **lines})


_HEADER = re.compile(r"\s*\[(\[)?\s*([A-Za-z]+)\s*(?:\.\s*([\w-]+)\s*)?")
_KEY = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([\w-]+))\s*[.=]""")


def _find_toml_lines(text: str) -> tuple[dict[str, int], list[tuple[int, dict[str, int]]]]:
    """Find the lines of the keys of [defaults], and of each [[job]], since tomllib does not report them."""
    usual: dict[str, int] = {}
    found: list[tuple[int, dict[str, int]]] = []
    inside = usual
    for number, line in enumerate(text.split("\n"), start=1):
        if header := _HEADER.match(line):
            twice, name, inner = header.groups()
            if twice and name == JOB and not inner:
                found.append((number, {}))
            inside = found[-1][1] if name == JOB and found else usual
            if inner:
                inside.setdefault(inner, number)
                inside = {}
        elif key := _KEY.match(line):
            inside.setdefault(next(part for part in key.groups() if part is not None), number)
    return usual, found


# --- JSON Lines and CSV -----------------------------------------------------------------------------------------------


def _read_json_lines(text: str, shown: str) -> Iterator[Table]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            what = "it is nested too deeply" if isinstance(error, RecursionError) else printable(str(error), 160)
            raise BadJobs(f"{shown}, line {number}: invalid JSON ({what}).") from None
        if not isinstance(values, dict):
            raise BadJobs(f"{shown}, line {number}: not a JSON object.")
        yield Table(values, shown, number, number)


def _read_csv(text: str, shown: str) -> Iterator[Table]:
    """Read one job from each row: empty fields are left out, `gates.in_key` goes into a table, `[…]` is a list."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        if len(set(names)) < len(names) or not all(names):
            raise BadJobs(f"{shown}, line 1: every column needs a name of its own.")
        for row in reader:
            if len(row) > len(names):
                raise BadJobs(f"{shown}, line {reader.line_num}: has {len(row)} fields under {len(names)} names.")
            values: dict[str, Any] = {}
            for name, value in zip(names, row, strict=False):
                if value.strip():
                    outer, _, inner = name.partition(".")
                    target = values.setdefault(outer, {}) if inner else values
                    if not isinstance(target, dict):
                        raise BadJobs(f"{shown}, line 1: '{printable(outer)}' is a column and a table.")
                    target[inner or outer] = _parse_field(value.strip())
            if values:
                yield Table(values, shown, reader.line_num - 1, reader.line_num)
    except csv.Error as error:
        raise BadJobs(f"{shown}, line {reader.line_num}: invalid CSV ({error}).") from None


def _parse_field(text: str) -> Any:
    if not text.startswith("["):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


_READERS: Mapping[str, Callable[[str, str], Iterator[Table]]] = {
    ".toml": _read_toml,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".csv": _read_csv,
}
