"""A slow layer: a GRU that makes a step at each tick."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from composer_remembering.clock import Parts, Ticks, mark, sum_up
from composer_remembering.memory import Memory


class SlowLayer(Memory):
    """A GRU whose state after the last tick is the context of each place."""

    parts = 2

    def __init__(self, input_size: int, size: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(input_size, size)
        self.widths = (input_size // 2 + 1, size)
        for gate in self.cell.weight_hh.data.split(size):
            nn.init.orthogonal_(gate)

    def begin(self, like: Tensor) -> Parts:
        """Make the state (1, B, …) of as many rows as `like` has, before the first token."""
        return tuple(like.new_zeros(1, len(like), width) for width in self.widths)

    def forward(self, hidden: Tensor, ticks: Ticks, state: Parts) -> tuple[Tensor, Parts]:
        """Make as many steps as there are slots; rows without a tick in a slot stay as they are."""
        (gathered,), (slow,) = state
        summaries, gathered = sum_up(hidden, ticks, gathered)
        steps, total = [slow], ticks.number[:, -1:]
        for slot, summary in enumerate(summaries.unbind(1)):
            slow = torch.where(total > slot, self.cell(summary, slow).to(slow.dtype), slow)
            steps.append(slow)
        after = gathered[None], slow[None]
        if hidden.shape[1] == 1:
            return slow[:, None], after
        return mark(ticks.number, ticks.slots + 1) @ torch.stack(steps, dim=1), after
