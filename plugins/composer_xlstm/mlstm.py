"""The mixer of an mLSTM block: a matrix memory with exponential gates.

A step multiplies the memory C of a head by the forget gate f, and adds the input gate i times v k^T. The sum n of keys,
gated alike, tells how much was written; what the query reads is divided by it. Gates are exponential, so that memories
and sums are kept divided by exp(m), where m is the largest exponent so far. Nothing but rounding depends on m. With m,
a step is a decay of at most 1 and a write of at most 1, as `composer_linear.memory` has them. The sum n is a column of
the memory, whose value is always 1.

The gates see queries, keys and values divided by the root of their number. So a step of the optimiser moves an exponent
by as much in a wide network as in a narrow one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from composer_linear.gating import gate
from composer_linear.memory import run_memory
from composer_linear.pieces import HeadMatrix, HeadNorm, Matrix, ShortConvolution, widen
from composer_linear.stack import Mixer, Parts
from composer_recurrent.products import multiply

GROWTH = 2
"""The width within a block, in widths of the stream."""

CHANNELS = 4
"""Channels that make the same number of each of queries, keys and values, apart from the others."""

SMALL = 1e-6
"""What is added to a divisor."""


class MatrixMixer(Mixer):
    """The state is that of the convolution, a matrix (B, heads, K, V + 1) with the sum of keys, and m (B, heads)."""

    parts = 3

    def __init__(self, width: int, heads: int, scale: float) -> None:
        super().__init__()
        self.inner, self.heads = GROWTH * width, heads
        self.inputs = Matrix(width, 2 * self.inner)
        self.convolution = ShortConvolution(self.inner, activated=True)
        parts = self.inner // CHANNELS
        self.queries, self.keys, self.values = (HeadMatrix(parts, CHANNELS, CHANNELS) for _ in range(3))
        self.gates = Matrix(3 * self.inner, 2 * heads, bias=True)  # input, forget
        nn.init.zeros_(self.gates.weight)
        with torch.no_grad():
            self.gates.bias[:heads].normal_(std=0.1)
            self.gates.bias[heads:] = torch.linspace(3.0, 6.0, heads)  # forget gates open
        self.skip = nn.Parameter(torch.ones(self.inner))
        self.norm, self.outputs = HeadNorm(self.inner), Matrix(self.inner, width, scale=scale)

    def begin(self, like: Tensor) -> Parts:
        """Make the state before the first token."""
        size = self.inner // self.heads
        memory = like.new_zeros(len(like), self.heads, size, size + 1)
        return self.convolution.begin(like), memory, like.new_zeros(len(like), self.heads)

    def forward(self, x: Tensor, state: Parts) -> tuple[Tensor, Parts]:
        """Compute (B, T, H) and the state after the last step."""
        seen, shown = self.inputs(x).chunk(2, dim=-1)
        smooth, inputs = self.convolution(seen, state[0])
        all_three = self.queries(smooth), self.keys(smooth), self.values(seen)
        weight = self.gates.weight * (3 * self.inner) ** -0.5
        gates = widen(multiply(torch.cat(all_three, dim=-1), weight, self.gates.bias))
        log_input, forget = gates.transpose(1, 2).chunk(2, dim=1)  # (B, heads, T) each
        queries, keys, values = (widen(of) for of in all_three)
        read, memory, most = self._remember(queries, keys, values, log_input, forget, state[1], state[2])
        mixed = self.norm(read) + self.skip * smooth
        return self.outputs(gate(shown, mixed, "silu")), (inputs, memory, most)

    def _remember(
        self,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        log_input: Tensor,
        forget: Tensor,
        memory: Tensor,
        most: Tensor,
    ) -> Parts:
        """Return what is read (B, heads, T, V), the memory and m; gates are (B, heads, T), others (B, T, 2 H)."""
        queries, keys, values = (self._split(of) for of in (queries, keys, values))
        log_forget = functional.logsigmoid(forget)
        with torch.no_grad():
            m = find_most(log_forget, log_input, most)
        before = torch.cat([most[..., None], m[..., :-1]], dim=-1)
        written = (log_input - m).exp()[..., None] * keys * keys.shape[-1] ** -0.5
        values = torch.cat([values, torch.ones_like(values[..., :1])], dim=-1)
        read, memory = run_memory(queries, written, values, log_forget + before - m, memory)
        least = torch.maximum(read[..., -1:].abs(), (-m).exp()[..., None]) + SMALL
        return read[..., :-1] / least, memory, m[..., -1]

    def _split(self, x: Tensor) -> Tensor:
        """Split (B, T, 2 H) into heads (B, heads, T, 2 H / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def find_most(log_forget: Tensor, log_input: Tensor, before: Tensor) -> Tensor:
    """Find m (B, heads, T): m' = max(log f + m, log i), from that before the first step (B, heads)."""
    if log_input.shape[-1] == 1:
        return torch.maximum(log_forget + before[..., None], log_input)
    faded = log_forget.cumsum(-1)
    return faded + torch.maximum(before[..., None], (log_input - faded).cummax(-1)[0])
