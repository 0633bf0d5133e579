"""Ticks, which mostly are bar lines, and what is summed up at them.

Rows tick at different places. A chunk in which the rows tick at most K times has K slots, filled from the first on, so
that what happens at ticks is computed for all rows side by side. Places (B, T) and slots (B, K) are turned into one
another by products with matrices of 0 and 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

Parts = tuple[Tensor, ...]


class Ticks(NamedTuple):
    """The ticks of a chunk."""

    at: Tensor  # (B, T) 1.0 where a place ticks, else 0.0
    before: Tensor  # (B, T) number of earlier ticks in the chunk
    slots: int  # K, at least 1

    @property
    def number(self) -> Tensor:
        """(B, T) number of ticks so far, that of the place included."""
        return self.before + self.at


def find_ticks(values: Tensor | None, like: Tensor, before: Tensor, every: int) -> tuple[Ticks, Tensor]:
    """Find the ticks of a chunk with as many places as `like` (B, T, H): each `every`-th change of a feature.

    `values` (B, T) are those of the feature; without them each place is a change. `before` (B, 2) is the value at the
    last place of the chunk before, -1 for none, and the changes since the last tick. Also returns the same for the next
    chunk.
    """
    if values is None:
        values, changes = before[:, :1].expand(like.shape[:2]), like.new_ones(like.shape[:2], dtype=before.dtype)
    else:
        earlier = torch.cat([before[:, :1], values[:, :-1].to(before.dtype)], dim=1)
        changes = ((values != earlier) & (earlier >= 0)).to(before.dtype)
    one = like.shape[1] == 1
    counted = before[:, 1:] + (changes if one else changes.cumsum(1))
    left = counted - every * torch.div(counted, every, rounding_mode="floor")
    at = changes * (left == 0).to(changes.dtype)
    number = at if one else at.cumsum(1)
    after = torch.cat([values[:, -1:].to(before.dtype), left[:, -1:]], dim=1)
    return Ticks(at, number - at, 1 if one else max(1, int(number[:, -1].max()))), after


def mark(numbers: Tensor, count: int) -> Tensor:
    """Mark (B, T, count) which of 0, 1, …, count - 1 each of these numbers (B, T) is, by a 1.0."""
    return (numbers[..., None] == torch.arange(count, device=numbers.device)).to(numbers.dtype)


def sum_up(hidden: Tensor, ticks: Ticks, before: Tensor) -> tuple[Tensor, Tensor]:
    """Sum up what ends at each tick: `hidden` (B, T, H) there, beside its mean since the last tick; (B, K, 2H).

    `before` (B, H + 1) is the sum of `hidden` since the last tick, and the number of its places. Also returns the same
    for the next chunk. Slots without a tick hold nothing of meaning.
    """
    if hidden.shape[1] == 1:
        sums = before + functional.pad(hidden[:, 0], (0, 1), value=1.0)
        return torch.cat([hidden[:, 0], sums[:, :-1] / sums[:, -1:]], dim=1)[:, None], sums * (1.0 - ticks.at)
    with torch.autocast(hidden.device.type, enabled=False):  # sums of many places
        hidden = functional.pad(hidden.to(before.dtype), (0, 1), value=1.0)
        spans = mark(ticks.before, ticks.slots + 1)  # (B, T, K + 1)
        begun = torch.cat([before[:, None], before.new_zeros(len(before), ticks.slots, before.shape[1])], dim=1)
        sums = begun + spans.transpose(1, 2) @ hidden
        ends = (spans[..., :-1] * ticks.at[..., None]).transpose(1, 2) @ hidden
        means = sums[:, :-1, :-1] / sums[:, :-1, -1:].clamp_min(1.0)
        after = mark(ticks.number[:, -1:], ticks.slots + 1) @ sums
    return torch.cat([ends[..., :-1], means], dim=2), after[:, 0]
