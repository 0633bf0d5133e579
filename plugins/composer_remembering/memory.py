"""What a memory between recurrent layers is asked for."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from composer_remembering.clock import Parts, Ticks


class Memory(nn.Module):
    """What is remembered beside the recurrent layers, of the output of the lower ones.

    Each part of its state has its rows second.
    """

    parts: int  # of its state

    @abstractmethod
    def begin(self, like: Tensor) -> Parts:
        """Make the state (…, B, …) of as many rows as `like` has, before the first token."""

    @abstractmethod
    def forward(self, hidden: Tensor, ticks: Ticks, state: Parts) -> tuple[Tensor, Parts]:
        """Compute the context (B, T, D) of each place from what is `hidden` (B, T, H) and the ticks, and the state."""
