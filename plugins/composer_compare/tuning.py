"""The same small search for each architecture: so many pairs of a learning rate and a dropout; it knows no training.

The pairs are points of a Halton sequence (1960), which fill the range evenly however many are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SLOWEST, FASTEST = 1e-3, 3e-2
"""Learning rates of AdamW between which is searched, on a logarithmic scale."""

MOST_DROPOUT = 0.5


@dataclass(frozen=True)
class Choice:
    """A learning rate and a dropout."""

    rate: float
    dropout: float


def choices(count: int) -> list[Choice]:
    """The pairs that are tried, the same for every architecture."""
    return [
        Choice(
            float(f"{SLOWEST * (FASTEST / SLOWEST) ** _mirrored(number, 2):.3g}"),
            round(MOST_DROPOUT * _mirrored(number, 3), 3),
        )
        for number in range(1, count + 1)
    ]


def best(tried: Sequence[tuple[Choice, float | None]]) -> Choice | None:
    """The choice with the lowest validation; None if all have failed."""
    sound = [(valid, place) for place, (_, valid) in enumerate(tried) if valid is not None]
    return tried[min(sound)[1]][0] if sound else None


def is_fastest(choice: Choice, count: int) -> bool:
    """Whether no rate that was tried is higher: a wider search may find a better one."""
    return choice.rate == max(one.rate for one in choices(count)) and count > 1


def _mirrored(number: int, base: int) -> float:
    """The digits of a number behind the point, in reverse (van der Corput)."""
    found, scale = 0.0, 1.0
    while number:
        number, digit = divmod(number, base)
        scale /= base
        found += digit * scale
    return found
