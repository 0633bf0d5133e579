"""Dropout, with sixteen random bits a number.

On a CPU they are hashed from one number of torch's generator, in C where there is a compiler.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from ctypes import c_double, c_float, c_long, c_uint64, c_void_p
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from composer_recurrent.c_code import load

SOURCE = Path(__file__).with_name("dropping.c")

_LEVELS = 2**16


class Drop(NamedTuple):
    """What one dropout does: numbers whose level is below the threshold become 0, and others are scaled up."""

    levels: Tensor  # int16, one for each number
    threshold: int
    scale: float


class Dropout(nn.Module):
    """Set a `share` of all numbers to 0 while training, and scale the others up (Srivastava et al. 2014)."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self._dropped = min(round(share * _LEVELS), _LEVELS - 1)  # levels below which a number is dropped

    def forward(self, x: Tensor) -> Tensor:
        """Return an array of the shape of `x`."""
        drop = self.draw(x.shape, x.device)
        if drop is None:
            return x
        wide = torch.float32 if x.dtype == torch.bfloat16 else x.dtype
        if x.device.type == "cpu" and (library := load(SOURCE, wide)) is not None:
            return _Dropped.apply(x, drop, library)  # type: ignore[no-untyped-call]
        return (x * ((drop.levels >= drop.threshold).to(wide) * drop.scale)).to(x.dtype)

    def draw(self, shape: Sequence[int], device: torch.device) -> Drop | None:
        """Draw from torch's generator which numbers of an array to drop; None if all are kept."""
        if not self.training or not self._dropped:
            return None
        size = math.prod(shape)
        if device.type == "cpu":
            levels = _draw_levels(size)
        else:
            drawn = torch.empty(-(-size // 4), dtype=torch.int64, device=device).random_(-(2**63), None)
            levels = drawn.view(torch.int16)[:size]
        return Drop(levels.view(*shape), self._dropped - _LEVELS // 2, _LEVELS / (_LEVELS - self._dropped))


def _draw_levels(size: int) -> Tensor:
    seed, pairs = int(torch.empty((), dtype=torch.int64).random_(-(2**63), None)) % 2**64, -(-size // 2)
    library = load(SOURCE, torch.float32)
    if library is None:
        return torch.from_numpy(hash_positions(seed, pairs).view(np.int16))[:size]
    levels = torch.empty(2 * pairs, dtype=torch.int16)
    library.fill_levels.argtypes, library.fill_levels.restype = [c_uint64, c_long, c_void_p], None
    library.fill_levels(seed, pairs, levels.data_ptr())
    return levels[:size]


def hash_positions(seed: int, count: int) -> NDArray[np.uint32]:
    """Hash each position, below 2^32, with a seed of 64 bits: `fill_levels` of the C source in NumPy."""
    low, high = np.uint32(seed % 2**32), np.uint32(seed >> 32)
    return _mix(_mix(np.arange(count, dtype=np.uint32) + low) ^ high)


def _mix(x: NDArray[np.uint32]) -> NDArray[np.uint32]:
    x = (x ^ x >> np.uint32(16)) * np.uint32(0x7FEB352D)
    x = (x ^ x >> np.uint32(15)) * np.uint32(0x846CA68B)
    return x ^ x >> np.uint32(16)


class _Dropped(torch.autograd.Function):
    """Dropout in one pass, with the same bits as in torch operations."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, drop: Drop, library: ctypes.CDLL) -> Tensor:
        ctx.drop, ctx.library = drop, library
        return _drop(library, x, drop)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _drop(ctx.library, gradient, ctx.drop), None, None


def _drop(library: ctypes.CDLL, x: Tensor, drop: Drop) -> Tensor:
    x = x.contiguous()
    made, number = torch.empty_like(x), c_double if x.dtype == torch.float64 else c_float
    run = library.drop_low if x.dtype == torch.bfloat16 else library.drop
    run.argtypes, run.restype = [c_void_p, c_void_p, c_long, c_long, number, c_void_p], None
    run(x.data_ptr(), drop.levels.data_ptr(), x.numel(), drop.threshold, drop.scale, made.data_ptr())
    return made
