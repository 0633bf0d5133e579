"""A cell: the pieces of a batch that differ in their index only. It comes from a plan or from a catalogue."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from composer.generation.tasks import Task, get_request, read_task, replace_request
from composer_batch.filters import Keep, make_gates
from composer_batch.jobs import LARGEST, MOST_ATTEMPTS, MOST_PIECE_BARS, MOST_PIECES, Names, make_names

MOST_PARTICLES = 256
"""Particles of a piece in sections."""

SUFFIX = re.compile(r"[\w-]{1,20}(?:\.[\w-]{1,20})*")
"""Suffixes of files, without the first dot."""


@dataclass(frozen=True)
class Cell:
    """Pieces that differ in their index only, requested as plain values: all that a worker needs."""

    job: int  # number of its table, from 1
    name: str
    model: str  # as it was typed
    model_path: str  # of a file; empty for a model that a plugin offers
    model_hash: str
    asked: Mapping[str, Any]  # of the piece with index 0
    first: int  # index
    count: int
    file: str
    fields: Mapping[str, Any]  # values for its pattern
    formats: tuple[str, ...]
    export_options: Mapping[str, Mapping[str, Any]]
    title: str | None
    gates: Mapping[str, Any]
    attempts: int
    keep: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values. They are not copied."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Cell:
        """Build a cell from the values of `to_json`.

        Raises ValueError, TypeError, KeyError or BadOption for values that no plan makes.
        """
        cell = Cell(**{**{f.name: values[f.name] for f in fields(Cell)}, "formats": tuple(values["formats"])})
        _check(cell)
        return cell

    def make_request(self, index: int) -> Task:
        """Build the request of the piece with this index."""
        asked = read_task(self.asked)
        return replace_request(asked, replace(get_request(asked), index=index))

    @property
    def batch_key(self) -> tuple[Any, ...]:
        """A key: pieces of cells with equal keys can be drawn in one batch."""
        request = self.asked["request"]
        where = tuple(str(request.get(name)) for name in ("samplers", "stepper", "precision", "device"))
        return (self.model, self.model_path, "form" in self.asked, *where)

    @property
    def length(self) -> int:
        """Bars of a piece, 0 if its model decides. Pieces of similar length are drawn side by side."""
        return int(self.asked["request"].get("bars") or 0)

    @cached_property
    def names(self) -> Names:
        """The file names of its pieces. Raises BadOption for an invalid pattern."""
        return make_names(self.file, self.fields)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_text, value))


def _make_range_check(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("name", "model", "model_path", "model_hash", "file"), _is_text),
    **dict.fromkeys(("title", "keep"), lambda value: value is None or _is_text(value)),
    **dict.fromkeys(("asked", "fields", "export_options", "gates"), _is_table),
    "job": _make_range_check(1, LARGEST),
    "first": _make_range_check(0, LARGEST),
    "count": _make_range_check(1, MOST_PIECES),
    "attempts": _make_range_check(1, MOST_ATTEMPTS),
    "formats": lambda value: (
        len(set(value)) == len(value) > 0 and all(isinstance(one, str) and SUFFIX.fullmatch(one) for one in value)
    ),
}


def _check(cell: Cell) -> None:
    """Raise ValueError, TypeError or BadOption for values that no plan makes: a catalogue may come from anybody."""
    for name, is_sound in _CHECKS.items():
        if not is_sound(getattr(cell, name)):
            raise ValueError(f"a job has an invalid '{name}'")
    if not all(map(_is_table, cell.export_options.values())):
        raise ValueError("a job has invalid 'export_options'")
    _ = cell.names
    make_gates(cell.gates)
    if cell.keep is not None:
        Keep.parse(cell.keep)
    asked = read_task(cell.asked)
    request = get_request(asked)
    if max(request.bars or 0, request.most_bars) > MOST_PIECE_BARS or getattr(asked, "particles", 0) > MOST_PARTICLES:
        raise ValueError("a job asks for more than a batch allows")
