"""A rule as an assertion that holds under `python -O`, too; it knows none of the rules."""

from __future__ import annotations

from dataclasses import fields
from typing import Any


def rule(holds: object, text: str) -> None:
    """Raise AssertionError with `text` unless the rule holds."""
    if not holds:
        raise AssertionError(text)


def rebuilt(thing: Any) -> Any:
    """A frozen dataclass made anew from the values of its fields."""
    return type(thing)(**{field.name: getattr(thing, field.name) for field in fields(thing) if field.init})
