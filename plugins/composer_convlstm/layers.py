"""A convolutional LSTM: at each pitch the same LSTM, which sees its neighbours below it and in the step before."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from composer_convlstm.convolution import PitchProduct, convolve, convolve_few
from composer_recurrent import compiled

Parts = tuple[Tensor, Tensor]
Convolve = Callable[[Tensor, Tensor], Tensor]

SUMS = 4
"""Sums of a unit: input gate, forget gate, candidate, output gate."""


class ConvLstmLayer(nn.Module):
    """`layer(x (T, B, P, C), shared (T, B, E), (hidden, cell)) -> (hidden (T, B, P, C), (hidden, cell))`.

    States are (B, P, C), in fp32 at least. What is `shared` is given to all pitches alike.
    """

    def __init__(self, width: int, shared_size: int, kernel: int, recurrent_kernel: int) -> None:
        super().__init__()
        sums = SUMS * width
        # What comes from below is sparse: notes are few. A square root of the kernel's length allows for that.
        spread = (width * kernel**0.5) ** -0.5
        self.inputs = nn.Parameter(torch.empty(sums, kernel, width).normal_(std=spread))
        bound = (width * recurrent_kernel) ** -0.5
        self.recurrent = nn.Parameter(torch.empty(sums, recurrent_kernel, width).uniform_(-bound, bound))
        self.shared = nn.Linear(shared_size, sums)
        with torch.no_grad():
            self.shared.bias.zero_()[width : 2 * width] = 1.0  # forget gates open (Jozefowicz et al. 2015)

    def forward(self, x: Tensor, shared: Tensor, state: Parts) -> tuple[Tensor, Parts]:
        """Compute the output of each step, and the state after the last."""
        one = len(x) == 1
        from_below = convolve_few(x[0], self.inputs)[None] if one else self._convolve(x)
        sums = from_below + self.shared(shared).to(from_below.dtype)[:, :, None]
        if not one and x.device.type == "cpu" and compiled.is_available(state[0].dtype, x.device):
            return self._run_compiled(sums, state)
        return self._run_steps(sums, state, convolve_few if one else convolve)

    def _convolve(self, x: Tensor) -> Tensor:
        return convolve(x.flatten(0, 1), self.inputs).unflatten(0, x.shape[:2])

    def _run_compiled(self, sums: Tensor, state: Parts) -> tuple[Tensor, Parts]:
        """Run all steps by the compiled C of an LSTM, whose rows are the pitches of all sequences."""
        _, rows, places, _ = sums.shape
        bias = torch.zeros(sums.shape[-1], dtype=state[0].dtype)
        flat = tuple(part.flatten(0, 1) for part in state)
        given = (sums.flatten(1, 2), flat, (self.recurrent, bias, bias))
        hidden, after = compiled.run_sums(*given, PitchProduct(places))
        found = [part.unflatten(-2, (rows, places)) for part in (hidden, *after)]
        return found[0], (found[1], found[2])

    def _run_steps(self, sums: Tensor, state: Parts, convolve_step: Convolve) -> tuple[Tensor, Parts]:
        """Run one step after the other in torch."""
        (hidden, cell), read = state, []
        for from_below in sums.unbind(0):
            both = from_below + convolve_step(hidden, self.recurrent)
            input_gate, forget, candidate, output = both.to(cell.dtype).chunk(SUMS, dim=-1)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(input_gate) * torch.tanh(candidate)
            hidden = torch.sigmoid(output) * torch.tanh(cell)
            read.append(hidden)
        return torch.stack(read), (hidden, cell)
