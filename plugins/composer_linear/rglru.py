"""The mixer of `rg-lru`: a short convolution and a real-gated linear recurrence, beside a gate of the output."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from composer_linear.gating import gate
from composer_linear.pieces import Matrix, ShortConvolution, widen
from composer_linear.scan import run_scan
from composer_linear.stack import Mixer, Parts

SHARPNESS = 8.0
"""The article's c: the decay of a unit is a^(c r)."""

SLOWEST, FASTEST = 0.999, 0.9
"""Between these, decays a^c are drawn."""

LEAST = 1e-6
"""The least of 1 - a^2, whose root has a gradient without bounds at 0."""


class RgLruMixer(Mixer):
    """The recurrent block of Griffin. The state is that of the convolution, and one number (B, R) of each unit."""

    parts = 2

    def __init__(self, width: int, scale: float) -> None:
        super().__init__()
        self.inputs = Matrix(width, 2 * width)
        self.convolution = ShortConvolution(width)
        self.gates = Matrix(width, 2 * width, bias=True)
        drawn = torch.empty(width).uniform_(FASTEST, SLOWEST)
        # softplus(decay) = -log a, where a^c is the number drawn
        self.decay = nn.Parameter(torch.expm1(-drawn.log() / SHARPNESS).log())
        self.outputs = Matrix(width, width, scale=scale)

    def begin(self, like: Tensor) -> Parts:
        """Make the state before the first token."""
        return self.convolution.begin(like), like.new_zeros(len(like), len(self.decay))

    def forward(self, x: Tensor, state: Parts) -> tuple[Tensor, Parts]:
        """Compute (B, T, H) and the state after the last step."""
        shown, seen = self.inputs(x).chunk(2, dim=-1)
        seen, inputs = self.convolution(seen, state[0])
        recurrence, entry = torch.sigmoid(widen(self.gates(seen))).chunk(2, dim=-1)
        log_decay = -SHARPNESS * functional.softplus(self.decay) * recurrence
        fresh = (-torch.expm1(2 * log_decay)).clamp_min(LEAST).sqrt() * entry * seen
        hidden = run_scan(log_decay.exp(), fresh, state[1])
        return self.outputs(gate(shown, hidden, "gelu-tanh")), (inputs, hidden[:, -1])
