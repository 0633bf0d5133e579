"""The columns of a Humdrum file, which begin, split, join, swap and end from row to row, and its sections.

A column at its start is a spine. Columns that split off belong to the same spine, as further voices. Sections are
played in the order of a list of labels, or by repeat signs and words (`D.C. al Fine`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple, TypeAlias

from composer_notation.musicxml.signs import Marks, add_words
from composer_notation.sections import find_starts
from composer_notation.unfolding import MOST_MEASURES, SignMissing, Signs, Unplayable, find_order

# --- columns ----------------------------------------------------------------------------------------------------------


Time: TypeAlias = int | Fraction
"""A time or a length in parts of a quarter note (see `composer_notation.kern.tokens.GRID`)."""

MOST_COLUMNS = 1_000
MOST_SPINES = 2_000
MANIPULATORS = frozenset(("*^", "*v", "*x", "*+", "*-"))
"""Tokens that split, join, swap, add and end columns."""

_LINES = re.compile(r"\r\n|\r|\n")


class Malformed(ValueError):
    """A table that cannot be followed; the text is the reason, in words that follow a file's name."""


@dataclass(eq=False)
class Spine:
    """A column at its start, with all that split off it."""

    position: tuple[int, ...]  # sorts the spines of a piece from the left


@dataclass(eq=False)
class Path:
    """A column from a split or join to the next. `ends`: where its latest note ends; several after a join."""

    spine: Spine
    kind: str = ""  # `kern` for **kern
    voice: int = 1  # counts the columns of its spine from the left
    ends: tuple[Time, ...] = (0,)
    is_alternative: bool = False  # another reading of the column beside it


class Row(NamedTuple):
    """A line of the table and its columns; a line about the whole has one token and no column."""

    number: int
    tokens: Sequence[str]
    paths: Sequence[Path]


def split_pieces(text: str) -> list[list[tuple[int, str]]]:
    """Split a file into its pieces: lines with their numbers. A piece ends with all its columns."""
    found: list[list[tuple[int, str]]] = [[]]
    is_begun = False
    closing = 0  # number of lines of the piece up to its end
    for number, line in enumerate(_LINES.split(text), 1):
        if line.startswith("**"):
            if closing:  # the remarks since then are about the piece that begins
                found[-1:] = [found[-1][:closing], found[-1][closing:]]
                closing = 0
            is_begun = True
        if line and not line.isspace():
            found[-1].append((number, line))
        if is_begun and line.startswith("*-") and set(line.split()) == {"*-"}:
            closing = len(found[-1])
    return found


def read_rows(lines: Sequence[tuple[int, str]]) -> Iterator[Row]:
    """Follow the columns through the lines of one piece. Raises Malformed."""
    table = _Table()
    for index, (number, line) in enumerate(lines):
        if line.startswith("!!"):
            yield Row(number, (line,), ())
        elif not table.paths:
            if not line.startswith("**"):
                table.check_idle(number, line)
                continue
            tokens = line.split()  # no kind of column has a space in its name
            table.begin(len(tokens), number)
            yield table.make_row(number, tokens)
        else:
            row = table.make_row(number, table.split_cells(number, line))
            if row.tokens:
                yield row
                table.follow(row, lines, index)


@dataclass
class _Table:
    """The columns of the current line."""

    paths: list[Path] = field(default_factory=list)
    spines: list[Spine] = field(default_factory=list)

    def begin(self, count: int, number: int) -> None:
        """Begin a number of columns."""
        self._check(count, number)
        self.spines = [Spine((index,)) for index in range(count)]
        self.paths = [Path(spine) for spine in self.spines]

    def check_idle(self, number: int, line: str) -> None:
        """Raise Malformed for a line before the first column; a line after the last column is ignored."""
        if not self.spines and not line.startswith("!"):
            raise Malformed(f"is not Humdrum kern; line {number} stands before any column that begins with '**kern'")

    def split_cells(self, number: int, line: str) -> list[str]:
        """Split a line into the tokens of its columns; [] for a comment that fits no columns. Raises Malformed."""
        tokens = line.split("\t")
        if len(tokens) != len(self.paths):  # some separate columns by several tabs, or end a line with one
            tokens = [token for token in tokens if token]
        if len(tokens) == len(self.paths):
            return tokens
        if line.startswith("!"):
            return []
        found, expected = len(tokens), len(self.paths)
        amount = "few" if found < expected else "many"
        raise Malformed(f"has too {amount} columns in line {number} ({found} for {expected}); tabs separate them")

    def make_row(self, number: int, tokens: Sequence[str]) -> Row:
        """Put tokens in the columns; a row of `**` sets their kinds."""
        if tokens[0].startswith("*") and any(token.startswith("**") for token in tokens):
            for path, token in zip(self.paths, tokens, strict=True):
                path.kind = token[2:] if token.startswith("**") else path.kind
        return Row(number, tokens, self.paths)

    def follow(self, row: Row, lines: Sequence[tuple[int, str]], index: int) -> None:
        """Split, join, swap, add and end the columns as the row says. Raises Malformed."""
        if not row.tokens[0].startswith("*") or MANIPULATORS.isdisjoint(row.tokens):
            return
        self.paths = self._move_columns(row, _group_joins(row, lines, index) if "*v" in row.tokens else [])
        self._check(len(self.paths), row.number)
        if len(self.spines) > MOST_SPINES:
            raise Malformed(f"has more than {MOST_SPINES:,} columns that begin by line {row.number}")
        voices: dict[Spine, int] = {}
        for path in self.paths:
            path.voice = voices[path.spine] = voices.get(path.spine, 0) + 1

    def _move_columns(self, row: Row, joins: Sequence[Sequence[int]]) -> list[Path]:
        group_at = {group[0]: group for group in joins if len(group) > 1}
        found: list[Path] = []
        at = 0
        while at < len(row.tokens):
            path, text, step = row.paths[at], row.tokens[at], 1
            if at in group_at:
                step = len(group_at[at])
                found.append(_join_columns([row.paths[i] for i in group_at[at]]))
            elif text == "*x" and row.tokens[at + 1 : at + 2] == ["*x"]:
                step = 2
                found += [row.paths[at + 1], path]
            elif text == "*^":
                found += [path, replace(path, ends=())]
            elif text == "*+":
                self.spines.append(Spine((*path.spine.position, len(self.spines))))
                found += [path, Path(self.spines[-1], ends=())]
            elif text != "*-":
                found.append(path)
            at += step
        return found

    def _check(self, count: int, number: int) -> None:
        if count > MOST_COLUMNS:
            raise Malformed(f"has more than {MOST_COLUMNS:,} columns in line {number}")


def _group_joins(row: Row, lines: Sequence[tuple[int, str]], index: int) -> list[list[int]]:
    """Group the indices of `*v` tokens: each group becomes one column.

    Neighbours are joined. For neighbours in several spines, some files mean a join for each spine: the width of the
    next line decides.
    """
    runs = groupby(range(len(row.tokens)), key=lambda at: row.tokens[at] == "*v")
    joins = [list(run) for is_join, run in runs if is_join]
    by_spine = [group for whole in joins for group in _split_by_spine(whole, row.paths)]
    if len(by_spine) == len(joins) or any(len(group) < 2 for group in by_spine):
        return joins
    return joins if _count_columns(row, joins) == _count_next_columns(lines, index) else by_spine


def _split_by_spine(group: Sequence[int], paths: Sequence[Path]) -> list[list[int]]:
    return [list(run) for _, run in groupby(group, key=lambda at: paths[at].spine)]


def _count_columns(row: Row, joins: Sequence[Sequence[int]]) -> int:
    """Count the columns after a row with these joins."""
    counts = Counter(row.tokens)
    return len(row.tokens) + counts["*^"] + counts["*+"] - counts["*-"] - sum(len(group) - 1 for group in joins)


def _count_next_columns(lines: Sequence[tuple[int, str]], index: int) -> int:
    """Count the columns of the next line in columns; 0 at the end."""
    for number in range(index + 1, len(lines)):
        line = lines[number][1]
        if not line.startswith("!!"):
            return line.count("\t") + 1
    return 0


def _join_columns(paths: Sequence[Path]) -> Path:
    ends = tuple(dict.fromkeys(end for path in paths for end in path.ends))
    return replace(paths[0], ends=ends, is_alternative=all(path.is_alternative for path in paths))


# --- the playing order of sections ------------------------------------------------------------------------------------


_JUMPS = ("jump", "to_coda", "fine", "coda")
_SEGNO = re.compile(r"^segno\b|^\U0001d10b$")
_AT_THE_END = frozenset(("jump", "to_coda", "fine"))
_ENDING = re.compile(r"^(\d)(?:st|nd|rd|th) ending\b")


@dataclass
class SectionPlan:
    """The order of sections that a file states."""

    lists: dict[str, list[str]] = field(default_factory=dict)  # labels in playing order, by the name of the version
    is_through: bool = False  # everything is written as it is played

    def add(self, text: str) -> str:
        """Add `*>A` or `*>[A,A,B]`; return the label, or "" for a list."""
        name, bracket, rest = text[2:].partition("[")
        if not bracket or not rest.endswith("]"):
            return text[2:]
        self.lists.setdefault(name, [label.strip() for label in rest[:-1].split(",")])
        return ""


@dataclass(frozen=True)
class MarkedMeasure:
    """A measure in the plan: its labels, the signs around it, and whether a double bar line follows."""

    labels: tuple[str, ...]
    signs: Signs
    is_last: bool = False


@lru_cache(maxsize=1024)
def parse_words(text: str) -> Mapping[str, bool | str]:
    """Parse words such as `D.C. al Fine`, `Fine`, `To Coda` as fields of Signs; none for other words."""
    signs = add_words(Marks(), text).signs
    found = {name: value for name in _JUMPS if (value := getattr(signs, name))}
    return found or ({"segno": "1"} if _SEGNO.match(text.lower()) else {})


def is_at_end(sign: str) -> bool:
    """Tell whether a sign, a field of Signs, holds after its measure."""
    return sign in _AT_THE_END


def order_sections(measures: Sequence[MarkedMeasure], plan: SectionPlan) -> tuple[list[int], str]:
    """Find the playing order, and describe which part of the plan failed, or "".

    A list of labels has precedence over repeat signs, which repeat it for readers. Raises Unplayable.
    """
    if plan.is_through:
        return list(range(len(measures))), ""
    version = next((name for name in ("", *plan.lists) if name in plan.lists and name != "norep"), None)
    if version is None:
        return _order_by_signs(measures)
    expanded = _expand_labels(measures, plan.lists[version])
    if expanded is not None:
        return expanded, ""
    order, fault = _order_by_signs(measures)
    return order, fault or "its list of sections names some that are missing; its repeat signs were followed instead"


def find_section_starts(measures: Sequence[MarkedMeasure]) -> list[int]:
    """Find the measures that begin a section: those with labels that are no endings, and those after its signs."""
    signs = _add_endings(measures)
    marked = enumerate(zip(measures, signs, strict=True))
    labelled = {index for index, (measure, sign) in marked if measure.labels and not sign.endings}
    return sorted(labelled.union(find_starts(signs, [measure.is_last for measure in measures])))


def _expand_labels(measures: Sequence[MarkedMeasure], labels: Sequence[str]) -> list[int] | None:
    """List the measures of sections by label, after those before the first label; None if a label is missing."""
    ranges = _find_sections(measures, frozenset(labels))
    if not set(labels) <= set(ranges):
        return None
    first = min((section.start for section in ranges.values()), default=len(measures))
    order = list(range(first))
    for label in labels:
        order += ranges[label]
        if len(order) > MOST_MEASURES:
            raise Unplayable(f"has a list of sections that makes it longer than {MOST_MEASURES:,} measures")
    return order


def _find_sections(measures: Sequence[MarkedMeasure], named: frozenset[str]) -> dict[str, range]:
    """Find the range of each section, up to the next label; labels such as `Form>Coda` count where named."""
    starts: list[tuple[int, str]] = []
    for index, measure in enumerate(measures):
        labels = [label for label in measure.labels if label in named or ">" not in label]
        starts += [(index, label) for label in labels]
    found: dict[str, range] = {}
    until = len(measures)
    for number in range(len(starts) - 1, -1, -1):
        index, label = starts[number]
        if number + 1 < len(starts) and starts[number + 1][0] > index:
            until = starts[number + 1][0]
        found[label] = range(index, until)
    return found


def _order_by_signs(measures: Sequence[MarkedMeasure]) -> tuple[list[int], str]:
    signs = _add_endings(measures)
    try:
        return find_order(signs), ""
    except SignMissing as error:
        still = [replace(sign, jump="", to_coda="") for sign in signs]
        return find_order(still), f"it {error}; the jump was not made"


def _add_endings(measures: Sequence[MarkedMeasure]) -> list[Signs]:
    """Add labels such as `1st ending`, or `A1` after `A`, to the signs as endings."""
    known = {label for measure in measures for label in measure.labels}
    found: list[Signs] = []
    endings: tuple[int, ...] = ()
    for measure in measures:
        if measure.labels:
            number = next((n for label in measure.labels if (n := _find_ending(label, known))), 0)
            endings = (number,) if number else ()
        found.append(replace(measure.signs, endings=endings, begins_ending=bool(measure.labels and endings)))
    return found


def _find_ending(label: str, known: set[str]) -> int:
    """Return the number of the ending that a label names, 0 for none."""
    if found := _ENDING.match(label.lower()):
        return int(found[1])
    is_numbered = len(label) > 1 and label[-1] in "123456789" and label[:-1] in known
    return int(label[-1]) if is_numbered else 0
