"""The file of the journal: lines of JSON, added by any number of processes, and read back."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from composer.errors import CannotWrite, printable
from composer.storage.inside import expand_home

BEGINNING = b'{"event": '
"""How each line begins, and so a journal."""


def add_line(name: str, event: str, values: Mapping[str, Any]) -> None:
    """Add a line of JSON at the end of the journal, which is made if need be. Raises CannotWrite."""
    path = expand_home(name)
    line = {"event": event, "at": datetime.now(UTC).isoformat(timespec="milliseconds"), **values}
    data = json.dumps(line, ensure_ascii=False, default=str).encode("utf-8", errors="replace") + b"\n"
    try:
        _append(path, data)
    except OSError as error:
        why = error.strerror or str(error)
        raise CannotWrite(f"{printable(str(path))}: the journal cannot be written ({why}).") from error


def _append(path: Path, data: bytes) -> None:
    """Append to a file in one write, which the system does not divide. A line that was cut short before it is ended.

    Raises OSError, also for a file that is no journal.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = os.open(path, flags, 0o644)  # without waiting for the reader of a pipe
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise OSError("it is no file")
        if found.st_size:
            if os.read(file, len(BEGINNING)) != BEGINNING:
                raise OSError("it holds something else")
            os.lseek(file, -1, os.SEEK_END)
            data = data if os.read(file, 1) == b"\n" else b"\n" + data
        if os.write(file, data) != len(data):
            raise OSError("the disk is full")
    finally:
        os.close(file)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a journal, without those that are damaged."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            try:
                line = json.loads(text)
            except (ValueError, RecursionError):
                continue
            if isinstance(line, dict) and isinstance(line.get("event"), str):
                yield line
