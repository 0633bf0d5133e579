"""Checks rows of a catalogue: a batch may come from anybody."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from composer_batch.cell import SUFFIX
from composer_batch.jobs import LARGEST

_STEM = re.compile(r"\d{4,}/[^/\\\0-\x1f]{1,200}")


def check_row(row: Mapping[str, Any], *, written: bool) -> dict[str, Any]:
    """Check the columns of a piece, and parse those in JSON. Raises ValueError for values that no run writes.

    A piece that is `written` has files.
    """
    values = {name: _parse_json(value) if name in _PLAIN else value for name, value in row.items()}
    for name, value in values.items():
        if (name in _CHECKS and not _CHECKS[name](value)) or (written and name == "files" and value is None):
            raise ValueError(f"a piece has an invalid '{name}'")
    return values


def read_pair(row: tuple[Any, ...]) -> tuple[str, str]:
    """Read a row of two texts, a name and its value. Raises ValueError for others."""
    name, value = row
    if not (isinstance(name, str) and isinstance(value, str)):
        raise ValueError("a value is not text")
    return name, value


def _parse_json(text: Any) -> Any:
    try:
        return json.loads(text) if text else None
    except (TypeError, RecursionError):
        raise ValueError("a piece has a value that is not JSON") from None


def _is_stem(value: Any) -> bool:
    """Tell whether a value is a path that stays in the folder of the batch."""
    return isinstance(value, str) and bool(_STEM.fullmatch(value)) and not value.endswith(("/.", "/.."))


def _are_files(value: Any) -> bool:
    return value is None or (
        isinstance(value, Mapping)
        and all(map(SUFFIX.fullmatch, value))
        and all(isinstance(of, list) and list(map(type, of)) == [str, int] for of in value.values())
    )


def _is_table(value: Any) -> bool:
    return value is None or isinstance(value, Mapping)


def _are_metrics(value: Any) -> bool:
    """Tell whether the metrics that are shown have the right types."""
    if value is None:
        return True
    figures = (value.get(name) for name in ("notes", "nats per note")) if isinstance(value, Mapping) else ("",)
    return all(map(_is_figure, figures)) and all(isinstance(rule, str) for rule in value.get("broken", []))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2 * LARGEST


def _is_figure(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and math.isfinite(value))


def _make_type_check(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: type(value) in kinds


_PLAIN = ("asked", "files", "metrics")

_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "stem": _is_stem,
    "files": _are_files,
    "asked": _is_table,
    "metrics": _are_metrics,
    **dict.fromkeys(("model", "model_hash", "reason"), _make_type_check(str)),
    **dict.fromkeys(("number", "seed", "index"), _is_count),
    **dict.fromkeys(("rank", "distance"), _is_figure),
    "run": _make_type_check(int, type(None)),
}
