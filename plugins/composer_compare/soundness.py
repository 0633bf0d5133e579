"""Validation of stored results, since the folder of a comparison may come from anybody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from composer_compare.probes import GAPS, LONGER

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


def _is_figure(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < MOST


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < MOST


def _is_time(value: Any) -> bool:
    return _is_figure(value) and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _allow_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _check_list(check: Check, *, least: int = 0) -> Check:
    return lambda value: isinstance(value, list) and len(value) >= least and all(map(check, value))


def _check_table(**checks: Check) -> Check:
    """Return a check for a mapping with these values, and perhaps others."""
    return lambda value: (
        isinstance(value, Mapping)
        and checks.keys() <= value.keys()
        and all(check(value[name]) for name, check in checks.items())
    )


def _check_by_number(check: Check) -> Check:
    """Return a check for a mapping by whole numbers and "all", or with the reason why it is missing."""
    return lambda value: (
        isinstance(value, Mapping)
        and (
            _is_text(value.get("failure"))
            or all((name == "all" or _is_numeral(name)) and check(one) for name, one in value.items())
        )
    )


def _is_numeral(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) < 7


def _is_point(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(map(_is_figure, value))


_TEST = _check_table(
    pieces=_check_list(_is_count, least=1),
    nats=_check_list(_is_figure),
    notes=_check_list(lambda n: _is_count(n) and n > 0),
    tokens=_check_list(_is_count),
)


def _is_test(value: Any) -> bool:
    """Tell whether the per-piece figures are valid and of equal length."""
    return _TEST(value) and len({len(value[name]) for name in ("pieces", "nats", "notes", "tokens")}) == 1


_COURSE: Mapping[str, Check] = {
    "history": _check_list(_is_point, least=1),
    "valid": _is_figure,
    "best_step": _is_count,
    "seconds": _is_time,
    "parameters": _is_count,
    "diverged": _is_text,
}

_CONTEXT = _check_table(nats_per_note=_check_by_number(_is_figure))

_SHARED = _check_table(share=_is_figure, longest_notes=_is_count)

_RESULTS: Mapping[str, Check] = {
    "pace": _check_table(
        **dict.fromkeys(("gates", "sums", "processors"), _allow_none(_is_count)),
        **dict.fromkeys(
            ("training_bytes", "state_tensors", "state_numbers", "state_bytes", "multiply_adds", "parameters"),
            _is_count,
        ),
        **dict.fromkeys(("write_seconds", "write_seconds_64", "write_seconds_reference"), _is_time),
        step_seconds=lambda value: _is_figure(value) and 1e-7 <= value <= 1e5,
        validation_seconds=lambda value: _is_time(value) and value <= 1e6,
        tokens_per_step=_is_time,
        machine=_is_text,
        load=_allow_none(_is_time),
    ),
    "tune": _check_table(**_COURSE),
    "final": _check_table(
        **_COURSE,
        test=_is_test,
        train_nats=_is_figure,
        valid_nats=_is_figure,
        context=lambda value: _CONTEXT(value) or _check_table(failure=_is_text)(value),
        gradients=_check_by_number(lambda value: type(value) in (int, float)),
        shifted=_check_list(_check_table(semitones=_is_figure, pieces=_is_count, as_is=_is_figure, moved=_is_figure)),
    ),
    "write": _check_table(
        pieces=_is_count,
        distance=_check_table(**dict.fromkeys(("value", "low", "high", "halves"), _allow_none(_is_figure))),
        inside=_is_count,
        figures=_is_count,
        outside=_check_list(_is_text),
        copied=_SHARED,
        held_out=_SHARED,
    ),
    "recall": _check_table(**_COURSE, recall=_check_table(**{str(gap): _is_figure for gap in (*GAPS, *LONGER)})),
}
