"""The mixer of an sLSTM block: an LSTM with exponential gates, a normaliser, and a recurrent matrix in each head.

As in `composer_xlstm.mlstm`, cell c and normaliser n are kept divided by exp(m).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from composer_linear.pieces import HeadMatrix, HeadNorm, ShortConvolution, widen
from composer_linear.stack import Mixer, Parts
from composer_xlstm.compiled import load_library, run_compiled

LEAST = 1e-30
"""The least divisor."""


class ScalarMixer(Mixer):
    """The state is that of the convolution, and h, c, n and m, (B, H) each."""

    parts = 5

    def __init__(self, width: int, heads: int, depth: float) -> None:
        """Make it for a place in the stack: `depth` is 0 for the first block and 1 for the last."""
        super().__init__()
        self.width, self.heads = width, heads
        size = width // heads
        self.convolution = ShortConvolution(width, activated=True)
        self.smooth_gates = HeadMatrix(heads, size, 2 * size)  # input, forget; of what the convolution makes
        self.gates = HeadMatrix(heads, size, 2 * size)  # candidate, output
        # input, forget, candidate, output
        self.recurrent = nn.Parameter(torch.zeros(heads, size, 4 * size))
        self.bias = nn.Parameter(torch.zeros(heads, 4 * size))
        with torch.no_grad():  # forget gates from open to shut, the more of them shut the higher the block
            self.bias[:, size : 2 * size] = 5.0 - 12.0 * torch.linspace(0.0, 1.0, size) ** (0.3 + 1.3 * depth)
        self.norm = HeadNorm(width)

    def begin(self, like: Tensor) -> Parts:
        """Make the state before the first token."""
        return self.convolution.begin(like), *(like.new_zeros(len(like), self.width) for _ in range(4))

    def forward(self, x: Tensor, state: Parts) -> tuple[Tensor, Parts]:
        """Compute (B, T, H) and the state after the last step."""
        smooth, inputs = self.convolution(x, state[0])
        both = self._split(self.smooth_gates(smooth)), self._split(self.gates(x))
        sums = widen(torch.cat(both, dim=-1)) + self.bias  # (B, T, heads, 4 H / heads)
        with torch.autocast(x.device.type, enabled=False):
            hidden, after = run_steps(sums, self.recurrent, tuple(self._split(part) for part in state[1:]))
        return self.norm(hidden.transpose(1, 2)), (inputs, *(part.flatten(1) for part in after))

    def _split(self, x: Tensor) -> Tensor:
        """Split (..., N) into heads (..., heads, N / heads)."""
        return x.unflatten(-1, (self.heads, -1))


def run_steps(sums: Tensor, recurrent: Tensor, state: Parts) -> tuple[Tensor, Parts]:
    """Take the steps of sums (B, T, heads, 4 N) of the input; return (B, T, heads, N) and the state (B, heads, N)."""
    if sums.shape[1] > 1 and (library := load_library(sums)) is not None:
        return run_compiled(sums, recurrent, state, library)
    hidden = []
    for given in sums.unbind(1):
        from_state = (state[0].transpose(0, 1) @ recurrent).transpose(0, 1)
        state = step(given + from_state, state)
        hidden.append(state[0])
    return torch.stack(hidden, dim=1), state


def step(sums: Tensor, state: Parts) -> Parts:
    """Take one step from the sums (B, heads, 4 N) of input, forget, candidate and output; return h, c, n and m."""
    _, cell, normaliser, before = state
    log_input, forget, candidate, output = sums.chunk(4, dim=-1)
    log_forget = functional.logsigmoid(forget) + before
    most = torch.maximum(log_forget, log_input).detach()
    in_gate, kept = (log_input - most).exp(), (log_forget - most).exp()
    cell = kept * cell + in_gate * torch.tanh(candidate)
    normaliser = kept * normaliser + in_gate
    return torch.sigmoid(output) * cell / normaliser.clamp_min(LEAST), cell, normaliser, most
