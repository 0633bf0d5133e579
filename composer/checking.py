"""Checks of music files: what other programs would object to in them, as their readers say; it knows no format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from composer import files, folders
from composer.errors import ComposerError, LeftOutWarning, ReadingWarning, RoundingWarning, UnreadableFile, printable
from composer.plugins import registry
from composer.types import Finding, Inspecting

SEVERITIES = ("error", "warning", "hint")
"""The gravest first."""


@dataclass(frozen=True)
class Checked:
    """A file, and what was found in it."""

    path: Path
    findings: tuple[Finding, ...] = ()

    def count(self, severity: str) -> int:
        """How many findings there are of a severity."""
        return sum(finding.severity == severity for finding in self.findings)


def check(path: Path) -> Checked:
    """What is wrong with a file; never raises for what is in it.

    Where its reader cannot look for faults, that it cannot be read is an error, what was mended to read it a warning,
    and what was left out a hint. Raises UnreadableFile for a suffix that no plugin reads.
    """
    reader = files.reader(path)
    try:
        if isinstance(reader, Inspecting):
            return Checked(path, tuple(files.ask(reader.inspect, path)))
        _, remarks = files.read_with_warnings(path)
    except ComposerError as error:
        return Checked(path, (Finding("error", "unreadable", _without_name(path, str(error))),))
    return Checked(path, tuple(_finding(path, remark) for remark in remarks))


def _finding(path: Path, remark: ReadingWarning) -> Finding:
    text = _without_name(path, str(remark))
    if isinstance(remark, LeftOutWarning):
        return Finding("hint", "left-out", text)
    if isinstance(remark, RoundingWarning):
        return Finding("hint", "rounded", text)
    return Finding("warning", "mended", text)


def music_files(paths: Sequence[Path]) -> list[Path]:
    """These files, and those of any readable form in these folders, sorted; hidden ones are left out.

    Raises UnreadableFile for a path that is not there or of another form, and for a folder without music.
    """
    found: list[Path] = []
    for path in paths:
        shown = printable(str(path))
        if path.is_dir():
            inside = [path / name for name in folders.music_files(path)]
            if not inside:
                known = ", ".join(registry().names("readers"))
                raise UnreadableFile(f"{shown}: there is no music file in it; files can be {known}.")
            found += inside
            continue
        if not path.exists():
            raise UnreadableFile(f"{shown}: there is no such file.")
        files.reader(path)
        found.append(path)
    return list(dict.fromkeys(found))


def _without_name(path: Path, text: str) -> str:
    """The sentence, which stands below the file's name."""
    rest = text.removeprefix(f"{printable(str(path))}: ")
    return rest[:1].upper() + rest[1:]
