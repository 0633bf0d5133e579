"""Faults that readers find in music files.

A check finds what other programs would object to in a few files. The remarks of a dataset are the warnings of readers
over all its files, added up by kind.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from composer.errors import ComposerError, LeftOutWarning, ReadingWarning, RoundingWarning, UnreadableFile, printable
from composer.io import formats, outputs
from composer.plugins.registry import registry
from composer.types import Finding, Reader, SupportsLint

# --- checks of files --------------------------------------------------------------------------------------------------


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
            inside = [path / name for name in outputs.find_music(path)]
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


# --- remarks of a dataset ---------------------------------------------------------------------------------------------


SHOWN = 8
"""Kinds that a report names; the others are only counted."""

MOST_KINDS = 1_000
"""Kinds that are told apart: a foreign reader may word each warning differently."""

_TIMES = re.compile(r" \([\d,]+ times\)")
_NUMBER = re.compile(r"\d[\d,.]*(?<=\d)")


@dataclass
class Remarks:
    """Kinds of omissions, with their number and files, and kinds of repairs, with their files.

    Kinds of repairs are told apart by their words, without the file's name and without numbers.
    """

    left_out: Counter[str] = field(default_factory=Counter)
    left_out_files: Counter[str] = field(default_factory=Counter)
    mended: Counter[str] = field(default_factory=Counter)
    mended_files: int = 0

    def note(self, said: Iterable[Warning | str]) -> None:
        """Add the warnings of one file. Rounded notes are no fault, and do not count."""
        left_out: Counter[str] = Counter()
        remarks = set()
        for warning in said:
            if isinstance(warning, LeftOutWarning):
                left_out.update(warning.counts)
            elif isinstance(warning, ReadingWarning) and not isinstance(warning, RoundingWarning):
                remarks.add(find_kind(str(warning)))
        if left_out or remarks:
            self.add(Remarks(left_out, Counter(left_out.keys()), Counter(remarks), int(bool(remarks))))

    def add(self, others: Remarks) -> None:
        """Add the remarks of other files."""
        for name in ("left_out", "left_out_files", "mended"):
            own: Counter[str] = getattr(self, name)
            for kind, times in getattr(others, name).items():
                own[kind if kind in own or len(own) < MOST_KINDS else "other things"] += times
        self.mended_files += others.mended_files

    def to_plain(self) -> dict[str, Any]:
        """Convert to plain values, the most frequent first."""
        left_out = {kind: [times, self.left_out_files[kind]] for kind, times in self.left_out.most_common()}
        return {"mended": self.mended_files, "left_out": left_out, "remarks": dict(self.mended.most_common())}


def find_kind(text: str) -> str:
    """Reduce a remark to its kind: without the file's name, and with `N` for each number."""
    _, colon, rest = text.partition(": ")
    words = _TIMES.sub("", rest if colon else text).rstrip(".")
    return _NUMBER.sub("N", words)


def format_lines(plain: Mapping[str, Any]) -> Iterator[str]:
    """Yield a report of one or two lines, from the values of `Remarks.to_plain`."""
    left_out = [f"{kind} ({times:,} in {_count_files(files)})" for kind, (times, files) in plain["left_out"].items()]
    remarks = [f"{kind} ({_count_files(files)})" for kind, files in plain["remarks"].items()]
    for what, kinds in (("left out", left_out), ("mended", remarks)):
        if kinds:
            more = [f"and {len(kinds) - SHOWN:,} more kinds"] if len(kinds) > SHOWN else []
            yield f"{what}: {'; '.join(kinds[:SHOWN] + more)}."


def _count_files(count: int) -> str:
    return f"{count:,} file{'s' * (count != 1)}"
