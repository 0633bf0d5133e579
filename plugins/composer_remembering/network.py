"""Recurrent layers with a memory between them, in the network of `composer_recurrent`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from composer_recurrent.dropout import Dropout
from composer_recurrent.network import RecurrentNetwork
from composer_remembering.clock import Parts, find_ticks
from composer_remembering.memory import Memory


class RememberingLayers(nn.Module):
    """Lower layers, a memory, and an upper layer that reads both: `layers(x (B, T, E), values, every, state)`.

    It returns (B, T, H) and the state. `values` (B, T), or None, and `every` are those of `find_ticks`. `lower` and
    `upper` are called like torch's recurrent layers. Each part of a state has its rows second: first those of the
    recurrent layers, then the clock's, then those of the memory.
    """

    memory: Memory

    def __init__(self, lower: nn.Module, memory: Memory, upper: nn.Module, dropout: float) -> None:
        super().__init__()
        self.lower, self.memory, self.upper = lower, memory, upper
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, values: Tensor | None, every: int, state: Parts | None) -> tuple[Tensor, Parts]:
        """Compute the input of the head at each token, and the state after the last."""
        below, above, clock, kept = self._begin(x) if state is None else self._divide(state)
        hidden, below_after = self.lower(x, below)
        ticks, clock = find_ticks(values, hidden, clock, every)
        context, kept = self.memory(hidden, ticks, kept)
        read, above_after = self.upper(self.dropout(torch.cat([hidden, context.to(hidden.dtype)], dim=2)), above)
        pairs = zip(_list_parts(below_after), _list_parts(above_after), strict=True)
        return read + hidden, (*(torch.cat(pair) for pair in pairs), clock[None], *kept)

    def _begin(self, x: Tensor) -> tuple[None, None, Tensor, Parts]:
        """Make what there is before the first token."""
        like = x.new_zeros(len(x), 1, dtype=torch.promote_types(x.dtype, torch.float32))
        return None, None, like.new_tensor([-1.0, 0.0]).expand(len(x), 2), self.memory.begin(like)

    def _divide(self, state: Parts) -> tuple[Tensor | Parts, Tensor | Parts, Tensor, Parts]:
        """Divide a state among the lower layers, the upper one, the clock and the memory."""
        *recurrent, clock = state[: -self.memory.parts]
        below, above = tuple(part[:-1] for part in recurrent), tuple(part[-1:] for part in recurrent)
        if len(recurrent) == 1:
            return below[0], above[0], clock[0], state[-self.memory.parts :]
        return below, above, clock[0], state[-self.memory.parts :]


def _list_parts(state: Tensor | Parts) -> Parts:
    return state if isinstance(state, tuple) else (state,)


class RememberingNetwork(RecurrentNetwork):
    """`model(inputs (B, T, C), state=None) -> (logits (B, T, V), state)`, whose layers are told of ticks."""

    clock: int | None = None
    every: int = 1

    def place_clock(self, clock: int | None, every: int) -> None:
        """Tick at each `every`-th change of the feature at the index `clock`; of None, which changes at each token."""
        self.clock, self.every = clock, every

    def run_recurrence(self, inputs: Tensor, embedded: Tensor, state: Parts | None) -> tuple[Tensor, Parts]:
        """Run the layers, with the feature that is the clock."""
        values = None if self.clock is None else inputs[..., self.clock]
        found: tuple[Tensor, Parts] = self.recurrence(embedded, values, self.every, state)
        return found
