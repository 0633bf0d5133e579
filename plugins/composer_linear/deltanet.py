"""The mixer of `gated-deltanet`: a matrix memory that decays, and is overwritten by the delta rule."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from composer_linear.gating import gate
from composer_linear.memory import run_memory
from composer_linear.pieces import HeadNorm, Matrix, ShortConvolution, widen
from composer_linear.stack import Mixer, Parts


def draw_rates(heads: int) -> nn.Parameter:
    """Draw the logarithms (heads,) of rates from 1 to 16, by which the steps of a head are multiplied."""
    return nn.Parameter(torch.empty(heads).uniform_(1.0, 16.0).log())


def draw_steps(heads: int) -> nn.Parameter:
    """Draw biases (heads,) whose softplus, the step of a head, is from 0.001 to 0.1, evenly in its logarithm."""
    step = torch.empty(heads).uniform_(-3.0, -1.0)
    return nn.Parameter(torch.expm1(10**step).log())


class GatedDeltaMixer(Mixer):
    """Gated DeltaNet. The state is that of the convolution, and a matrix (B, heads, K, V); K and V are H / heads."""

    parts = 2

    def __init__(self, width: int, heads: int, scale: float) -> None:
        super().__init__()
        self.width, self.heads = width, heads
        self.inputs = Matrix(width, 4 * width)  # queries, keys, values; the gate of the output
        self.gates = Matrix(width, 2 * heads)  # share and step
        self.convolution = ShortConvolution(3 * width, activated=True)
        self.rates, self.steps = draw_rates(heads), draw_steps(heads)
        self.norm, self.outputs = HeadNorm(width), Matrix(width, width, scale=scale)

    def begin(self, like: Tensor) -> Parts:
        """Make the state before the first token."""
        size = self.width // self.heads
        return self.convolution.begin(like), like.new_zeros(len(like), self.heads, size, size)

    def forward(self, x: Tensor, state: Parts) -> tuple[Tensor, Parts]:
        """Compute (B, T, H) and the state after the last step."""
        seen, shown = self.inputs(x).split([3 * self.width, self.width], dim=-1)
        seen, inputs = self.convolution(seen, state[0])
        queries, keys, values = (self._split(of) for of in seen.chunk(3, dim=-1))
        share, step = widen(self.gates(x)).transpose(1, 2).chunk(2, dim=1)  # (B, heads, T) each
        log_decay = -self.rates.exp()[:, None] * functional.softplus(step + self.steps[:, None])
        queries, keys = (functional.normalize(of, dim=-1) for of in (queries, keys))
        read, memory = run_memory(queries, keys, values, log_decay, state[1], torch.sigmoid(share))
        return self.outputs(gate(shown, self.norm(read), "silu")), (inputs, memory)

    def _split(self, x: Tensor) -> Tensor:
        """Split (B, T, H) into heads (B, heads, T, H / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
