"""One step of a cell in the compiled kernel, for any architecture that has a cell.

The kernel computes the gates of lstm, gru, rnn, mingru and minlstm. Any other layer's own array functions are called
back.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from ctypes import POINTER, Structure, c_float, c_int, c_long, c_void_p
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.arrays import get_addresses
from composer.errors import BadModelFile
from composer.fitting import check_cell, check_columns, check_state, check_update, convert_columns
from composer.types import Cell, CompiledStep, Layer, State
from composer_native.compiling import load_kernel
from composer_native.packing import KINDS, Floats, Matrix, pack_embedding, pack_matrix
from composer_native.threads import ThreadTuner

UNFIT = "the model's architecture has a cell beyond the limits of the backend 'native'; `--backend numpy` has none."

GATES = {"lstm": (1, 4), "gru": (2, 3), "rnn": (3, 1), "mingru": (4, 2), "minlstm": (5, 3)}
"""Gates that the kernel computes: its number for them, and their sums in a unit."""

OTHER = 0, 1
"""The same for any others: their matrices are left as they are."""

ALIGNMENT = 64
"""Bytes. A vector that is in two lines of the cache takes twice the time."""

ENOUGH = 4_000_000
"""Products in a step above which threads may be faster, measured (2 vCPU AMD EPYC, znver3)."""


class _Layer(Structure):
    _fields_ = (("from_input", Matrix), ("from_state", Matrix), ("gates", c_int))


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
        ("head", Matrix),
        ("head_embedded", Matrix),
        ("outputs", c_long),
        ("residual", c_int),
        ("kind", c_int),
        ("embedding_kind", c_int),
        ("pointed", c_void_p),
        ("pointers", c_long),
        ("update", _Update),
        ("scratch", c_void_p),
        ("room", c_long),
    )


def make_native_step(
    cell: Cell, precision: str = "float32", threads: int = 1, names: Sequence[str] = (), instructions: str = "auto"
) -> NativeStep:
    """Return `step(inputs (B, C), state) -> (logits (B, V), state)`. RuntimeError if there is no kernel.

    `precision` is float32, bfloat16 or int8. `instructions` and the number of `threads` change no bit of the result.
    `names` are those of the input features, for errors. Raises Unfit for a cell whose arrays do not fit one another,
    BadModelFile for one beyond the limits of the kernel. A step raises BadModelFile for features beyond their tables
    and for an update that makes other arrays than a state's, and ValueError for a state of another shape.
    """
    kernel = load_kernel(instructions)
    if kernel is None:
        raise RuntimeError("there is no compiled kernel")
    kernel.scratch_size.argtypes = [c_void_p, c_long, c_long]
    kernel.scratch_size.restype = c_long
    kernel.step.argtypes = [c_void_p, c_long, c_void_p, c_void_p, c_void_p, c_void_p, c_long]
    kernel.step.restype = c_int
    check_cell(cell, [len(table) for table in cell.columns], len(cell.bias))
    return NativeStep(kernel, cell, precision, threads, names)


class NativeStep:
    """The step of a cell."""

    def __init__(self, kernel: ctypes.CDLL, cell: Cell, precision: str, threads: int, names: Sequence[str]) -> None:
        """Pack the matrices. Raises BadModelFile for a cell beyond the limits of the kernel."""
        self._failed: list[BaseException] = []
        self._model = build_model(cell, precision, bool(kernel.reads_halves()), self._failed)
        self._sizes, self._names = np.array([len(table) for table in cell.columns]), names
        self._width, self._outputs = self._model.columns, self._model.outputs
        self._shape = self._model.parts, self._model.count, self._model.hidden
        self._kernel, self._call, self._here = kernel, kernel.step, ctypes.addressof(self._model)
        self._threads, self._products = threads, _count_products(self._model)
        self._tuners: dict[int, ThreadTuner] = {}
        self._calls_back = any(layer.gates not in GATES for layer in cell.layers)
        _make_scratch(kernel.scratch_size(self._here, 1, threads))  # a cell beyond the limits is refused at once
        self._scratch, self._laid_out = np.empty(0, dtype=np.float32), 0
        # The last state returned, which is mostly the next one passed in.
        self._last: tuple[State, Floats] = (), self._scratch

    def __call__(self, columns: NDArray[np.int64], state: State | None) -> tuple[Floats, State]:
        """Take one step."""
        columns = np.ascontiguousarray(convert_columns(columns, self._width))
        rows = len(columns)
        if rows != self._laid_out:
            self._lay_out(rows)
        parts, count, hidden = self._shape
        shape = (parts, rows, count, hidden)
        last = self._last
        before = last[1] if state is last[0] and last[1].shape == shape else _join_state(state, shape)
        after, logits = np.empty(shape, dtype=np.float32), np.empty((rows, self._outputs), dtype=np.float32)
        self._failed.clear()
        if self._run(rows, columns, before, after, logits):
            check_columns(columns, self._sizes, self._names)
            raise BadModelFile(UNFIT)
        if self._failed:
            raise self._failed[0]
        self._last = tuple(after), after
        return logits, self._last[0]

    def begin(self, rows: int) -> State:
        """Make the state of rows before their first token: zeros."""
        parts, count, hidden = self._shape
        return tuple(np.zeros((parts, rows, count, hidden), dtype=np.float32))

    def compile(self, rows: int) -> CompiledStep | None:
        """Return the step as a function in C; None if it calls back an update in Python."""
        if self._calls_back:
            return None
        self._lay_out(rows)
        threads, record = self._choose_threads(rows)
        return CompiledStep(ctypes.cast(self._call, c_void_p).value or 0, self._here, threads, record)

    def _lay_out(self, rows: int) -> None:
        """Make room for so many rows. Fewer may need more: their blocks have more units."""
        needed = self._kernel.scratch_size(self._here, rows, self._threads)
        if not 0 <= needed <= len(self._scratch):
            self._scratch = _make_scratch(needed)
            self._model.scratch, self._model.room = self._scratch.ctypes.data, len(self._scratch)
        self._laid_out = rows

    def _run(self, rows: int, *arrays: NDArray[Any]) -> int:
        """Run the kernel with (columns, before, after, logits); return its result: 0, or an error code."""
        threads, record = self._choose_threads(rows)
        addresses = get_addresses(arrays)
        if record is None:
            return int(self._call(self._here, rows, *addresses, threads))
        began = perf_counter()
        result = int(self._call(self._here, rows, *addresses, threads))
        record(perf_counter() - began)
        return result

    def _choose_threads(self, rows: int) -> tuple[int, Callable[[float], None] | None]:
        """Choose the fastest number of threads, and return it with what is told the time of a step, if it asks."""
        if self._threads == 1 or rows * self._products < ENOUGH:
            return 1, None
        tuner = self._tuners.setdefault(rows.bit_length(), ThreadTuner(self._threads))
        chosen = tuner.choose_threads()
        return chosen, partial(tuner.record, chosen)


def _make_scratch(size: int) -> Floats:
    """Allocate `size` floats. Raises BadModelFile for a negative size."""
    if size < 0:
        raise BadModelFile(UNFIT)
    return align(np.empty(size, dtype=np.float32))


def align(array: NDArray[Any]) -> NDArray[Any]:
    """Return a copy that begins at a multiple of ALIGNMENT."""
    room = np.empty(array.nbytes + ALIGNMENT, dtype=np.uint8)
    begin = -room.ctypes.data % ALIGNMENT
    made = room[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape)
    made[...] = array
    return made


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


def build_model(cell: Cell, precision: str, reads_halves: bool, failed: list[BaseException]) -> _Model:
    """Build the kernel's model of a cell. Errors of updates that are called back go to `failed`."""
    alive: list[Any] = []

    def get_pointer(array: NDArray[Any]) -> int:
        alive.append(align(array))
        return int(alive[-1].ctypes.data)

    def make_matrix(weights: Floats, bias: Floats | None = None, gates: int = 1) -> Matrix:
        return pack_matrix(weights, bias, gates, precision, reads_halves, get_pointer)

    first = cell.layers[0]
    hidden = first.recurrent.shape[1]
    layers = (_Layer * len(cell.layers))(
        *(
            _Layer(
                make_matrix(layer.inputs, layer.input_bias, gates),
                make_matrix(layer.recurrent, layer.recurrent_bias, gates),
                number,
            )
            for layer in cell.layers
            for number, gates in [GATES.get(layer.gates, OTHER)]
        )
    )
    head, bias = _join_head(cell)
    embedding, embedding_kind = pack_embedding(cell.columns, reads_halves, get_pointer)
    sizes = [len(table) for table in cell.columns]
    update = _Update(_make_update(cell.layers, hidden, layers, failed))
    alive += [layers, update]
    model = _Model(
        embedding=embedding,
        embedding_kind=embedding_kind,
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
        kind=KINDS[precision],
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


def _read_sums(values: Any, rows: int, matrix: Matrix, width: int) -> Floats:
    """Return (rows, width) a copy of the product with a matrix, without its padding."""
    if not width:
        return np.zeros((rows, 0), dtype=np.float32)
    padded: Floats = np.ctypeslib.as_array(values, (rows, matrix.width))
    return padded[:, :width].copy()
