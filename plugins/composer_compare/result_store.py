"""The results of a comparison on disk, a line of JSON each.

A line is written when its run has ended, with a digest of its content. A line is skipped if a killed process left it
unfinished, if it was changed later, or if its result is not possible for the run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from composer.errors import CannotWrite, printable
from composer.storage.inside import append_lines, join_inside, open_inside
from composer_compare.soundness import is_sound

NAME = "results.jsonl"

LARGEST = 200_000_000
"""Bytes read at most; the line of a run has some thousand."""

ResultsByRun = Mapping[str, Mapping[str, Any]]
"""The result of each run, by its identity."""


@dataclass(frozen=True)
class ResultStore:
    """The file of results in a folder."""

    folder: Path

    def read(self) -> dict[str, Mapping[str, Any]]:
        """Read all results by run identity; the last of several counts, and damaged lines are skipped."""
        found: dict[str, Mapping[str, Any]] = {}
        for line in self._read_lines():
            try:
                row = json.loads(line)
                if row.pop("digest") == _compute_digest(row) and _is_known(row):
                    found[row["id"]] = row["result"]
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue  # damaged, such as by a power cut
        return found

    def add(self, identity: str, run: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Append one result; it is on disk when this returns. Raises CannotWrite."""
        row = json.loads(json.dumps({"id": identity, "run": run, "result": result}))  # as it will be read
        line = json.dumps({**row, "digest": _compute_digest(row)}) + "\n"
        path = join_inside(self.folder, NAME)
        try:
            append_lines(path, line)
        except OSError as error:
            raise CannotWrite(f"{printable(str(path))}: cannot be written ({error.strerror}).") from error

    def _read_lines(self) -> list[str]:
        path = join_inside(self.folder, NAME)
        try:
            with open_inside(path, "read") as file:
                return file.read(LARGEST).decode("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CannotWrite(f"{printable(str(path))}: cannot be read ({error.strerror}).") from error


def compute_identity(run: Mapping[str, Any]) -> str:
    """Compute a hash of the values that differ from the defaults, the same for equal runs alone."""
    return hashlib.blake2b(json.dumps(run, sort_keys=True).encode(), digest_size=8).hexdigest()


def _is_known(row: Mapping[str, Any]) -> bool:
    """Tell whether a line has the identity of its run, and a possible result of it."""
    return row["id"] == compute_identity(row["run"]) and is_sound(row["run"], row["result"])


def _compute_digest(row: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(row, sort_keys=True).encode(), digest_size=16).hexdigest()
