"""Matrices as the kernel reads them: in panels of 16 outputs, in floats, bfloat16 or int8.

In int8, quantisation is vector-wise, since an unbounded state may have outliers (Dettmers et al. 2022, LLM.int8()).
Each output's weights are rounded to -63..63 times their scale, and each input row to -127..127 times its own. So the
sum of two products fits into 16 bits, as AVX2 needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ctypes import Structure, c_int, c_long, c_void_p
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]

Pointer: TypeAlias = Callable[[NDArray[Any]], int]
"""Keeps an array alive, and returns its address."""

PANEL, BOTH = 16, 32
"""Outputs of a panel, and of two: the outputs of a matrix, and the units of a layer, are filled up to a multiple."""

FLOAT, HALF, BRAIN, BYTE = range(4)
"""Kinds of weights in the kernel."""

KINDS = {"float32": FLOAT, "bfloat16": BRAIN, "int8": BYTE}
"""The kind of each precision. HALF stands for FLOAT where it is exact."""

LEAST = 1e-30
"""In int8: if all weights of an output are below this, they become 0."""

LEAST_BRAIN = 2.0**-40
"""In bfloat16: less than this becomes 0, so that no sum is denormal; instructions differ in what they do with those."""

STEPS, ZERO, GROUP = 63, 128, 8
"""In int8: the largest weight, the code of 0 in a row, and the number of inputs in a group."""


class Matrix(Structure):
    """A matrix as the kernel sees it."""

    _fields_ = (
        ("weights", c_void_p),
        ("bias", c_void_p),
        ("scales", c_void_p),
        ("zero_point", c_void_p),
        ("width", c_long),
        ("depth", c_long),
        ("kind", c_int),
    )


def pack_matrix(
    weights: Floats, bias: Floats | None, gates: int, precision: str, reads_halves: bool, pointer: Pointer
) -> Matrix:
    """Pack a matrix (outputs, inputs) of so many gates; the panels of each 16 units' gates come one after another.

    ValueError for a bias of another length, or for outputs that are no multiple of `gates`.
    """
    if not weights.size:
        return Matrix()
    arranged = _arrange(weights, len(weights) // gates, gates)
    if precision == "int8":
        made = _pack_int8(arranged, pointer)
    elif precision == "bfloat16":
        made = _pack_brain(arranged, pointer)
    else:
        made = _pack_floats(arranged, reads_halves, pointer)
    if bias is not None:
        arranged = _arrange(bias, len(weights) // gates, gates)
        made.bias = pointer(np.where(np.abs(arranged) < LEAST_BRAIN, 0, arranged) if made.kind == BRAIN else arranged)
    return made


def _arrange(array: Floats, units: int, gates: int) -> Floats:
    """Arrange (gates * units, …) as (panels of units, gates, PANEL, …), flat, with zeros for missing units."""
    rest = array.shape[1:]
    padded = np.zeros((gates, -(-units // BOTH) * BOTH, *rest), dtype=np.float32)
    padded[:, :units] = array.reshape(gates, units, *rest)
    return padded.reshape(gates, -1, PANEL, *rest).swapaxes(0, 1).reshape(-1, *rest)


def _pack_floats(weights: Floats, reads_halves: bool, pointer: Pointer) -> Matrix:
    """Pack a matrix (width, depth) in panels of (depth, PANEL), with 16 bits where they are exact."""
    exact, kind = _halve(weights, reads_halves)
    panels = exact.reshape(-1, PANEL, weights.shape[1]).transpose(0, 2, 1)
    return Matrix(pointer(panels), width=len(weights), depth=weights.shape[1], kind=kind)


def pack_embedding(tables: Sequence[Floats], reads_halves: bool, pointer: Pointer) -> tuple[int, int]:
    """Pack tables (_, size) one below the other, with zeros up to a multiple of PANEL; return the address, the kind."""
    joined = np.concatenate(tables, dtype=np.float32)
    exact, kind = _halve(np.pad(joined, ((0, 0), (0, -joined.shape[1] % PANEL))), reads_halves)
    return pointer(exact), kind


def _halve(numbers: Floats, reads_halves: bool) -> tuple[NDArray[Any], int]:
    """Return the numbers in 16 bits where these are exact and are read, else as they are; and their kind."""
    if reads_halves:
        with np.errstate(over="ignore", under="ignore"):
            half = numbers.astype(np.float16)
        if np.array_equal(half, numbers):
            return half, HALF
    return numbers, FLOAT


def _pack_brain(weights: Floats, pointer: Pointer) -> Matrix:
    """Round a matrix (width, depth) to bfloat16, in panels of (depth / 2, PANEL, 2), the second input first."""
    rounded = np.pad(round_to_brain(weights), ((0, 0), (0, weights.shape[1] % 2)))
    width, depth = rounded.shape
    panels = rounded.reshape(-1, PANEL, depth // 2, 2).transpose(0, 2, 1, 3)
    return Matrix(pointer(panels[..., ::-1]), width=width, depth=depth, kind=BRAIN)


def round_to_brain(numbers: Floats) -> NDArray[np.uint16]:
    """Return the bits of the nearest bfloat16; 0 for less than LEAST_BRAIN."""
    code = np.where(np.abs(numbers) < LEAST_BRAIN, np.float32(0), numbers).view(np.uint32)
    near = (code + 0x7FFF + (code >> 16 & 1)) >> 16
    return np.where(np.isnan(numbers), 0x7FC0, near).astype(np.uint16)


def _pack_int8(weights: Floats, pointer: Pointer) -> Matrix:
    """Quantise a matrix (width, depth) to int8, in panels of (depth / 4, PANEL, 4)."""
    greatest = np.abs(weights).max(axis=1, keepdims=True)
    greatest = np.where(greatest > LEAST, greatest, 0)
    with np.errstate(invalid="ignore"):  # a cell may have infinite weights
        steps = np.rint(weights * (STEPS / np.where(greatest > 0, greatest, np.inf))).astype(np.int8)
    steps = np.pad(steps, ((0, 0), (0, -weights.shape[1] % GROUP)))
    width, depth = steps.shape
    return Matrix(
        pointer(steps.reshape(-1, PANEL, depth // 4, 4).transpose(0, 2, 1, 3)),
        scales=pointer((greatest[:, 0] / STEPS).astype(np.float32)),
        zero_point=pointer(-ZERO * steps.sum(axis=1, dtype=np.int32)),
        width=width,
        depth=depth,
        kind=BYTE,
    )
