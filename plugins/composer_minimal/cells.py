"""One step of `mingru` and `minlstm` in array functions, with gates in the order of their modules."""

from __future__ import annotations

import numpy as np

from composer.arrays import get_namespace
from composer.types import Array, Layer, State
from composer_recurrent.cells import Weights, sigmoid


def update_mingru(from_input: Array, _: Array, state: State) -> State:
    """Update a minimal GRU: update gate and candidate."""
    xp = get_namespace(from_input)
    width = from_input.shape[1] // 2
    update = sigmoid(xp, from_input[:, :width])
    return (state[0] + update * (_apply_g_array(xp, from_input[:, width:]) - state[0]),)


def update_minlstm(from_input: Array, _: Array, state: State) -> State:
    """Update a minimal LSTM: forget gate, input gate and candidate."""
    xp = get_namespace(from_input)
    width = from_input.shape[1] // 3
    log_forget, log_input = (_log_sigmoid(xp, from_input[:, gate * width : (gate + 1) * width]) for gate in (0, 1))
    forget = sigmoid(xp, log_forget - log_input)  # f / (f + i)
    candidate = _apply_g_array(xp, from_input[:, 2 * width :])
    return (candidate + forget * (state[0] - candidate),)


def _apply_g_array(xp: Array, x: Array) -> Array:
    return xp.where(x >= 0, x + 0.5, sigmoid(xp, x))


def _log_sigmoid(xp: Array, x: Array) -> Array:
    size = xp.abs(x)
    return 0.5 * (x - size) - xp.log1p(xp.exp(-size))


UPDATES = {"minGRU": (update_mingru, 2), "minLSTM": (update_minlstm, 3)}
"""The update of each kind of cell, and the sums of a unit."""


def make_layers(kind: str, layers: int, weights: Weights) -> tuple[Layer, ...]:
    """Make the layers of a network with `MinimalLayers` and these weights."""
    update, sums = UPDATES[kind]
    found = []
    for layer in range(layers):
        inputs = weights[f"recurrence.gates.{layer}.weight"]
        width = len(np.split(inputs, sums)[0])  # ValueError if the rows cannot be divided among units
        found.append(
            Layer(
                inputs=inputs,
                input_bias=weights[f"recurrence.gates.{layer}.bias"],
                recurrent=np.zeros((0, width), dtype=np.float32),
                recurrent_bias=np.zeros(0, dtype=np.float32),
                update=update,
                parts=1,
                gates=kind.lower(),
            )
        )
    return tuple(found)
