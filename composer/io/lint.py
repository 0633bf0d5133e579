"""Checks of music files: faults that other programs would object to, found by their readers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from composer.errors import ComposerError, LeftOutWarning, ReadingWarning, RoundingWarning, UnreadableFile, printable
from composer.io import folders, formats
from composer.plugins.registry import registry
from composer.types import Finding, Reader, SupportsLint

SEVERITIES = ("error", "warning", "hint")
"""The gravest first."""


@dataclass(frozen=True)
class Checked:
    """A file and its findings."""

    path: Path
    findings: tuple[Finding, ...] = ()

    def count(self, severity: str) -> int:
        """Count the findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)


def check(path: Path) -> Checked:
    """Find the faults of a file; never raises for its content.

    Without a linting reader, an unreadable file is an error, a repair a warning, and an omission a hint. Raises
    UnreadableFile for a suffix that no plugin reads.
    """
    reader = formats.make_reader(path)
    try:
        if isinstance(reader, SupportsLint):
            return Checked(path, tuple(formats.call_reader(reader.lint, path)))
        return Checked(path, tuple(_find_by_reading(reader, path)))
    except ComposerError as error:
        return Checked(path, (_make_finding(path, error),))


def _find_by_reading(reader: Reader, path: Path) -> list[Finding]:
    """Collect the warnings and errors of each piece in a file."""
    found: list[Finding] = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ReadingWarning)
        for _, piece in formats.read_pieces(reader, path):
            found += [_make_finding(path, w.message) for w in said if isinstance(w.message, ReadingWarning)]
            found += [_make_finding(path, piece)] if isinstance(piece, Exception) else []
            said.clear()
    return found


def _make_finding(path: Path, remark: Exception) -> Finding:
    text = _remove_name(path, str(remark))
    if not isinstance(remark, ReadingWarning):
        return Finding("error", "unreadable", text)
    if isinstance(remark, LeftOutWarning):
        return Finding("hint", "left-out", text)
    if isinstance(remark, RoundingWarning):
        return Finding("hint", "rounded", text)
    return Finding("warning", "mended", text)


def list_music(paths: Sequence[Path]) -> list[Path]:
    """List these files, and all readable files in these folders, sorted; hidden ones are left out.

    Raises UnreadableFile for a missing or unsupported file, and for a folder without music.
    """
    found: list[Path] = []
    for path in paths:
        shown = printable(str(path))
        if path.is_dir():
            inside = [path / name for name in folders.find_music(path)]
            if not inside:
                known = ", ".join(registry().list_names("readers"))
                raise UnreadableFile(f"{shown}: contains no music files; supported are {known}.")
            found += inside
            continue
        if not path.exists():
            raise UnreadableFile(f"{shown}: no such file.")
        formats.make_reader(path)
        found.append(path)
    return list(dict.fromkeys(found))


def _remove_name(path: Path, text: str) -> str:
    """Remove the file's name from a sentence; for a piece in a file the rest begins with `#` and its name."""
    rest = text.removeprefix(printable(str(path))).removeprefix(": ")
    return rest[:1].upper() + rest[1:]
