"""Trace a function of integer arrays: call it once with arrays that record each operation.

`Traced` is an array of the array API without values. Axis 0 has length 1, and stands for any number of rows. So a
function can be traced if it treats all rows alike: no loop over rows, and no branch on a value but one: `any` of all
numbers of an array may be a condition, as that of an error. It is taken to be false, and becomes a guard.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Shape: TypeAlias = tuple[int, ...]
Values: TypeAlias = "Traced | NDArray[Any] | int | bool"

_SERIAL = itertools.count()


_GUARDS: ContextVar[list[Traced] | None] = ContextVar("_GUARDS", default=None)


class Untraceable(TypeError):
    """The function needs values, or uses an operation that cannot be traced."""


class Traced:
    """An array that records how it is computed: bools or integers, without values.

    `detail` is the axis of an operation along one. For `index` it holds, for each axis of the argument, where the
    result begins and which of its axes goes along.
    """

    __slots__ = ("arguments", "detail", "is_bool", "operation", "serial", "shape", "size")
    __hash__ = object.__hash__
    device = "cpu"

    def __init__(
        self, operation: str, arguments: Sequence[Traced], shape: Shape, detail: Any = None, *, is_bool: bool
    ) -> None:
        """Record an operation. The serial number is higher than that of every argument."""
        self.operation, self.arguments, self.shape = operation, tuple(arguments), shape
        self.detail, self.is_bool, self.serial = detail, is_bool, next(_SERIAL)
        self.size = math.prod(shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __array_namespace__(self, **_: Any) -> Any:
        """Return the array functions."""
        return FUNCTIONS

    def __len__(self) -> int:
        """Return the length of the first axis."""
        return self.shape[0]

    def __bool__(self) -> bool:
        """Return False for `any` of everything, and note it as a guard if these are collected; else refuse."""
        guards = _GUARDS.get()
        if self.operation != "anywhere" or guards is None:
            raise Untraceable("a branch depends on values")
        guards.append(self.arguments[0])
        return False

    def __iter__(self) -> Any:
        """Refuse to be iterated over."""
        raise Untraceable("a loop goes over values")

    def __array__(self, *_: Any, **__: Any) -> Any:
        """Refuse to become values."""
        raise Untraceable("a NumPy function needs values")

    __array_ufunc__ = None  # makes `constant + trace` call __radd__

    def __getitem__(self, key: Any) -> Traced:
        """Index with integers, slices without a step, and None."""
        steps: list[tuple[int, int | None]] = []  # for each axis of the argument: first index, axis of the result
        shape: list[int] = []
        axes = iter(self.shape)
        for part in key if isinstance(key, tuple) else (key,):
            if part is None:
                shape.append(1)
            elif isinstance(part, slice) and part.step in (None, 1):
                start, stop, _ = part.indices(next(axes))
                steps.append((start, len(shape)))
                shape.append(max(stop - start, 0))
            elif isinstance(part, int):
                steps.append((_normalise_index(part, next(axes)), None))
            else:
                raise Untraceable("an index is an array, or has a step")
        for size in axes:
            steps.append((0, len(shape)))
            shape.append(size)
        return Traced("index", (self,), tuple(shape), tuple(steps), is_bool=self.is_bool)

    def __add__(self, other: Values) -> Traced:
        return _apply_elementwise("+", self, other)

    def __radd__(self, other: Values) -> Traced:
        return _apply_elementwise("+", other, self)

    def __sub__(self, other: Values) -> Traced:
        return _apply_elementwise("-", self, other)

    def __rsub__(self, other: Values) -> Traced:
        return _apply_elementwise("-", other, self)

    def __mul__(self, other: Values) -> Traced:
        return _apply_elementwise("*", self, other)

    def __rmul__(self, other: Values) -> Traced:
        return _apply_elementwise("*", other, self)

    def __floordiv__(self, other: Values) -> Traced:
        return _apply_elementwise("//", self, other)

    def __mod__(self, other: Values) -> Traced:
        return _apply_elementwise("%", self, other)

    def __neg__(self) -> Traced:
        return _apply_elementwise("-", 0, self)

    def __abs__(self) -> Traced:
        return _apply_elementwise("abs", self)

    def __invert__(self) -> Traced:
        return _apply_elementwise("!" if self.is_bool else "~", self)

    def __and__(self, other: Values) -> Traced:
        return _apply_elementwise("&", self, other)

    def __rand__(self, other: Values) -> Traced:
        return _apply_elementwise("&", other, self)

    def __or__(self, other: Values) -> Traced:
        return _apply_elementwise("|", self, other)

    def __ror__(self, other: Values) -> Traced:
        return _apply_elementwise("|", other, self)

    def __eq__(self, other: object) -> Traced:  # type: ignore[override]
        return _apply_elementwise("==", self, other)

    def __ne__(self, other: object) -> Traced:  # type: ignore[override]
        return _apply_elementwise("!=", self, other)

    def __lt__(self, other: Any) -> Traced:
        return _apply_elementwise("<", self, other)

    def __le__(self, other: Any) -> Traced:
        return _apply_elementwise("<=", self, other)

    def __gt__(self, other: Any) -> Traced:
        return _apply_elementwise(">", self, other)

    def __ge__(self, other: Any) -> Traced:
        return _apply_elementwise(">=", self, other)


def _normalise_index(index: int, size: int) -> int:
    """Return a non-negative index. Raises IndexError for one out of range."""
    if not -size <= index < size:
        raise IndexError(f"{index} of {size}")
    return index % size


TRUTHS = ("==", "!=", "<", "<=", ">", ">=", "!")
"""Operations whose result is always a bool."""


def make_argument(name: str, columns: int | None) -> Traced:
    """Create an integer argument of the traced function, of shape (1, columns) or (1,)."""
    return Traced("argument", (), (1,) if columns is None else (1, columns), name, is_bool=False)


def make_mask_argument(name: str, columns: int) -> Traced:
    """Create an argument of bools, of shape (1, columns)."""
    return Traced("argument", (), (1, columns), name, is_bool=True)


@contextmanager
def collect_guards() -> Iterator[list[Traced]]:
    """Collect the guards of what is traced here: what is computed is right where all of their numbers are 0."""
    guards: list[Traced] = []
    token = _GUARDS.set(guards)
    try:
        yield guards
    finally:
        _GUARDS.reset(token)


def trace(value: Any) -> Traced:
    """Return a traced array as it is, and any other value as a constant."""
    if isinstance(value, Traced):
        return value
    if type(value) is int:
        return _make_constant(value)
    array = np.asarray(value)
    if array.dtype not in (np.int64, np.bool_):  # a smaller type overflows earlier in NumPy
        raise Untraceable(f"{array.dtype} is neither int64 nor bool")
    is_bool = array.dtype.kind == "b"
    return Traced("constant", (), array.shape, array.astype(np.int64), is_bool=is_bool)


def _make_constant(value: int) -> Traced:
    return Traced("constant", (), (), np.array(value), is_bool=False)


def _broadcast_shapes(shapes: Sequence[Shape]) -> Shape:
    """Return the shape that arrays of these shapes broadcast to."""
    longest = max(shapes, key=len)
    if all(shape in ((), longest) for shape in shapes):
        return longest
    return np.broadcast_shapes(*shapes)


def _apply_elementwise(operation: str, *values: Any) -> Traced:
    arguments = [trace(value) for value in values]
    if operation in ("+", "-", "*", "max", "min") and all(a.is_bool for a in arguments):
        raise Untraceable("arithmetic on bools")  # which gives bools in NumPy
    shape = _broadcast_shapes([a.shape for a in arguments])
    of = arguments[1:] if operation == "where" else arguments
    is_bool = operation in TRUTHS or (operation in ("&", "|", "where") and all(a.is_bool for a in of))
    return Traced(operation, arguments, shape, is_bool=is_bool)


def _reduce(operation: str, value: Traced, axis: int | None, *, keepdims: bool, is_bool: bool) -> Traced:
    if axis is None:
        raise Untraceable("rows are combined")
    axis %= value.ndim
    if axis == 0:
        raise Untraceable("rows are combined")
    shape = tuple(1 if a == axis else n for a, n in enumerate(value.shape) if keepdims or a != axis)
    return Traced(operation, (value,), shape, (axis, keepdims), is_bool=is_bool)


def _asarray(value: Any, **_: Any) -> Traced:
    return trace(value)


def _astype(value: Traced, dtype: Any, **_: Any) -> Traced:
    if np.dtype(dtype).kind == "b":
        return value if value.is_bool else value != 0
    if np.dtype(dtype) != np.int64:
        raise Untraceable(f"{dtype} is neither int64 nor bool")
    return value + 0


def _where(condition: Values, one: Values, other: Values) -> Traced:
    return _apply_elementwise("where", condition, one, other)


def _maximum(one: Values, other: Values) -> Traced:
    return _apply_elementwise("max", one, other)


def _minimum(one: Values, other: Values) -> Traced:
    return _apply_elementwise("min", one, other)


def _clip(value: Traced, least: Values | None = None, most: Values | None = None) -> Traced:
    value = value if least is None else _apply_elementwise("max", value, least)
    return value if most is None else _apply_elementwise("min", value, most)


def _abs(value: Traced) -> Traced:
    return _apply_elementwise("abs", value)


def _logical_not(value: Traced) -> Traced:
    return _apply_elementwise("!", value)


def _zeros_like(value: Traced) -> Traced:
    return _full_like(value, 0)


def _ones_like(value: Traced) -> Traced:
    return _full_like(value, 1)


def _full_like(value: Traced, fill: int) -> Traced:
    return Traced("broadcast", (trace(bool(fill) if value.is_bool else int(fill)),), value.shape, is_bool=value.is_bool)


def _broadcast_to(value: Values, shape: Shape) -> Traced:
    value = trace(value)
    if np.broadcast_shapes(value.shape, shape) != tuple(shape):
        raise ValueError(f"{value.shape} cannot be broadcast to {shape}")
    return Traced("broadcast", (value,), tuple(shape), is_bool=value.is_bool)


def _concat(values: Sequence[Values], axis: int = 0) -> Traced:
    parts = [trace(value) for value in values]
    axis %= parts[0].ndim
    if axis == 0:
        raise Untraceable("rows are combined")
    if len({(*part.shape[:axis], 0, *part.shape[axis + 1 :]) for part in parts}) > 1:
        raise ValueError("concat of different shapes")
    along = sum(part.shape[axis] for part in parts)
    shape = tuple(along if a == axis else n for a, n in enumerate(parts[0].shape))
    return Traced("concat", parts, shape, axis, is_bool=all(part.is_bool for part in parts))


def _stack(values: Sequence[Values], axis: int = 0) -> Traced:
    parts = [trace(value) for value in values]
    axis %= parts[0].ndim + 1
    index = tuple(None if a == axis else slice(None) for a in range(parts[0].ndim + 1))
    return _concat([part[index] for part in parts], axis=axis)


def _take(values: Values, indices: Values, axis: int | None = None) -> Traced:
    of, where = trace(values), trace(indices)
    if not of.size or (axis is None and of.ndim != 1):
        raise Untraceable("take needs numbers, and an axis")
    axis = (axis or 0) % of.ndim
    if axis == 0 and _depends_on_rows(of):
        raise Untraceable("rows are combined")
    shape = (*of.shape[:axis], *where.shape, *of.shape[axis + 1 :])
    return Traced("take", (of, where), shape, axis, is_bool=of.is_bool)


def _depends_on_rows(value: Traced) -> bool:
    return any(node.operation == "argument" for node in collect_nodes([value]))


def collect_nodes(results: Sequence[Traced]) -> list[Traced]:
    """Collect the results and everything they depend on, each after its arguments."""
    found: set[Traced] = set()
    waiting = list(results)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += node.arguments
    return sorted(found, key=lambda node: node.serial)


def _searchsorted(table: Values, values: Traced, *, side: str = "left") -> Traced:
    of = trace(table)
    if of.operation != "constant" or of.is_bool or of.ndim != 1 or side not in ("left", "right"):
        raise Untraceable("searchsorted needs a sorted table")
    return Traced("search", (of, values), values.shape, side, is_bool=False)


def _argsort(value: Traced, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Traced:
    if descending or not stable or value.ndim != 2 or axis % value.ndim != 1:
        raise Untraceable("argsort needs rows, and rising numbers")
    return Traced("argsort", (value,), value.shape, is_bool=False)


def _take_along_axis(values: Traced, indices: Traced, axis: int = -1) -> Traced:
    axis %= values.ndim
    if axis == 0:
        raise Untraceable("rows are combined")
    shape = tuple(indices.shape[a] if a == axis else n for a, n in enumerate(values.shape))
    if np.broadcast_shapes(indices.shape, shape) != shape or not values.shape[axis]:
        raise Untraceable("take_along_axis of shapes that do not match")
    return Traced("along", (values, indices), shape, axis, is_bool=values.is_bool)


def _sum(value: Traced, axis: int | None = None, *, keepdims: bool = False) -> Traced:
    return _reduce("sum", value, axis, keepdims=keepdims, is_bool=False)


def _any(value: Traced, axis: int | None = None, *, keepdims: bool = False) -> Traced:
    if axis is None and not keepdims:
        return Traced("anywhere", (value,), (), is_bool=True)  # a condition, or nothing
    return _reduce("any", value, axis, keepdims=keepdims, is_bool=True)


def _all(value: Traced, axis: int | None = None, *, keepdims: bool = False) -> Traced:
    return _reduce("all", value, axis, keepdims=keepdims, is_bool=True)


def _max(value: Traced, axis: int | None = None, *, keepdims: bool = False) -> Traced:
    return _reduce("greatest", value, axis, keepdims=keepdims, is_bool=value.is_bool)


def _min(value: Traced, axis: int | None = None, *, keepdims: bool = False) -> Traced:
    return _reduce("least", value, axis, keepdims=keepdims, is_bool=value.is_bool)


FUNCTIONS = SimpleNamespace(
    takes_any_shape=True,
    int64=np.int64,
    bool=np.bool_,
    asarray=_asarray,
    astype=_astype,
    where=_where,
    maximum=_maximum,
    minimum=_minimum,
    clip=_clip,
    abs=_abs,
    logical_not=_logical_not,
    zeros_like=_zeros_like,
    ones_like=_ones_like,
    full_like=_full_like,
    broadcast_to=_broadcast_to,
    concat=_concat,
    stack=_stack,
    take=_take,
    take_along_axis=_take_along_axis,
    searchsorted=_searchsorted,
    argsort=_argsort,
    sum=_sum,
    any=_any,
    all=_all,
    max=_max,
    min=_min,
)
"""The functions of the array API that can be traced."""
