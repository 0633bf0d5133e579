"""Layers of minimal cells in torch, one on another; it knows no tokens.

The sums of a cell's gates come from one matrix; of them a cell makes what a unit keeps of its state and what it adds.
The candidate goes through the article's g, which is positive everywhere.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from composer_minimal.scan import recurrence
from composer_recurrent.dropout import Dropout


def mingru(sums: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T, 2H) of update gate z and candidate c -> (B, T, H) 1 - z and z * g(c)."""
    update, candidate = sums.chunk(2, dim=-1)
    return torch.sigmoid(-update), torch.sigmoid(update) * _g(candidate)


def minlstm(sums: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T, 3H) of forget gate f, input gate i and candidate c -> (B, T, H) f / (f + i) and i / (f + i) * g(c)."""
    forget, taken, candidate = sums.chunk(3, dim=-1)
    # The shares by way of logarithms: of two gates that are all but shut there would be 0 / 0.
    odds = functional.logsigmoid(forget) - functional.logsigmoid(taken)
    return torch.sigmoid(odds), torch.sigmoid(-odds) * _g(candidate)


def _g(x: Tensor) -> Tensor:
    return torch.where(x >= 0, x + 0.5, torch.sigmoid(x))


CELLS = {"minGRU": (mingru, 2), "minLSTM": (minlstm, 3)}
"""What each kind of cell makes of its sums, and how many a unit has."""


class MinimalLayers(nn.Module):
    """`layers(x (B, T, E), state (layers, B, H) or None) -> (read (B, T, H), state)`, called as torch's own layers are.

    Every layer adds to the sum of those below. What the next one reads, and in the end the output, is the sum
    normalised.
    """

    def __init__(self, kind: str, input_size: int, hidden_size: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.cell, sums = CELLS[kind]
        below = [input_size] + [hidden_size] * (layers - 1)
        self.gates = nn.ModuleList(nn.Linear(size, sums * hidden_size) for size in below)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What the output reads at every place, and the state after the last."""
        read, total, after = x, None, []
        for number, gates in enumerate(self.gates):
            # From the gates on in fp32, whatever they were computed in: bf16 has 8 bits, and where a unit keeps 0.999
            # of its state, what it adds would be rounded away.
            kept, added = self.cell(gates(self.dropout(read) if number else read).float())
            before = torch.zeros_like(added[:, 0]) if state is None else state[number].float()
            hidden = recurrence(kept, added, before)
            after.append(hidden[:, -1])
            total = hidden if total is None else total + hidden
            read = functional.layer_norm(total, total.shape[-1:])
        return read, torch.stack(after)
