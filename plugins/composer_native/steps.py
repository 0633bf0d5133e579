"""One step of a described cell by the compiled kernel; it knows no architecture by name.

The kernel knows the gates that a layer names; those of any other layer are computed by its own array functions.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_float, c_int, c_long, c_void_p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.types import Cell, Layer, State, Stepper
from composer_native.compiling import library

Floats = NDArray[np.float32]

PANEL = 16

GATES = {"lstm": 1, "gru": 2, "rnn": 3}
"""Those that the kernel computes; 0 stands for others."""


class _Matrix(Structure):
    _fields_ = (
        ("weights", c_void_p),
        ("bias", c_void_p),
        ("width", c_long),
        ("depth", c_long),
        ("half", c_int),
    )


class _Layer(Structure):
    _fields_ = (("from_input", _Matrix), ("from_state", _Matrix), ("gates", c_int))


_Update = ctypes.CFUNCTYPE(None, c_long, c_long, POINTER(c_float), POINTER(c_float), POINTER(c_float), POINTER(c_float))


class _Model(Structure):
    _fields_ = (
        ("embedding", c_void_p),
        ("offsets", c_void_p),
        ("columns", c_long),
        ("embedding_size", c_long),
        ("layers", POINTER(_Layer)),
        ("count", c_long),
        ("hidden", c_long),
        ("parts", c_long),
        ("head", _Matrix),
        ("outputs", c_long),
        ("residual", c_int),
        ("pointed", c_void_p),
        ("pointers", c_long),
        ("update", _Update),
        ("scratch", c_void_p),
    )


def native_stepper(cell: Cell) -> Stepper:
    """`step(inputs (B, C), state) -> (logits (B, V), state)`. RuntimeError where there is no kernel."""
    kernel = library()
    if kernel is None:
        raise RuntimeError("there is no compiled kernel")
    kernel.scratch_size.restype = c_long
    kernel.step.argtypes = [c_void_p, c_long, c_void_p, c_void_p, c_void_p, c_void_p]
    kernel.step.restype = None
    run = kernel.step
    failed: list[Exception] = []
    model = _described(cell, failed)
    parts, count, hidden, outputs = model.parts, model.count, model.hidden, model.outputs
    size = kernel.scratch_size(ctypes.byref(model))
    scratch = np.empty(0, dtype=np.float32)
    here = ctypes.addressof(model)

    def step(columns: NDArray[np.int64], state: State | None) -> tuple[Floats, State]:
        nonlocal scratch
        rows = len(columns)
        if len(scratch) < rows * size:
            scratch = np.empty(rows * size, dtype=np.float32)
            model.scratch = scratch.ctypes.data
        columns = np.ascontiguousarray(columns, dtype=np.int64)
        before = np.zeros((parts, rows, count, hidden), dtype=np.float32)
        for number, part in enumerate(state or ()):
            before[number] = part
        after, logits = np.empty_like(before), np.empty((rows, outputs), dtype=np.float32)
        run(here, rows, columns.ctypes.data, before.ctypes.data, after.ctypes.data, logits.ctypes.data)
        if failed:
            raise failed.pop()
        return logits, tuple(after)

    return step


def _described(cell: Cell, failed: list[Exception]) -> _Model:
    """The cell as the kernel reads it."""
    kept: list[Any] = []

    def pointer(array: NDArray[Any]) -> int:
        array = np.ascontiguousarray(array)
        kept.append(array)
        return int(array.ctypes.data)

    def matrix(weights: Floats, bias: Floats) -> _Matrix:
        panels, padded = _in_panels(weights), np.zeros(-(-len(bias) // PANEL) * PANEL, dtype=np.float32)
        padded[: len(bias)] = bias
        half = panels.dtype == np.float16
        return _Matrix(pointer(panels), pointer(padded), len(padded), weights.shape[1], half)

    first = cell.layers[0]
    hidden = first.recurrent.shape[1]
    layers = (_Layer * len(cell.layers))(
        *(
            _Layer(
                matrix(layer.inputs, layer.input_bias),
                matrix(layer.recurrent, layer.recurrent_bias),
                GATES.get(layer.gates, 0),
            )
            for layer in cell.layers
        )
    )
    head, bias = cell.head, cell.bias
    if cell.pointer is not None and cell.pointer_bias is not None:
        head, bias = np.concatenate([head, cell.pointer]), np.concatenate([bias, cell.pointer_bias])
    sizes = [len(table) for table in cell.columns]
    update = _Update(_update(cell.layers, hidden, layers, failed))
    kept += [layers, update]
    model = _Model(
        embedding=pointer(np.concatenate(cell.columns)),
        offsets=pointer(np.cumsum([0, *sizes[:-1]], dtype=np.int64)),
        columns=len(sizes),
        embedding_size=cell.columns[0].shape[1],
        layers=layers,
        count=len(cell.layers),
        hidden=hidden,
        parts=first.parts,
        head=matrix(head, bias),
        outputs=len(cell.bias),
        residual=cell.residual,
        pointed=pointer(np.array(cell.pointed, dtype=np.int64)),
        pointers=len(cell.pointed),
        update=update,
    )
    model.kept = kept  # what it points at lives as long
    return model


def _in_panels(weights: Floats) -> NDArray[Any]:
    """(panels, depth, PANEL) of a matrix (width, depth), padded with zeros; in 16 bits where that loses nothing."""
    width, depth = weights.shape
    padded = np.zeros((-(-width // PANEL) * PANEL, depth), dtype=np.float32)
    padded[:width] = weights
    with np.errstate(over="ignore"):
        half = padded.astype(np.float16)
    return (half if np.array_equal(half, padded) else padded).reshape(-1, PANEL, depth).transpose(0, 2, 1)


def _update(layers: tuple[Layer, ...], hidden: int, described: Any, failed: list[Exception]) -> Any:
    """What the kernel calls for gates that it does not know; no error passes through C, so it is left in `failed`."""

    def update(number: int, rows: int, from_input: Any, from_state: Any, before: Any, after: Any) -> None:
        layer, matrices = layers[number], described[number]
        shape = (layer.parts, rows, len(layers), hidden)
        own = tuple(np.ctypeslib.as_array(before, shape)[:, :, number])
        try:
            made = layer.update(
                _sums(from_input, rows, matrices.from_input, len(layer.inputs)),
                _sums(from_state, rows, matrices.from_state, len(layer.recurrent)),
                own,
            )
        except Exception as error:
            failed.append(error)
            return
        for part, values in zip(np.ctypeslib.as_array(after, shape), made, strict=True):
            part[:, number] = values

    return update


def _sums(values: Any, rows: int, matrix: _Matrix, width: int) -> Floats:
    """(rows, width) what a matrix gave, without its padding."""
    if not width:
        return np.zeros((rows, 0), dtype=np.float32)
    padded: Floats = np.ctypeslib.as_array(values, (rows, matrix.width))
    return padded[:, :width]
