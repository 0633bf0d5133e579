"""A rule as an assertion that holds under `python -O`, too; it knows none of the rules."""

from __future__ import annotations

from dataclasses import fields
from typing import Any


class BrokenRule(AssertionError):
    """A rule that does not hold: its name is what stands before the first semicolon, and then comes what was found."""

    @property
    def name(self) -> str:
        """The rule, without what was found."""
        return str(self).partition(";")[0]

    def seen(self, example: str) -> BrokenRule:
        """The same with an example that shows it."""
        return BrokenRule(f"{self}; {example}")


def rule(holds: object, text: str) -> None:
    """Raise BrokenRule with `text` unless the rule holds."""
    if not holds:
        raise BrokenRule(text)


def rebuilt(thing: Any) -> Any:
    """A frozen dataclass made anew from the values of its fields."""
    return type(thing)(**{field.name: getattr(thing, field.name) for field in fields(thing) if field.init})
