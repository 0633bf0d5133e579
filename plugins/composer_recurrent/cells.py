"""One step of `lstm`, `gru` and `rnn` in array functions, with gates in torch's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from composer.arrays import convert_like, get_namespace
from composer.types import Array, Cell, Layer, State

Weights = Mapping[str, NDArray[np.float32]]

EPSILON = 1e-5
"""Added to a variance, as torch's layer norm does."""


def update_lstm(from_input: Array, from_state: Array, state: State) -> State:
    """Update an LSTM: input, forget, cell and output gates; the state is (hidden, cell)."""
    xp = get_namespace(from_input)
    sums = from_input + from_state
    width = sums.shape[1] // 4
    in_gate, forget, out_gate = (sigmoid(xp, sums[:, gate * width : (gate + 1) * width]) for gate in (0, 1, 3))
    cell = forget * state[1] + in_gate * xp.tanh(sums[:, 2 * width : 3 * width])
    return out_gate * xp.tanh(cell), cell


def update_normed_lstm(gains: State, biases: State, from_input: Array, from_state: Array, state: State) -> State:
    """Update an LSTM with layer norms; `gains` are of both sums and of the cell, `biases` of the sums and the cell."""
    xp = get_namespace(from_input)
    of_input, of_state, of_cell, bias, cell_bias = (convert_like(array, from_input) for array in (*gains, *biases))
    sums = _normalise(xp, from_input) * of_input + _normalise(xp, from_state) * of_state + bias
    width = sums.shape[1] // 4
    in_gate, forget, out_gate = (sigmoid(xp, sums[:, gate * width : (gate + 1) * width]) for gate in (0, 1, 3))
    cell = forget * state[1] + in_gate * xp.tanh(sums[:, 2 * width : 3 * width])
    return out_gate * xp.tanh(_normalise(xp, cell) * of_cell + cell_bias), cell


def _normalise(xp: Array, x: Array) -> Array:
    centred = x - xp.mean(x, axis=1, keepdims=True)
    return centred / xp.sqrt(xp.mean(centred * centred, axis=1, keepdims=True) + EPSILON)


def update_gru(from_input: Array, from_state: Array, state: State) -> State:
    """Update a GRU: reset and update gates and the candidate, reset after the product as in torch and cuDNN."""
    xp = get_namespace(from_input)
    width = from_input.shape[1] // 3
    gates = sigmoid(xp, from_input[:, : 2 * width] + from_state[:, : 2 * width])
    reset, update = gates[:, :width], gates[:, width:]
    candidate = xp.tanh(from_input[:, 2 * width :] + reset * from_state[:, 2 * width :])
    return (candidate + update * (state[0] - candidate),)


def update_rnn(from_input: Array, from_state: Array, _: State) -> State:
    """Update Elman's cell."""
    return (get_namespace(from_input).tanh(from_input + from_state),)


def sigmoid(xp: Array, x: Array) -> Array:
    """Compute the logistic function by tanh, which never overflows."""
    return 0.5 + 0.5 * xp.tanh(0.5 * x)


UPDATES = {"LSTM": (update_lstm, 4, 2), "GRU": (update_gru, 3, 1), "RNN": (update_rnn, 1, 1)}
"""The update of each of torch's layers, the sums of a unit, and the arrays of its state."""


def make_layers(kind: str, layers: int, weights: Weights) -> tuple[Layer, ...]:
    """Make the layers of a network with torch's recurrent layers and these weights."""
    update, _, parts = UPDATES[kind]
    return tuple(
        Layer(
            inputs=weights[f"recurrence.weight_ih_l{layer}"],
            input_bias=weights[f"recurrence.bias_ih_l{layer}"],
            recurrent=weights[f"recurrence.weight_hh_l{layer}"],
            recurrent_bias=weights[f"recurrence.bias_hh_l{layer}"],
            update=update,
            parts=parts,
            gates=kind.lower(),
        )
        for layer in range(layers)
    )


def make_normed_layers(layers: int, weights: Weights) -> tuple[Layer, ...]:
    """Make the layers of an LSTM with layer norms; biases come after the norms, and so in the update."""
    return tuple(
        replace(
            layer,
            input_bias=np.zeros_like(layer.input_bias),
            recurrent_bias=np.zeros_like(layer.recurrent_bias),
            update=partial(
                update_normed_lstm,
                tuple(weights[f"recurrence.{name}_l{number}"] for name in ("gain_ih", "gain_hh", "gain_c")),
                (layer.input_bias + layer.recurrent_bias, weights[f"recurrence.bias_c_l{number}"]),
            ),
            gates="",
        )
        for number, layer in enumerate(make_layers("LSTM", layers, weights))
    )


def make_cell(
    layers: tuple[Layer, ...], column_sizes: Sequence[int], weights: Weights, *, residual: bool = False
) -> Cell:
    """Make the cell of a `RecurrentNetwork` with these layers and weights."""
    embedding, head = weights["embedding.weight"], weights["head.weight"]
    if "bias" in weights:  # the head's output is an embedding, multiplied by those of the tokens
        tokens = embedding[: len(weights["bias"])]
        with np.errstate(over="ignore", invalid="ignore"):
            head, bias = tokens @ head, tokens @ weights["head.bias"] + weights["bias"]
        if not (np.isfinite(head).all() and np.isfinite(bias).all()):
            raise ValueError("tied weights are so large that their products overflow")
    else:
        bias = weights["head.bias"]
    points = "pointer.weight" in weights
    return Cell(
        columns=tuple(np.split(embedding, np.cumsum(column_sizes)[:-1])),
        layers=layers,
        head=head,
        bias=bias,
        pointed=tuple(number for number, size in enumerate(column_sizes) if points and size == len(bias)),
        pointer=weights.get("pointer.weight"),
        pointer_bias=weights.get("pointer.bias"),
        residual=residual,
    )
