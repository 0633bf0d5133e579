"""Torch's recurrent layers, freshly initialised."""

from __future__ import annotations

from torch import nn


def make_torch_layers(kind: str, input_size: int, hidden_size: int, layers: int, dropout: float) -> nn.RNNBase:
    """Make `LSTM`, `GRU` or `RNN` layers, batch first, with dropout between layers."""
    between = dropout if layers > 1 else 0.0
    made: nn.RNNBase = getattr(nn, kind)(input_size, hidden_size, layers, batch_first=True, dropout=between)
    for name, parameter in made.named_parameters():
        if name.startswith("weight_hh"):
            for gate in parameter.data.split(hidden_size):
                nn.init.orthogonal_(gate)
        elif kind == "LSTM" and name.startswith("bias_ih"):
            parameter.data[hidden_size : 2 * hidden_size].fill_(1.0)  # forget gates open (Jozefowicz et al. 2015)
    return made
