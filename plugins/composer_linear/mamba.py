"""The mixer of `mamba2`: a matrix memory whose keys and queries are those of all heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from composer_linear.deltanet import draw_rates, draw_steps
from composer_linear.gating import gate
from composer_linear.memory import run_memory
from composer_linear.pieces import Matrix, Norm, ShortConvolution, widen
from composer_linear.stack import Mixer, Parts

GROWTH = 2
"""The width within a block, in widths of the stream."""


class Mamba2Mixer(Mixer):
    """Mamba-2. The state is that of the convolution, and a matrix (B, heads, N, V); V is 2 H / heads."""

    parts = 2

    def __init__(self, width: int, heads: int, state_size: int, scale: float) -> None:
        super().__init__()
        self.inner, self.heads, self.size = GROWTH * width, heads, state_size
        self.inputs = Matrix(width, 2 * self.inner + 2 * state_size + heads)
        self.convolution = ShortConvolution(self.inner + 2 * state_size, activated=True)
        self.rates, self.steps = draw_rates(heads), draw_steps(heads)
        self.skip = nn.Parameter(torch.ones(heads))
        self.norm, self.outputs = Norm(self.inner), Matrix(self.inner, width, scale=scale)

    def begin(self, like: Tensor) -> Parts:
        """Make the state before the first token."""
        memory = like.new_zeros(len(like), self.heads, self.size, self.inner // self.heads)
        return self.convolution.begin(like), memory

    def forward(self, x: Tensor, state: Parts) -> tuple[Tensor, Parts]:
        """Compute (B, T, H) and the state after the last step."""
        shown, seen, step = self.inputs(x).split([self.inner, self.inner + 2 * self.size, self.heads], dim=-1)
        seen, inputs = self.convolution(seen, state[0])
        values, keys, queries = seen.split([self.inner, self.size, self.size], dim=-1)
        values = values.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, T, V)
        step = functional.softplus(widen(step).transpose(1, 2) + self.steps[:, None])  # (B, heads, T)
        log_decay = -self.rates.exp()[:, None] * step
        read, memory = run_memory(queries[:, None], keys[:, None], step[..., None] * values, log_decay, state[1])
        read = (read + self.skip[:, None, None] * values).transpose(1, 2).flatten(2)
        return self.outputs(self.norm(gate(shown, read, "silu"))), (inputs, memory)
