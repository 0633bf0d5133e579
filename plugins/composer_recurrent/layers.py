"""Torch's recurrent layers, freshly initialised; in training with compiled C where that is faster."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from composer_recurrent import compiled
from composer_recurrent.dropout import Dropout

Parts = tuple[Tensor, ...]
State = Tensor | Parts
Run = Callable[[Tensor, Parts, int], tuple[Tensor, Parts]]

WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
"""Names of a layer's arrays, in the order of torch's functions."""

WIDE = 512
"""Width from which an LSTM in bf16 is faster in C than by oneDNN (Zen 5: × 1.2 at 512, 1.5 at 640, 2.4 at 768)."""


def make_torch_layers(kind: str, input_size: int, hidden_size: int, layers: int, dropout: float) -> nn.RNNBase:
    """Make `LSTM`, `GRU` or `RNN` layers, batch first, with dropout between layers."""
    between = dropout if layers > 1 else 0.0
    return initialise(LAYERS[kind](input_size, hidden_size, layers, batch_first=True, dropout=between), kind)


def initialise(made: nn.RNNBase, kind: str) -> nn.RNNBase:
    """Initialise the matrices and biases of torch's layers, and return these."""
    hidden_size = made.hidden_size
    for name, parameter in made.named_parameters():
        if name.startswith("weight_hh"):
            for gate in parameter.data.split(hidden_size):
                nn.init.orthogonal_(gate)
        elif kind == "LSTM" and name.startswith("bias_ih"):
            parameter.data[hidden_size : 2 * hidden_size].fill_(1.0)  # forget gates open (Jozefowicz et al. 2015)
    return made


class _Faster(nn.RNNBase):
    """Layers whose gradients are computed by compiled C: once for the whole sequence where torch sums them up."""

    weight_hh_l0: Tensor
    takes_rounded = True

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Compute what torch's layers compute; on a GPU, without gradients, or for one step, by them."""
        if x.device.type != "cpu" or not torch.is_grad_enabled() or x.shape[1] == 1:
            return super().forward(x, state)
        return self.run_layers(
            self._run_compiled if self._prefers_c(x) and self._has_c(x) else self.run_by_torch, x, state
        )

    def run_layers(self, run: Run, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Run the layers one after the other by `run(x (T, B, E), state, layer)`, with dropout between them."""
        between = Dropout(self.dropout).train(self.training)
        read, after = x.transpose(0, 1), []
        for layer in range(self.num_layers):
            read, last = run(between(read) if layer else read, self._get_state(x, state, layer), layer)
            after.append(last)
        parts = tuple(torch.stack(part) for part in zip(*after, strict=True))
        return read.transpose(0, 1), parts if len(parts) > 1 else parts[0]

    def get_weights(self, layer: int) -> list[Tensor]:
        """Return the arrays of a layer, in the order of torch's functions."""
        return [getattr(self, f"{name}_l{layer}") for name in WEIGHTS]

    def _run_compiled(self, x: Tensor, state: Parts, layer: int) -> tuple[Tensor, Parts]:
        return compiled.run_layer(x, state, self.get_weights(layer))

    def run_by_torch(self, x: Tensor, state: Parts, layer: int) -> tuple[Tensor, Parts]:
        """Compute a layer as `compiled.run_layer` does."""
        weights = self.get_weights(layer)
        run = getattr(torch, self.mode.lower())
        before = tuple(part[None] for part in state)
        given = before if len(before) > 1 else before[0]
        read, *after = run(x, given, weights, True, 1, 0.0, self.training, False, False)
        return read, tuple(part[0] for part in after)

    def _has_c(self, x: Tensor) -> bool:
        return compiled.is_available(torch.promote_types(self.weight_hh_l0.dtype, torch.float32), x.device)

    def _prefers_c(self, x: Tensor) -> bool:
        """Tell whether C is the faster way: a rule, so that all runs on a machine compute the same."""
        return True

    def _get_state(self, x: Tensor, state: State | None, layer: int) -> Parts:
        if state is None:
            before = x.new_zeros(x.shape[0], self.hidden_size, dtype=self.weight_hh_l0.dtype)
            return (before,) * (2 if self.mode == "LSTM" else 1)
        parts = state if isinstance(state, tuple) else (state,)
        return tuple(part[layer].to(self.weight_hh_l0.dtype) for part in parts)


class Lstm(_Faster, nn.LSTM):  # type: ignore[misc]  # a state is a tensor, or two
    """An LSTM, for which oneDNN is the faster but for wide layers in bf16."""

    def _prefers_c(self, x: Tensor) -> bool:
        found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        low = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
        return low and self.hidden_size >= WIDE and not found.get("amx_bf16")


class Gru(_Faster, nn.GRU):  # type: ignore[misc]
    """A GRU, for which torch has no kernel of oneDNN."""


class Rnn(_Faster, nn.RNN):  # type: ignore[misc]
    """A simple recurrent network, with tanh."""


LAYERS = {"LSTM": Lstm, "GRU": Gru, "RNN": Rnn}
