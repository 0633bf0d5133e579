"""Validation of stored results, since the folder of a comparison may come from anybody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from composer_compare.recall_task import GAPS, LONGER

MOST = 1e15
"""An upper bound on the size of any figure."""

Check = Callable[[Any], bool]


def is_sound(run: Any, result: Any) -> bool:
    """Tell whether a result is possible for a run."""
    if not (isinstance(run, Mapping) and isinstance(result, Mapping)):
        return False
    if "failure" in result:
        return isinstance(result["failure"], str)
    return run.get("work") in _RESULTS and _RESULTS[run["work"]](result)


def _number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < MOST


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < MOST


def _time(value: Any) -> bool:
    return _number(value) and value >= 0


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _maybe(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _list(check: Check, *, least: int = 0) -> Check:
    return lambda value: isinstance(value, list) and len(value) >= least and all(map(check, value))


def _table(**checks: Check) -> Check:
    """Return a check for a mapping with these values, and perhaps others."""
    return lambda value: (
        isinstance(value, Mapping)
        and checks.keys() <= value.keys()
        and all(check(value[name]) for name, check in checks.items())
    )


def _by_number(check: Check) -> Check:
    """Return a check for a mapping by whole numbers and "all", or with the reason why it is missing."""
    return lambda value: (
        isinstance(value, Mapping)
        and (
            _text(value.get("failure"))
            or all((name == "all" or _is_number(name)) and check(one) for name, one in value.items())
        )
    )


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) < 7


def _is_point(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(map(_number, value))


_TEST = _table(
    pieces=_list(_count, least=1), nats=_list(_number), notes=_list(lambda n: _count(n) and n > 0), tokens=_list(_count)
)


def _is_test(value: Any) -> bool:
    """Tell whether the per-piece figures are valid and of equal length."""
    return _TEST(value) and len({len(value[name]) for name in ("pieces", "nats", "notes", "tokens")}) == 1


_COURSE: Mapping[str, Check] = {
    "history": _list(_is_point, least=1),
    "valid": _number,
    "best_step": _count,
    "seconds": _time,
    "parameters": _count,
    "diverged": _text,
}

_CONTEXT = _table(nats_per_note=_by_number(_number))

_SHARED = _table(share=_number, longest_notes=_count)

_RESULTS: Mapping[str, Check] = {
    "pace": _table(
        **dict.fromkeys(("gates", "sums", "processors"), _maybe(_count)),
        **dict.fromkeys(
            ("training_bytes", "state_tensors", "state_numbers", "state_bytes", "multiply_adds", "parameters"), _count
        ),
        **dict.fromkeys(("write_seconds", "write_seconds_64", "write_seconds_reference"), _time),
        step_seconds=lambda value: _number(value) and 1e-7 <= value <= 1e5,
        validation_seconds=lambda value: _time(value) and value <= 1e6,
        tokens_per_step=_time,
        machine=_text,
        load=_maybe(_time),
    ),
    "tune": _table(**_COURSE),
    "final": _table(
        **_COURSE,
        test=_is_test,
        train_nats=_number,
        valid_nats=_number,
        context=lambda value: _CONTEXT(value) or _table(failure=_text)(value),
        gradients=_by_number(lambda value: type(value) in (int, float)),
        shifted=_list(_table(semitones=_number, pieces=_count, as_is=_number, moved=_number)),
    ),
    "write": _table(
        pieces=_count,
        distance=_table(**dict.fromkeys(("value", "low", "high", "halves"), _maybe(_number))),
        inside=_count,
        figures=_count,
        outside=_list(_text),
        copied=_SHARED,
        held_out=_SHARED,
    ),
    "recall": _table(**_COURSE, recall=_table(**{str(gap): _number for gap in (*GAPS, *LONGER)})),
}
