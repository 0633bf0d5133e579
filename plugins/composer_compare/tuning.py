"""The search over learning rate and dropout, the same for each architecture.

The pairs are points of a Halton sequence (1960), which fill the range evenly for any number of points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

SLOWEST, FASTEST = 1e-3, 3e-2
"""The range of AdamW's learning rate, searched on a logarithmic scale."""

MOST_DROPOUT = 0.5


@dataclass(frozen=True)
class Choice:
    """A learning rate and a dropout."""

    rate: float
    dropout: float


def list_choices(count: int) -> list[Choice]:
    """List the pairs tried, the same for every architecture."""
    points = stats.qmc.Halton(2, scramble=False).fast_forward(1).random(count)
    return [
        Choice(float(f"{SLOWEST * (FASTEST / SLOWEST) ** rate:.3g}"), round(MOST_DROPOUT * float(dropout), 3))
        for rate, dropout in points
    ]


def choose_best(tried: Sequence[tuple[Choice, float | None]]) -> Choice | None:
    """Choose the pair with the lowest validation loss; None if all failed."""
    sound = [(valid, place) for place, (_, valid) in enumerate(tried) if valid is not None]
    return tried[min(sound)[1]][0] if sound else None


def is_fastest(choice: Choice, count: int) -> bool:
    """Tell whether no rate tried is higher: a wider search may find a better one."""
    return choice.rate == max(one.rate for one in list_choices(count)) and count > 1
