"""One step of a cell in the compiled kernel, for any architecture that has a cell.

The kernel computes the gates of lstm, gru, rnn, mingru and minlstm. Any other layer's own array functions are called
back. In `int8`, quantisation is vector-wise, since an unbounded state may have outliers (Dettmers et al. 2022,
LLM.int8()). Each output's weights are rounded to -63..63 times their scale, and each input row to -127..127 times its
own. So the sum of two products fits into 16 bits.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from ctypes import POINTER, Structure, c_float, c_int, c_long, c_void_p
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.errors import BadModelFile
from composer.fitting import check_cell, check_columns, check_state, check_update, convert_columns
from composer.tokens.jit import c_compiler
from composer.types import Cell, Layer, State, Step
from composer_native.threads import ThreadTuner

# --- the compiled kernel ----------------------------------------------------------------------------------------------


SOURCE = Path(__file__).with_name("kernel.c")

FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC", "-pthread")
"""Without `-ffast-math`: sums keep their order, so a row is the same in any batch."""


def load_kernel() -> ctypes.CDLL | None:
    """Return the kernel, or None if no compiler can build it."""
    return c_compiler.load_library(SOURCE.read_text(encoding="utf-8"), FLAGS)


# --- steps ------------------------------------------------------------------------------------------------------------


Floats = NDArray[np.float32]

PANEL = 16

UNFIT = "the model's architecture has a cell beyond the limits of the backend 'native'; `--backend numpy` has none."

GATES = {"lstm": 1, "gru": 2, "rnn": 3, "mingru": 4, "minlstm": 5}
"""Gates that the kernel computes; 0 stands for others."""

FLOAT, HALF, BYTE = range(3)
"""Types of weights in the kernel."""

LEAST = 1e-30
"""If all weights of an output are below this, they become 0."""

STEPS, ZERO, GROUP = 63, 128, 8
"""In int8: the largest weight, the code of 0 in a row, and the number of inputs in a group."""

ENOUGH = 4_000_000
"""Products in a step above which threads may be faster, measured (2 vCPU AMD EPYC, znver3)."""


class _Matrix(Structure):
    _fields_ = (
        ("weights", c_void_p),
        ("bias", c_void_p),
        ("scales", c_void_p),
        ("zero_point", c_void_p),
        ("width", c_long),
        ("depth", c_long),
        ("kind", c_int),
    )


class _Layer(Structure):
    _fields_ = (("from_input", _Matrix), ("from_state", _Matrix), ("gates", c_int))


_Update = ctypes.CFUNCTYPE(None, c_long, c_long, POINTER(c_float), POINTER(c_float), POINTER(c_float), POINTER(c_float))


class _Model(Structure):
    _fields_ = (
        ("embedding", c_void_p),
        ("offsets", c_void_p),
        ("sizes", c_void_p),
        ("embeddings", c_long),
        ("columns", c_long),
        ("embedding_size", c_long),
        ("layers", POINTER(_Layer)),
        ("count", c_long),
        ("hidden", c_long),
        ("parts", c_long),
        ("head", _Matrix),
        ("head_embedded", _Matrix),
        ("outputs", c_long),
        ("residual", c_int),
        ("bytes", c_int),
        ("pointed", c_void_p),
        ("pointers", c_long),
        ("update", _Update),
        ("scratch", c_void_p),
        ("room", c_long),
    )


def make_native_step(cell: Cell, precision: str = "float32", threads: int = 1, names: Sequence[str] = ()) -> Step:
    """Return `step(inputs (B, C), state) -> (logits (B, V), state)`. RuntimeError if there is no kernel.

    `precision` is float32 or int8. The number of `threads` changes no bit of the result. `names` are those of the input
    features, for errors. Raises Unfit for a cell whose arrays do not fit one another, BadModelFile for one beyond the
    limits of the kernel. A step raises BadModelFile for features beyond their tables and for an update that makes other
    arrays than a state's, and ValueError for a state of another shape.
    """
    kernel = load_kernel()
    if kernel is None:
        raise RuntimeError("there is no compiled kernel")
    kernel.scratch_size.argtypes = [c_void_p, c_long, c_long]
    kernel.scratch_size.restype = c_long
    sizes = [len(table) for table in cell.columns]
    check_cell(cell, sizes, len(cell.bias))
    failed: list[BaseException] = []
    model = _build_model(cell, precision == "int8", failed)
    parts, count, hidden, outputs, width = model.parts, model.count, model.hidden, model.outputs, model.columns
    run, here = _make_runner(kernel, model, threads), ctypes.addressof(model)
    _make_scratch(kernel.scratch_size(here, 1, threads))  # a cell beyond the limits is refused before the first step
    scratch, room = np.empty(0, dtype=np.float32), 0
    last: tuple[State, Floats] = (), scratch  # the last state returned, which is mostly the next one passed in

    def step(columns: NDArray[np.int64], state: State | None) -> tuple[Floats, State]:
        nonlocal scratch, room, last
        columns = np.ascontiguousarray(convert_columns(columns, width))
        rows = len(columns)
        if rows > room:
            scratch, room = _make_scratch(kernel.scratch_size(here, rows, threads)), rows
            model.scratch, model.room = scratch.ctypes.data, len(scratch)
        shape = (parts, rows, count, hidden)
        before = last[1] if state is last[0] and last[1].shape == shape else _join_state(state, shape)
        after, logits = np.empty(shape, dtype=np.float32), np.empty((rows, outputs), dtype=np.float32)
        failed.clear()
        if run(rows, columns, before, after, logits):
            check_columns(columns, np.array(sizes), names)
            raise BadModelFile(UNFIT)
        if failed:
            raise failed[0]
        last = tuple(after), after
        return logits, last[0]

    return step


def _make_scratch(size: int) -> Floats:
    """Allocate `size` floats. Raises BadModelFile for a negative size."""
    if size < 0:
        raise BadModelFile(UNFIT)
    return np.empty(size, dtype=np.float32)


def _make_runner(kernel: ctypes.CDLL, model: _Model, threads: int) -> Callable[..., int]:
    """Return `run(rows, columns, before, after, logits)`, which uses the fastest number of threads, at most `threads`.

    It returns the kernel's result: 0, or an error code.
    """
    kernel.step.argtypes = [c_void_p, c_long, c_void_p, c_void_p, c_void_p, c_void_p, c_long]
    kernel.step.restype = c_int
    here, products = ctypes.addressof(model), _count_products(model)
    step: Callable[..., int] = kernel.step
    tuners: dict[int, ThreadTuner] = {}

    def run(rows: int, *arrays: NDArray[Any]) -> int:
        addresses = [array.ctypes.data for array in arrays]
        if threads == 1 or rows * products < ENOUGH:
            return step(here, rows, *addresses, 1)
        tuner = tuners.setdefault(rows.bit_length(), ThreadTuner(threads))
        chosen, began = tuner.choose_threads(), perf_counter()
        result = step(here, rows, *addresses, chosen)
        tuner.record(chosen, perf_counter() - began)
        return result

    return run


def _join_state(state: State | None, shape: tuple[int, ...]) -> Floats:
    """Join the parts of a state in one array (parts, B, layers, H). Raises ValueError for another shape."""
    if state is None:
        return np.zeros(shape, dtype=np.float32)
    check_state(state, shape)
    return np.stack([np.asarray(part, dtype=np.float32) for part in state])


def _count_products(model: _Model) -> int:
    """Count the multiplications of one row."""
    layers = (model.layers[number] for number in range(model.count))
    matrices = [m for layer in layers for m in (layer.from_input, layer.from_state)] + [model.head, model.head_embedded]
    return sum(m.width * m.depth for m in matrices)


def _build_model(cell: Cell, whole: bool, failed: list[BaseException]) -> _Model:
    """Build the kernel's model of a cell, with weights in int8 if `whole`, else in floats."""
    alive: list[Any] = []

    def get_pointer(array: NDArray[Any]) -> int:
        array = np.ascontiguousarray(array)
        alive.append(array)
        return int(array.ctypes.data)

    def make_matrix(weights: Floats, bias: Floats | None = None) -> _Matrix:
        width, depth = weights.shape
        if not width or not depth:
            return _Matrix()
        padded = np.zeros((-(-width // PANEL) * PANEL, depth), dtype=np.float32)
        padded[:width] = weights
        made = _pack_int8(padded, get_pointer) if whole else _pack_floats(padded, get_pointer)
        if bias is not None:
            padded_bias = np.zeros(len(padded), dtype=np.float32)
            padded_bias[:width] = bias  # ValueError for another length, which the kernel could not see
            made.bias = get_pointer(padded_bias)
        return made

    first = cell.layers[0]
    hidden = first.recurrent.shape[1]
    layers = (_Layer * len(cell.layers))(
        *(
            _Layer(
                make_matrix(layer.inputs, layer.input_bias),
                make_matrix(layer.recurrent, layer.recurrent_bias),
                GATES.get(layer.gates, 0),
            )
            for layer in cell.layers
        )
    )
    head, bias = _join_head(cell)
    sizes = [len(table) for table in cell.columns]
    update = _Update(_make_update(cell.layers, hidden, layers, failed))
    alive += [layers, update]
    model = _Model(
        embedding=get_pointer(np.concatenate(cell.columns, dtype=np.float32)),
        offsets=get_pointer(np.cumsum([0, *sizes[:-1]], dtype=np.int64)),
        sizes=get_pointer(np.array(sizes, dtype=np.int64)),
        embeddings=sum(sizes),
        columns=len(sizes),
        embedding_size=cell.columns[0].shape[1],
        layers=layers,
        count=len(cell.layers),
        hidden=hidden,
        parts=first.parts,
        head=make_matrix(head[:, :hidden], bias),
        head_embedded=make_matrix(head[:, hidden:]),
        outputs=len(cell.bias),
        residual=cell.residual,
        bytes=whole,
        pointed=get_pointer(np.array(cell.pointed, dtype=np.int64)),
        pointers=len(cell.pointed),
        update=update,
    )
    model.alive = alive  # keeps the arrays behind its pointers alive
    return model


def _join_head(cell: Cell) -> tuple[Floats, Floats]:
    """Return the matrix and the bias of the output, with the pointer's rows below."""
    if cell.pointer is None or cell.pointer_bias is None:
        return cell.head, cell.bias
    return np.concatenate([cell.head, cell.pointer]), np.concatenate([cell.bias, cell.pointer_bias])


def _pack_floats(weights: Floats, pointer: Callable[[NDArray[Any]], int]) -> _Matrix:
    """Pack a matrix (width, depth) in panels of (depth, PANEL), with 16 bits where they are exact."""
    with np.errstate(over="ignore"):
        half = weights.astype(np.float16)
    exact = np.array_equal(half, weights)
    panels = (half if exact else weights).reshape(-1, PANEL, weights.shape[1]).transpose(0, 2, 1)
    return _Matrix(pointer(panels), width=len(weights), depth=weights.shape[1], kind=HALF if exact else FLOAT)


def _pack_int8(weights: Floats, pointer: Callable[[NDArray[Any]], int]) -> _Matrix:
    """Quantise a matrix (width, depth) to int8, in panels of (depth / 4, PANEL, 4)."""
    greatest = np.abs(weights).max(axis=1, keepdims=True)
    greatest = np.where(greatest > LEAST, greatest, 0)
    with np.errstate(invalid="ignore"):  # a cell may have infinite weights
        steps = np.rint(weights * (STEPS / np.where(greatest > 0, greatest, np.inf))).astype(np.int8)
    steps = np.pad(steps, ((0, 0), (0, -weights.shape[1] % GROUP)))
    width, depth = steps.shape
    return _Matrix(
        pointer(steps.reshape(-1, PANEL, depth // 4, 4).transpose(0, 2, 1, 3)),
        scales=pointer((greatest[:, 0] / STEPS).astype(np.float32)),
        zero_point=pointer(-ZERO * steps.sum(axis=1, dtype=np.int32)),
        width=width,
        depth=depth,
        kind=BYTE,
    )


def _make_update(layers: tuple[Layer, ...], hidden: int, described: Any, failed: list[BaseException]) -> Any:
    """Make the callback for gates unknown to the kernel. Exceptions cannot pass through C; they go to `failed`."""

    def update(number: int, rows: int, from_input: Any, from_state: Any, before: Any, after: Any) -> None:
        if failed:  # in a layer below
            return
        layer, matrices = layers[number], described[number]
        shape = (layer.parts, rows, len(layers), hidden)
        try:
            # Copies, since the memory behind the pointers is not theirs who keep an array or write to it.
            own = tuple(part[:, number].copy() for part in np.ctypeslib.as_array(before, shape))
            with np.errstate(over="ignore", invalid="ignore"):  # drawing detects NaN
                made = layer.update(
                    _read_sums(from_input, rows, matrices.from_input, len(layer.inputs)),
                    _read_sums(from_state, rows, matrices.from_state, len(layer.recurrent)),
                    own,
                )
            values = check_update(made, number, layer.parts, (rows, hidden))
            np.stack(values, out=np.ctypeslib.as_array(after, shape)[:, :, number])
        except BaseException as error:  # Ctrl-C, too: the step after it would go on with what it did not compute
            failed.append(error)

    return update


def _read_sums(values: Any, rows: int, matrix: _Matrix, width: int) -> Floats:
    """Return (rows, width) a copy of the product with a matrix, without its padding."""
    if not width:
        return np.zeros((rows, 0), dtype=np.float32)
    padded: Floats = np.ctypeslib.as_array(values, (rows, matrix.width))
    return padded[:, :width].copy()
