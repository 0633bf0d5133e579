"""One step of a cell in NumPy, for any architecture that has a cell.

Each row is multiplied on its own (a matrix-vector product), in one thread. So a row has the same bits in any batch. For
the first layer and the output, products with the embeddings are tables, computed once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from composer.fitting import check_columns, check_state, check_update, convert_columns
from composer.types import Cell, Layer, State, Step

Floats = NDArray[np.float32]

EPSILON = np.float32(1e-5)
"""Added to the variance, as in `Cell`."""


def make_numpy_step(cell: Cell, names: Sequence[str] = ()) -> Step:
    """Make `step(inputs (B, C), state) -> (logits (B, V), state)` with NumPy.

    `names` are those of the input features, for errors. A step raises BadModelFile for features beyond their tables and
    for an update that makes other arrays than a state's, and ValueError for a state of another shape.
    """
    threads = ThreadpoolController()
    width, size, parts = cell.layers[-1].recurrent.shape[1], len(cell.bias), cell.layers[0].parts
    head, bias = _append_pointer(cell)
    with threads.limit(limits=1):
        to_first = _make_tables(cell, cell.layers[0].inputs)
        to_output = _make_tables(cell, head[:, width:]) if head.shape[1] > width else None
    head = _transpose(head[:, :width])
    recurrent = [_transpose(layer.recurrent) for layer in cell.layers]
    inputs = [_transpose(layer.inputs) for layer in cell.layers]
    sizes = np.array([len(table) for table in cell.columns])

    def step(columns: NDArray[np.int64], state: State | None) -> tuple[Floats, State]:
        columns = convert_columns(columns, len(sizes))
        check_columns(columns, sizes, names)
        if state is not None:
            check_state(state, (parts, len(columns), len(cell.layers), width))
        before = _make_zero_state(cell.layers, len(columns)) if state is None else state
        after: list[State] = []
        with (
            threads.limit(limits=1),
            np.errstate(over="ignore", invalid="ignore"),  # drawing detects NaN
        ):
            for number, layer in enumerate(cell.layers):
                own = tuple(part[:, number] for part in before)
                from_input = (
                    _sum_tables(to_first, columns)
                    if number == 0
                    else _multiply(_read_layers(cell, after), inputs[number])
                )
                from_state = _multiply(own[0], recurrent[number])
                made = layer.update(from_input + layer.input_bias, from_state + layer.recurrent_bias, own)
                after.append(check_update(made, number, parts, own[0].shape))
            out = _multiply(_read_layers(cell, after), head) + bias
            if to_output is not None:
                out += _sum_tables(to_output, columns)
        logits, rows = out[:, :size], np.arange(len(columns))
        for index, column in enumerate(cell.pointed):  # one by one, since two may point at the same token
            tokens = columns[:, column]
            logits[rows, tokens] += np.where(tokens == 0, np.float32(0), out[:, size + index])
        return logits, tuple(np.stack(parts, axis=1) for parts in zip(*after, strict=True))

    return step


def _append_pointer(cell: Cell) -> tuple[Floats, Floats]:
    """Return the matrix and the bias of the output, with the pointer's rows below; both have the same inputs."""
    if cell.pointer is None or cell.pointer_bias is None:
        return cell.head, cell.bias
    return np.concatenate([cell.head, cell.pointer]), np.concatenate([cell.bias, cell.pointer_bias])


def _transpose(matrix: Floats) -> Floats:
    return np.ascontiguousarray(matrix.T)


def _make_tables(cell: Cell, matrix: Floats) -> list[Floats]:
    """Make a (size, G) table for each column: its embeddings times the matrix."""
    turned = _transpose(matrix)
    return [table @ turned for table in cell.columns]


def _sum_tables(tables: list[Floats], columns: NDArray[np.int64]) -> Floats:
    """Sum the table rows of all columns, (B, G), in the order of columns."""
    total = tables[0][columns[:, 0]]
    for number, table in enumerate(tables[1:], start=1):
        total += table[columns[:, number]]
    return total


def _multiply(rows: Floats, matrix: Floats) -> Floats:
    """Multiply each row by the matrix on its own, (B, G)."""
    product: Floats = np.matmul(np.ascontiguousarray(rows)[:, None, :], matrix)[:, 0]
    return product


def _read_layers(cell: Cell, after: list[State]) -> Floats:
    """Return (B, H) the input of the next layer: the last output, or the normalised sum of all."""
    if not cell.residual:
        return after[-1][0]
    # In C order, NumPy computes the mean of each row on its own, for any number of rows.
    total = np.ascontiguousarray(sum((state[0] for state in after[1:]), start=after[0][0]))
    centred = total - total.mean(axis=1, keepdims=True)
    normalised: Floats = centred / np.sqrt((centred * centred).mean(axis=1, keepdims=True) + EPSILON)
    return normalised


def _make_zero_state(layers: tuple[Layer, ...], rows: int) -> State:
    shape = (rows, len(layers), layers[0].recurrent.shape[1])
    return tuple(np.zeros(shape, dtype=np.float32) for _ in range(layers[0].parts))
