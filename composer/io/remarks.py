"""Remarks: the warnings of readers over a dataset, added up by kind."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from composer.errors import LeftOutWarning, ReadingWarning, RoundingWarning

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
