"""Array libraries: NumPy directly, any other through `array_api_compat`.

What plugins may rely on is listed in `plugins/README.md`, under the helpers that are stable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from ctypes import addressof, c_char
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from composer.types import Array


def get_namespace(array: Array) -> Any:
    """Return the array API functions of the library of `array`."""
    if type(array) is np.ndarray:  # NumPy 2 is such a namespace; wrapping it would cost more than its work
        return np
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    from array_api_compat import array_namespace

    return array_namespace(array)


def get_address(array: NDArray[Any]) -> int:
    """Return the address of the numbers of a contiguous array, for C, in a quarter of the time of `array.ctypes`."""
    buffer: Any = array
    try:
        return addressof(c_char.from_buffer(buffer))
    except (TypeError, ValueError):  # one that is read-only, or empty
        return int(array.ctypes.data)


def get_addresses(arrays: Sequence[NDArray[Any]]) -> list[int]:
    """Return the addresses of the numbers of contiguous arrays, for C."""
    buffers: Sequence[Any] = arrays
    try:
        return [addressof(_from_buffer(buffer)) for buffer in buffers]
    except (TypeError, ValueError):  # one is read-only, or empty
        return [get_address(array) for array in arrays]


_from_buffer = c_char.from_buffer


def convert_like(constant: NDArray[Any], array: Array) -> Array:
    """Convert a NumPy constant to the library and device of `array`; leave one that is there already."""
    if type(array) is np.ndarray or type(constant) is type(array):
        return constant
    if (kept := _KEPT.get()) is None:
        return get_namespace(array).asarray(constant, device=array.device)
    key = (constant.tobytes(), constant.dtype.str, constant.shape, str(array.device))
    if key not in kept:
        kept[key] = get_namespace(array).asarray(constant, device=array.device)
    return kept[key]


Kept: TypeAlias = "dict[tuple[bytes, str, tuple[int, ...], str], Array]"
"""Constants on devices, by their numbers."""

_KEPT: ContextVar[Kept | None] = ContextVar("_KEPT", default=None)


@contextmanager
def keep_constants(kept: Kept) -> Iterator[None]:
    """Keep in `kept` the constants that are converted inside, and use those there: a copy to a device would wait."""
    token = _KEPT.set(kept)
    try:
        yield
    finally:
        _KEPT.reset(token)


def make_range(count: int, array: Array) -> Array:
    """Return (1, count) the numbers from 0, in the library and on the device of `array`."""
    return convert_like(_make_range(count), array)


@lru_cache(maxsize=64)
def _make_range(count: int) -> NDArray[np.int64]:
    return np.arange(count, dtype=np.int64)[None, :]


def stack_columns(columns: Sequence[Array]) -> Array:
    """Join N arrays (B,) to (B, N); twice as fast as `stack`, which checks each array once more."""
    return get_namespace(columns[0]).concat([column[:, None] for column in columns], axis=1)


def is_all_false(mask: Array) -> bool:
    """Tell whether a mask is known to be false everywhere. A mask on a GPU is not read: that would wait."""
    return type(mask) is np.ndarray and not mask.any()


def find_first(mask: Array) -> Array:
    """Find (B,) the first true column of each row of `mask` (B, N), 0 in a row without one."""
    if type(mask) is np.ndarray:
        return mask.argmax(axis=1)
    xp = get_namespace(mask)
    return xp.argmax(xp.astype(mask, xp.int8), axis=1)  # of equals the first


def sum_in_order(values: Array) -> Array:
    """Compute (B, N) the running sums of `values` (B, N) in float64, one after the other, so that all bits are known.

    A GPU adds along the last axis in a tree, but along any other one after the other.
    """
    if type(values) is np.ndarray:
        return np.cumsum(values, axis=1, dtype=np.float64)
    xp = get_namespace(values)
    return xp.cumulative_sum(xp.astype(values, xp.float64).T, axis=0).T


def take_columns(array: Array, columns: Array) -> Array:
    """Take (B, N) elements of `array` (B, M) at `columns` (B, N) of each row, as `take_along_axis` does."""
    if type(array) is np.ndarray:  # which checks more than it computes
        return array[np.arange(len(array))[:, None], columns]
    return get_namespace(array).take_along_axis(array, columns, axis=1)


def take_latest(array: Array, marked: Array) -> Array:
    """Take (B, 1) of each row of `array` (B, M) its last element that is `marked` (B, M), -1 where none is."""
    xp = get_namespace(array)
    latest = xp.max(xp.where(marked, make_range(array.shape[1], array), -1), axis=1)[:, None]
    return xp.where(latest < 0, -1, take_columns(array, xp.where(latest < 0, 0, latest)))


def look_up(table: NDArray[Any], places: Array) -> Array:
    """Take the elements of a NumPy table (N,) at `places` of any shape, in the library of `places`."""
    if type(places) is np.ndarray:
        return table[places]
    xp, values = get_namespace(places), convert_like(table, places)
    if getattr(xp, "takes_any_shape", False):  # what is traced to be compiled keeps its rows apart
        return xp.take(values, places, axis=0)
    return xp.reshape(xp.take(values, xp.reshape(places, (-1,))), places.shape)


def make_parameter(value: int, array: Array) -> Array:
    """Return (1,) a number in the library of `array`, for masks that are compiled once for any such number."""
    return convert_like(np.array([value], dtype=np.int64), array)


def replace_column(array: Array, column: int, values: Array) -> Array:
    """Copy `array` (B, S) with `values` (B,) in one column."""
    xp = get_namespace(array)
    return xp.concat([array[:, :column], values[:, None], array[:, column + 1 :]], axis=1)


def carry_forward(values: NDArray[Any], stated: NDArray[np.bool_], first: int) -> NDArray[Any]:
    """Return (T,) the latest of `values` (T,) at each position where `stated` (T,) is true so far, or `first`."""
    index = np.maximum.accumulate(np.where(stated, np.arange(len(stated)), -1))
    found = values[index]
    found[: np.searchsorted(index, 0)] = first  # indices never fall: those of -1 are in front
    return found
