"""Rules as assertions that hold under `python -O`, too."""

from __future__ import annotations

from dataclasses import fields
from typing import Any


class BrokenRule(AssertionError):
    """A broken rule: its name, up to the first semicolon, and then the evidence."""

    @property
    def name(self) -> str:
        """The rule, without what was found."""
        return str(self).partition(";")[0]

    def add_example(self, example: str) -> BrokenRule:
        """Return the same error with an example."""
        return BrokenRule(f"{self}; {example}")


def require(holds: object, text: str) -> None:
    """Raise BrokenRule with `text` unless the rule holds."""
    if not holds:
        raise BrokenRule(text)


def rebuild(thing: Any) -> Any:
    """Make a frozen dataclass anew from the values of its fields."""
    return type(thing)(**{field.name: getattr(thing, field.name) for field in fields(thing) if field.init})
