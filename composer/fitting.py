"""Checks that arrays fit one another: the weights of an architecture, its cell, and what a step is given.

Neither the weights of a stranger's model nor its header are trusted, and no array that a plugin makes is: backends take
sizes from one array for another, and a network could fill any memory. So everything is checked before use.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.errors import BadModelFile, printable
from composer.types import Architecture, Cell, Grammar, HasShapes, Layer, State

Weights = Mapping[str, NDArray[Any]]
Shape = tuple[int, ...]


class UnfitWeights(ValueError):
    """Weights that do not fit the architecture; the text says which."""


class FaultyArchitecture(UnfitWeights):
    """An architecture one of whose methods raised an error; the text names the method and the error."""


@contextmanager
def find_faults(method: str, name: str, *more: type[Exception]) -> Iterator[None]:
    """Turn errors inside, of a method of an architecture, into Faulty: its name, what is wrong, and where.

    Errors are LookupError, TypeError, ValueError and `more`; others pass, and so does Unfit.
    """
    caught: tuple[type[Exception], ...] = (LookupError, TypeError, ValueError, *more)
    try:
        yield
    except UnfitWeights:
        raise
    except caught as error:
        raise FaultyArchitecture(describe_fault(method, name, error)) from error


def describe_fault(method: str, name: str, error: BaseException) -> str:
    """Describe an error that a method of an architecture raised: which, what is wrong, and where."""
    what = f"{type(error).__name__}: {printable(str(error).partition(chr(10))[0], 160)}"  # torch adds its traceback
    return f"`{method}` of the architecture '{printable(name)}' raises {what} (in {_find_place(error)})"


def _find_place(error: BaseException) -> str:
    """Find the place in the code of an architecture that raised an error, or called last on the way to it."""
    from traceback import walk_tb

    from composer.plugins.discovery import describe_place

    frames = [(frame, line, str(frame.f_globals.get("__name__", ""))) for frame, line in walk_tb(error.__traceback__)]
    called = next((name for *_, name in frames if name.partition(".")[0] not in ("composer", "contextlib")), "")
    frame, line, _ = next((one for one in reversed(frames) if one[2] == called), frames[-1])
    return describe_place(frame.f_code, line)


# --- arrays by name ---------------------------------------------------------------------------------------------------


def check_shapes(shapes: Iterable[tuple[str, Shape]], weights: Weights, counts: Container[str] = ()) -> None:
    """Raise Unfit unless the weights have these names and shapes, no others, and hold floating-point numbers.

    Only arrays named in `counts` may hold integers. Shapes are checked one by one up to the first mismatch, so that a
    huge number of layers in a file costs nothing.
    """
    known = set()
    for name, shape in shapes:
        if name not in weights:
            raise UnfitWeights(f"there is no array '{printable(name)}'")
        _check(f"'{printable(name)}'", weights[name], shape)
        if name not in counts:
            _check_kind(f"'{printable(name)}'", weights[name])
        known.add(name)
    if more := weights.keys() - known:
        raise UnfitWeights(f"it has no array '{printable(min(more))}'")


def check_weights(
    architecture: Architecture, column_sizes: Sequence[int], vocabulary_size: int, weights: Weights
) -> None:
    """Raise Unfit unless the weights have the names and shapes that the architecture lists.

    An architecture that lists no shapes is checked by its cell or module instead.
    """
    if isinstance(architecture, HasShapes):
        check_shapes(architecture.list_shapes(column_sizes, vocabulary_size), weights)


def _check(name: str, array: Any, shape: Sequence[int]) -> None:
    if not isinstance(array, np.ndarray):
        raise UnfitWeights(f"{name} is no array")
    if array.shape != tuple(shape):
        raise UnfitWeights(f"{name} is {_format_shape(array.shape)}, and should be {_format_shape(shape)}")


def _check_kind(name: str, array: NDArray[Any]) -> None:
    if array.dtype.kind != "f":
        raise UnfitWeights(f"{name} holds {array.dtype}, and should hold floating-point numbers")


def _format_shape(shape: Sequence[int]) -> str:
    """Format a shape for a sentence; numbers from a file may have any number of digits."""
    sizes = [str(size) if abs(size) < 2**63 else "2^63 or more" for size in shape]
    return " x ".join(sizes) if sizes else "a single number"


# --- a cell -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Gates:
    sums: int  # gates and candidates of a unit, G
    parts: int
    recurrent: bool  # whether recurrent weights have G rows a unit, or none


GATES = {
    "lstm": _Gates(4, 2, True),
    "gru": _Gates(3, 1, True),
    "rnn": _Gates(1, 1, True),
    "mingru": _Gates(2, 1, False),
    "minlstm": _Gates(3, 1, False),
}
"""The gates of a layer, by name."""


def check_cell(cell: Cell, column_sizes: Sequence[int], vocabulary_size: int) -> None:
    """Raise Unfit unless the arrays of a cell are float32, and fit each other, the features and the vocabulary."""
    if not isinstance(cell, Cell) or not all(isinstance(layer, Layer) for layer in cell.layers):
        raise UnfitWeights("a cell is a Cell of Layers")
    if len(cell.columns) != len(column_sizes) or not cell.columns or not cell.layers:
        raise UnfitWeights(f"a cell has {len(cell.columns)} columns and {len(cell.layers)} layers")
    width, hidden = (
        _get_width("the first column", cell.columns[0]),
        _get_width("layer 1: recurrent", cell.layers[0].recurrent),
    )
    for number, (table, size) in enumerate(zip(cell.columns, column_sizes, strict=True), start=1):
        _check_floats(f"column {number}", table, (size, width))
    for number, layer in enumerate(cell.layers, start=1):
        _check_layer(f"layer {number}", layer, width if number == 1 else hidden, hidden)
        if layer.parts != cell.layers[0].parts:
            raise UnfitWeights(f"layer {number} has {layer.parts} parts, and the first has {cell.layers[0].parts}")
    seen = hidden + width if _get_width("the head", cell.head) == hidden + width else hidden
    _check_floats("the head", cell.head, (vocabulary_size, seen))
    _check_floats("the head's bias", cell.bias, (vocabulary_size,))
    _check_pointer(cell, column_sizes, seen)


def _check_layer(name: str, layer: Layer, below: int, hidden: int) -> None:
    if not callable(layer.update) or type(layer.parts) is not int or layer.parts < 1:
        raise UnfitWeights(f"{name} needs a function as `update` and a whole number from 1 as `parts`")
    if layer.gates not in ("", *GATES):
        raise UnfitWeights(f"{name} has unknown gates '{printable(str(layer.gates))}'; there are {', '.join(GATES)}")
    known = GATES.get(layer.gates)
    if known and layer.parts != known.parts:
        raise UnfitWeights(f"{name} has the gates '{layer.gates}', of {known.parts} parts, and not {layer.parts}")
    sums = known.sums * hidden if known else len(layer.inputs)
    recurrent = sums if (known.recurrent if known else len(layer.recurrent)) else 0
    if sums < 1:
        raise UnfitWeights(f"{name} has no sums")
    _check_floats(f"{name}: inputs", layer.inputs, (sums, below))
    _check_floats(f"{name}: input_bias", layer.input_bias, (sums,))
    _check_floats(f"{name}: recurrent", layer.recurrent, (recurrent, hidden))
    _check_floats(f"{name}: recurrent_bias", layer.recurrent_bias, (recurrent,))


def _check_pointer(cell: Cell, column_sizes: Sequence[int], seen: int) -> None:
    """Check that a pointer has a row for each feature that it points from, and that these features are tokens."""
    if not all(type(index) is int for index in cell.pointed):
        raise UnfitWeights("a pointer points from a column that is no whole number")
    if not all(0 <= index < len(column_sizes) and column_sizes[index] <= len(cell.bias) for index in cell.pointed):
        raise UnfitWeights("a pointer points from a column that holds no tokens")
    if cell.pointer is None or cell.pointer_bias is None:
        if cell.pointed or cell.pointer is not None or cell.pointer_bias is not None:
            raise UnfitWeights("a pointer lacks its weights, its bias or its columns")
        return
    _check_floats("the pointer", cell.pointer, (len(cell.pointed), seen))
    _check_floats("the pointer's bias", cell.pointer_bias, (len(cell.pointed),))


def _check_floats(name: str, array: Any, shape: Sequence[int]) -> None:
    _check(name, array, shape)
    if array.dtype != np.float32:
        raise UnfitWeights(f"{name} holds {array.dtype}, and should hold float32")


def _get_width(name: str, array: Any) -> int:
    if not isinstance(array, np.ndarray) or array.ndim != 2 or not array.shape[1]:
        raise UnfitWeights(f"{name} is no matrix")
    return int(array.shape[1])


# --- what a step is given ---------------------------------------------------------------------------------------------


_INT64 = np.dtype(np.int64)


def convert_columns(columns: Any, count: int) -> NDArray[np.int64]:
    """Return the features (B, C) of a step as int64. Raises BadModelFile for another shape, and for other numbers."""
    if type(columns) is np.ndarray and columns.dtype == _INT64 and columns.shape[1:] == (count,):
        return columns  # as nearly always
    found = np.asarray(columns)
    if found.ndim != 2 or found.shape[1] != count or found.dtype.kind not in "iub":
        raise BadModelFile(
            f"the tokenizer gives inputs of {found.dtype}, {_format_shape(found.shape)}; they should be whole "
            f"numbers, with {count} features in each row."
        )
    return found.astype(np.int64, copy=False)


def check_columns(columns: NDArray[np.int64], sizes: NDArray[np.int64], names: Sequence[str] = ()) -> None:
    """Raise BadModelFile unless the features (B, C) of a step are from 0 to one less than their sizes (C,)."""
    beyond = (columns < 0) | (columns >= sizes)
    if beyond.any():
        row, column = np.argwhere(beyond)[0].tolist()
        name = f"feature '{printable(names[column])}'" if names else f"feature {column + 1}"
        raise BadModelFile(
            f"the tokenizer gives {columns[row, column]} for the input {name}, whose size is {sizes[column]}: "
            f"it goes from 0 to {sizes[column] - 1}."
        )


def check_state(state: State, shape: Shape) -> None:
    """Raise ValueError unless a recurrent state is `parts` arrays of (B, layers, H); `shape` is all four numbers."""
    found = [tuple(np.shape(part)) for part in state]
    if found != [shape[1:]] * shape[0]:
        shown = ", ".join(map(_format_shape, found)) or "nothing"
        raise ValueError(
            f"the state of a step is {shown}, and should be {shape[0]} arrays of {_format_shape(shape[1:])}"
        )


def check_update(made: Any, number: int, parts: int, shape: Shape) -> State:
    """Return what the update of layer `number` (from 0) made, as float32.

    Raises BadModelFile unless it is a tuple of `parts` arrays of this shape (B, H), of real numbers.
    """
    arrays = tuple(map(np.asarray, made)) if isinstance(made, tuple | list) else ()
    if len(arrays) != parts or any(array.shape != shape or array.dtype.kind not in "fiub" for array in arrays):
        shown = ", ".join(f"{array.dtype} {_format_shape(array.shape)}" for array in arrays) or type(made).__name__
        raise BadModelFile(
            f"the update of layer {number + 1} of the model's architecture makes {shown}; it should make a tuple of "
            f"{parts} arrays of numbers, {_format_shape(shape)}."
        )
    return tuple(array.astype(np.float32, copy=False) for array in arrays)


def check_grammar(grammar: Grammar, state: Any, vocabulary_size: int) -> None:
    """Raise BadModelFile unless a grammar's arrays fit its features and the vocabulary, at this state (B, S)."""
    _check_whole("states", state, None)
    rows = len(state)
    _check_whole("inputs", grammar.make_inputs(state), (rows, len(grammar.columns)))
    mask = grammar.mask(state)
    if mask.dtype != np.bool_ or mask.shape != (rows, vocabulary_size):
        raise BadModelFile(
            f"the tokenizer makes masks of {mask.dtype}, {_format_shape(mask.shape)}; they should be bool, "
            f"{_format_shape((rows, vocabulary_size))}."
        )


def _check_whole(name: str, array: Any, shape: Shape | None) -> None:
    """Check that a grammar's array is of whole numbers, and of this shape, or else any (B, S)."""
    if array.dtype.kind not in "iu" or array.ndim != 2 or array.shape != (shape or array.shape):
        wanted = _format_shape(shape) if shape else "rows of numbers"
        raise BadModelFile(
            f"the tokenizer makes {name} of {array.dtype}, {_format_shape(array.shape)}; they should be whole "
            f"numbers, {wanted}."
        )
