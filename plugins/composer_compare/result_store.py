"""The results of a comparison on disk, a line of JSON each.

A line is written when its run has ended, with a digest of what it says. What a killed process left of a line is not
read, and cut off before the next; nor is one that a disk or a hand has changed, or that says what no run comes to.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from composer.errors import CannotWrite, printable
from composer.storage.inside import inside, open_inside
from composer_compare.soundness import is_sound

NAME = "results.jsonl"

LARGEST = 200_000_000
"""Bytes that are read; a run's line has some thousand."""

Results = Mapping[str, Mapping[str, Any]]
"""What came of each run, by its identity."""


@dataclass(frozen=True)
class Ledger:
    """A file of results in a folder."""

    folder: Path

    def read(self) -> dict[str, Mapping[str, Any]]:
        """All results, by the identity of their runs; the last of several counts, and a damaged one is made again."""
        found: dict[str, Mapping[str, Any]] = {}
        for line in self._lines():
            try:
                row = json.loads(line)
                if row.pop("digest") == _digest(row) and _is_known(row):
                    found[row["id"]] = row["result"]
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue  # torn by a power cut
        return found

    def add(self, identity: str, run: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Write one result, for good when this returns. Raises CannotWrite."""
        row = json.loads(json.dumps({"id": identity, "run": run, "result": result}))  # as it is when it is read
        line = json.dumps({**row, "digest": _digest(row)}) + "\n"
        path = inside(self.folder, NAME)
        try:
            with open_inside(path, "append") as file:
                end = file.seek(0, os.SEEK_END)
                if end and (file.seek(end - 1), file.read(1))[1] != b"\n":
                    line = "\n" + line
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise CannotWrite(f"{printable(str(path))}: cannot be written ({error.strerror}).") from error

    def _lines(self) -> list[str]:
        path = inside(self.folder, NAME)
        try:
            with open_inside(path, "read") as file:
                return file.read(LARGEST).decode("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CannotWrite(f"{printable(str(path))}: cannot be read ({error.strerror}).") from error


def identity_of(run: Mapping[str, Any]) -> str:
    """Tell a run by what is not as usual of it: the same for equal runs alone."""
    return hashlib.blake2b(json.dumps(run, sort_keys=True).encode(), digest_size=8).hexdigest()


def _is_known(row: Mapping[str, Any]) -> bool:
    """Whether a line is of the run whose identity it has, and says what such a run comes to."""
    return row["id"] == identity_of(row["run"]) and is_sound(row["run"], row["result"])


def _digest(row: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(row, sort_keys=True).encode(), digest_size=16).hexdigest()
