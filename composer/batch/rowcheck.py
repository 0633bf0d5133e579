"""Whether a row of a ledger holds what a run writes there: a batch may come from anybody; it knows no SQL."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

_STEM = re.compile(r"\d{4,}/[^/\\\0-\x1f]{1,200}")
_SUFFIX = re.compile(r"[\w-]{1,20}(?:\.[\w-]{1,20})*")


def checked(row: Mapping[str, Any], *, written: bool) -> dict[str, Any]:
    """The columns of a piece, those in JSON as plain values. Raises ValueError for what no run has written.

    A piece that is `written` has files.
    """
    values = {name: _plain(value) if name in _PLAIN else value for name, value in row.items()}
    for name, value in values.items():
        if (name in _CHECKS and not _CHECKS[name](value)) or (written and name == "files" and value is None):
            raise ValueError(f"a piece has a '{name}' that no run has written")
    return values


def _plain(text: Any) -> Any:
    try:
        return json.loads(text) if text else None
    except (TypeError, RecursionError):
        raise ValueError("a piece has a value that is no JSON") from None


def _is_stem(value: Any) -> bool:
    """Whether it is a path that stays in the folder of the batch."""
    return isinstance(value, str) and bool(_STEM.fullmatch(value)) and not value.endswith(("/.", "/.."))


def _are_files(value: Any) -> bool:
    return value is None or (
        isinstance(value, Mapping)
        and all(map(_SUFFIX.fullmatch, value))
        and all(isinstance(of, list) and list(map(type, of)) == [str, int] for of in value.values())
    )


def _is_table(value: Any) -> bool:
    return value is None or isinstance(value, Mapping)


def _of(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: type(value) in kinds


_PLAIN = ("asked", "files", "metrics")

_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "stem": _is_stem,
    "files": _are_files,
    "asked": _is_table,
    "metrics": _is_table,
    **dict.fromkeys(("model", "model_hash", "reason"), _of(str)),
    **dict.fromkeys(("number", "seed", "index"), _of(int)),
    **dict.fromkeys(("rank", "distance"), _of(int, float, type(None))),
    "run": _of(int, type(None)),
}
