"""LSTMs with layer norms, and with dropout of candidates or of recurrent weights. Their arrays have torch's names."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from composer_recurrent import compiled_varied
from composer_recurrent.dropout import Dropout
from composer_recurrent.layers import Lstm, Parts, State, initialise
from composer_recurrent.products import multiply

STATE_NORMS = ("gain_hh", "gain_c", "bias_c")
"""Arrays of the norms inside a step; those of the input are outside."""


def make_varied_lstm(
    input_size: int,
    hidden_size: int,
    layers: int,
    dropout: float,
    *,
    layer_norm: bool,
    recurrent_dropout: float,
    weight_dropout: float,
) -> nn.RNNBase:
    """Make LSTM layers, batch first, freshly initialised, with `dropout` between them."""
    between = dropout if layers > 1 else 0.0
    made = VariedLstm(input_size, hidden_size, layers, batch_first=True, dropout=between)
    made.vary(layer_norm, recurrent_dropout, weight_dropout)
    return initialise(made, "LSTM")


class VariedLstm(Lstm):
    """An LSTM whose layers are run as its options ask; where they ask for nothing, as torch's."""

    def vary(self, layer_norm: bool, recurrent_dropout: float, weight_dropout: float) -> None:
        """Set the options; the arrays of norms are made here."""
        self.layer_norm = layer_norm
        self.candidate_dropout, self.weight_dropout = Dropout(recurrent_dropout), Dropout(weight_dropout)
        for layer in range(self.num_layers if layer_norm else 0):
            for name, size in (("gain_ih", 4), ("gain_hh", 4), ("gain_c", 1), ("bias_c", 1)):
                begun = torch.full((size * self.hidden_size,), float(name != "bias_c"))
                self.register_parameter(f"{name}_l{layer}", nn.Parameter(begun))

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:  # type: ignore[override]
        """Compute what the options ask for, by steps where torch has no such layer."""
        if self.layer_norm or (self.training and self.candidate_dropout.share):
            return self.run_layers(self._run_steps, x, state)
        if self.training and (x.device.type != "cpu" or x.shape[1] == 1):
            return self.run_layers(self.run_by_torch, x, state)  # which is given the weights that are left
        return super().forward(x, state)

    def get_weights(self, layer: int) -> list[Tensor]:
        """Return the arrays of a layer; while training, without the recurrent weights that are dropped."""
        inputs, recurrent, *biases = super().get_weights(layer)
        return [inputs, self.weight_dropout(recurrent), *biases]

    def _run_steps(self, x: Tensor, state: Parts, layer: int) -> tuple[Tensor, Parts]:
        """Run a layer, x (T, B, E) and the state (B, H) each, in fp32 but for the products."""
        inputs, recurrent, bias, state_bias = self.get_weights(layer)
        products = multiply(x, inputs)
        sums = self._normalise(products, "ih", layer) + (bias + state_bias)
        kept = self._draw_kept(sums)
        if torch.is_grad_enabled() and (library := compiled_varied.load_library(sums)) is not None:
            norms = [getattr(self, f"{name}_l{layer}") for name in STATE_NORMS] if self.layer_norm else []
            return compiled_varied.run_steps(sums, recurrent.to(products.dtype), norms, kept, state, library)
        (hidden, cell), read = state, []
        for step, from_input in enumerate(sums.unbind(0)):
            from_state = self._normalise(functional.linear(hidden, recurrent), "hh", layer)
            in_gate, forget, candidate, output = (from_input + from_state).chunk(4, dim=-1)
            added = torch.tanh(candidate) if kept is None else torch.tanh(candidate) * kept[step]
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(in_gate) * added
            shown = self._normalise(cell, "c", layer)
            if self.layer_norm:
                shown = shown + getattr(self, f"bias_c_l{layer}")
            hidden = torch.sigmoid(output) * torch.tanh(shown)
            read.append(hidden)
        return torch.stack(read), (hidden, cell)

    def _draw_kept(self, sums: Tensor) -> Tensor | None:
        """Draw what the candidates (T, B, H) of all steps are multiplied by, 0 for those that are dropped."""
        if not (self.training and self.candidate_dropout.share):
            return None
        return self.candidate_dropout(sums.new_ones(*sums.shape[:2], self.hidden_size))

    def _normalise(self, x: Tensor, name: str, layer: int) -> Tensor:
        """Normalise sums or cells in the precision of the weights, where there are norms."""
        x = x.to(self.weight_hh_l0.dtype)
        return functional.layer_norm(x, x.shape[-1:], getattr(self, f"gain_{name}_l{layer}")) if self.layer_norm else x
