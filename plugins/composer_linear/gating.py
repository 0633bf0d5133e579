"""Products of activated gates and values, act(gate) * value.

On a CPU they run in compiled C, forward and backward: one pass over the numbers each, also where these are in bf16.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import POINTER, Structure, byref, c_long, c_void_p
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from composer_recurrent.c_code import load

SOURCE = Path(__file__).with_name("gating.c")

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu-tanh": partial(functional.gelu, approximate="tanh"),
}
"""By name, in the order of the C source."""


def gate(gates: Tensor, values: Tensor, activation: str) -> Tensor:
    """Compute (B, T, N), act(gates) * values, from two arrays of this shape."""
    made = torch.promote_types(gates.dtype, values.dtype)
    wide = torch.promote_types(made, torch.float32)
    known = {gates.dtype, values.dtype} <= {torch.bfloat16, wide}
    if gates.shape[1] > 1 and gates.device.type == "cpu" and known and (library := load(SOURCE, wide)) is not None:
        return _Gated.apply(gates, values, activation, made, library)  # type: ignore[no-untyped-call]
    return ACTIVATIONS[activation](gates) * values


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, values: Tensor, activation: str, dtype: torch.dtype, library: ctypes.CDLL
    ) -> Tensor:
        gates, values = _flatten(gates), _flatten(values)
        made = torch.empty(values.shape, dtype=dtype)
        ctx.activation, ctx.library = activation, library
        _call(library.gate, activation, gates, values, made)
        ctx.save_for_backward(gates, values)
        return made

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, heard: Tensor) -> tuple[Tensor | None, ...]:
        gates, values = ctx.saved_tensors
        d_gates, d_values = torch.empty(gates.shape, dtype=gates.dtype), torch.empty(values.shape, dtype=values.dtype)
        _call(ctx.library.gate_back, ctx.activation, gates, values, _flatten(heard), d_gates, d_values)
        return d_gates, d_values, None, None, None


def _flatten(x: Tensor) -> Tensor:
    """Return (B, T, N) whose rows are equally far apart; a part of each row of a wider array stays where it is."""
    even = x.stride(2) == 1 and x.stride(0) == x.shape[1] * x.stride(1)
    return x if even else x.contiguous()


class _Rows(Structure):
    _fields_ = (("first", c_void_p), ("apart", c_long), ("low", c_long))


def _call(function: Any, activation: str, *arrays: Tensor) -> None:
    rows, width = arrays[0].shape[:2].numel(), arrays[0].shape[2]
    wide = torch.promote_types(torch.promote_types(arrays[0].dtype, arrays[1].dtype), torch.float32)
    scratch = torch.empty(len(arrays) * width, dtype=wide)
    given = [_Rows(of.data_ptr(), of.stride(1), of.dtype == torch.bfloat16) for of in arrays]
    function.argtypes, function.restype = [c_long] * 3 + [POINTER(_Rows)] * len(given) + [c_void_p], None
    function(rows, width, list(ACTIVATIONS).index(activation), *(byref(of) for of in given), scratch.data_ptr())
