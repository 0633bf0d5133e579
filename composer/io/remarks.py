"""What readers say of the files of a dataset, added up by kind; it knows no format."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from composer.errors import LeftOutWarning, ReadingWarning, RoundingWarning

SHOWN = 8
"""Kinds that a report names; of the others it gives the number."""

MOST_KINDS = 1_000
"""Kinds that are told apart: a stranger's reader may say something else of each file."""

_TIMES = re.compile(r" \([\d,]+ times\)")
_NUMBER = re.compile(r"\d[\d,.]*(?<=\d)")


@dataclass
class Remarks:
    """Kinds of what was left out, with how often and in how many files, and of what was mended, in how many files.

    What was mended is told apart by its words: the file's name, and its numbers, are left out of them.
    """

    left_out: Counter[str] = field(default_factory=Counter)
    left_out_files: Counter[str] = field(default_factory=Counter)
    mended: Counter[str] = field(default_factory=Counter)
    mended_files: int = 0

    def note(self, said: Iterable[Warning | str]) -> None:
        """Add what a reader said of one file. A note between ticks that was moved is no fault, and does not count."""
        left_out: Counter[str] = Counter()
        remarks = set()
        for warning in said:
            if isinstance(warning, LeftOutWarning):
                left_out.update(warning.counts)
            elif isinstance(warning, ReadingWarning) and not isinstance(warning, RoundingWarning):
                remarks.add(kind_of(str(warning)))
        if left_out or remarks:
            self.add(Remarks(left_out, Counter(left_out.keys()), Counter(remarks), int(bool(remarks))))

    def add(self, others: Remarks) -> None:
        """Add what was said of other files."""
        for name in ("left_out", "left_out_files", "mended"):
            own: Counter[str] = getattr(self, name)
            for kind, times in getattr(others, name).items():
                own[kind if kind in own or len(own) < MOST_KINDS else "other things"] += times
        self.mended_files += others.mended_files

    def plain(self) -> dict[str, Any]:
        """As plain values, the most frequent first."""
        left_out = {kind: [times, self.left_out_files[kind]] for kind, times in self.left_out.most_common()}
        return {"mended": self.mended_files, "left_out": left_out, "remarks": dict(self.mended.most_common())}


def kind_of(text: str) -> str:
    """What a remark on a file says, but for the file's name, and with `N` for each number."""
    _, colon, rest = text.partition(": ")
    words = _TIMES.sub("", rest if colon else text).rstrip(".")
    return _NUMBER.sub("N", words)


def lines(plain: Mapping[str, Any]) -> Iterator[str]:
    """A report in a line or two, of what `Remarks.plain` gave."""
    left_out = [f"{kind} ({times:,} in {_files(files)})" for kind, (times, files) in plain["left_out"].items()]
    remarks = [f"{kind} ({_files(files)})" for kind, files in plain["remarks"].items()]
    for what, kinds in (("left out", left_out), ("mended", remarks)):
        if kinds:
            more = [f"and {len(kinds) - SHOWN:,} more kinds"] if len(kinds) > SHOWN else []
            yield f"{what}: {'; '.join(kinds[:SHOWN] + more)}."


def _files(count: int) -> str:
    return f"{count:,} file{'s' * (count != 1)}"
