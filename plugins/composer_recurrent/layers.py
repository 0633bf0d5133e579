"""Torch's recurrent layers, freshly initialised; in training with compiled C where that is faster."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from composer_recurrent import compiled

State = Tensor | tuple[Tensor, ...]

WIDE = 512
"""Width from which an LSTM in bf16 is faster in C than by oneDNN (Zen 5: × 1.2 at 512, 1.5 at 640, 2.4 at 768)."""


def make_torch_layers(kind: str, input_size: int, hidden_size: int, layers: int, dropout: float) -> nn.RNNBase:
    """Make `LSTM`, `GRU` or `RNN` layers, batch first, with dropout between layers."""
    between = dropout if layers > 1 else 0.0
    made = LAYERS[kind](input_size, hidden_size, layers, batch_first=True, dropout=between)
    for name, parameter in made.named_parameters():
        if name.startswith("weight_hh"):
            for gate in parameter.data.split(hidden_size):
                nn.init.orthogonal_(gate)
        elif kind == "LSTM" and name.startswith("bias_ih"):
            parameter.data[hidden_size : 2 * hidden_size].fill_(1.0)  # forget gates open (Jozefowicz et al. 2015)
    return made


class _Faster(nn.RNNBase):
    """Layers whose gradients are computed by compiled C: once for the whole sequence where torch sums them up."""

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Compute what torch's layers compute; without gradients, or for one step, by them."""
        number = torch.promote_types(self.weight_hh_l0.dtype, torch.float32)
        if not (
            torch.is_grad_enabled()
            and x.shape[1] > 1
            and self._prefers_c(x)
            and compiled.is_available(number, x.device)
        ):
            return super().forward(x, state)
        read, after = x.transpose(0, 1), []
        for layer in range(self.num_layers):
            weights = [getattr(self, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            read = functional.dropout(read, self.dropout, self.training) if layer else read
            read, last = compiled.run_layer(read, self._get_state(x, state, layer), weights)
            after.append(last)
        parts = tuple(torch.stack(part) for part in zip(*after, strict=True))
        return read.transpose(0, 1), parts if len(parts) > 1 else parts[0]

    def _prefers_c(self, x: Tensor) -> bool:
        """Tell whether C is the faster way: a rule, so that all runs on a machine compute the same."""
        return True

    def _get_state(self, x: Tensor, state: State | None, layer: int) -> tuple[Tensor, ...]:
        if state is None:
            before = x.new_zeros(x.shape[0], self.hidden_size, dtype=self.weight_hh_l0.dtype)
            return (before,) * (2 if self.mode == "LSTM" else 1)
        parts = state if isinstance(state, tuple) else (state,)
        return tuple(part[layer].to(self.weight_hh_l0.dtype) for part in parts)


class Lstm(_Faster, nn.LSTM):
    """An LSTM, for which oneDNN is the faster but for wide layers in bf16."""

    def _prefers_c(self, x: Tensor) -> bool:
        found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        low = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
        return low and self.hidden_size >= WIDE and not found.get("amx_bf16")


class Gru(_Faster, nn.GRU):
    """A GRU, for which torch has no kernel of oneDNN."""


class Rnn(_Faster, nn.RNN):
    """A simple recurrent network."""


LAYERS = {"LSTM": Lstm, "GRU": Gru, "RNN": Rnn}
