"""The delta rule in compiled C, step by step, forward and backward.

`composer_linear.memory` is the reference. It runs where there is no compiler, and on GPUs. Without the delta rule there
is no system to be solved, and its products of chunks are as fast as steps in C.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, byref, c_long, c_void_p
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from composer_recurrent.c_code import load

SOURCE = Path(__file__).with_name("delta.c")

MOST = 512
"""The longest keys for which C is used: a block of the memory should fit into a processor's nearest cache."""


def can_run(keys: Tensor, values: Tensor) -> bool:
    """Tell whether C can be used for such keys and values."""
    return values.device.type == "cpu" and keys.shape[-1] <= MOST and load(SOURCE, values.dtype) is not None


def run_delta(
    queries: Tensor, keys: Tensor, values: Tensor, log_decay: Tensor, state: Tensor, share: Tensor
) -> tuple[Tensor, Tensor]:
    """Take all steps, as `composer_linear.memory.run_memory` does, if `can_run`."""
    library = load(SOURCE, values.dtype)
    return _Delta.apply(queries, keys, values, log_decay, state, share, library)  # type: ignore[no-untyped-call, no-any-return]


class _Delta(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        log_decay: Tensor,
        state: Tensor,
        share: Tensor,
        library: ctypes.CDLL,
    ) -> tuple[Tensor, Tensor]:
        given = {"query": _pack(queries), "key": _pack(keys), "value": _pack(values)}
        given |= {"decay": log_decay.exp().contiguous(), "share": share.contiguous()}
        rows, heads, places, width = values.shape
        read = values.new_empty(rows, places, heads, width).transpose(1, 2)
        made = {"read": read, "state": state.clone(memory_format=torch.contiguous_format)}
        if any(ctx.needs_input_grad):
            made["kept"] = state.new_empty(rows * heads * library.count_kept(places, keys.shape[-1], width))
        _call(library, library.run_delta, given | made)
        ctx.library, ctx.names = library, tuple(given)
        ctx.save_for_backward(*given.values(), made.get("kept"))
        ctx.set_materialize_grads(False)
        return read, made["state"]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_read: Tensor | None, d_after: Tensor | None) -> tuple[Tensor | None, ...]:
        *saved, kept = ctx.saved_tensors
        given = dict(zip(ctx.names, saved, strict=True))
        values, made = given["value"], {f"d_{name}": torch.zeros_like(tensor) for name, tensor in given.items()}
        if d_after is None:
            state = values.new_zeros(*values.shape[:2], given["key"].shape[-1], values.shape[-1])
        else:
            state = d_after.clone(memory_format=torch.contiguous_format)
        read = torch.zeros_like(values) if d_read is None else _pack(d_read)
        _call(ctx.library, ctx.library.run_delta_back, given | made | {"read": read, "kept": kept, "state": state})
        of_inputs = (made[f"d_{name}"] for name in ("query", "key", "value", "decay"))
        return *of_inputs, state, made["d_share"], None


def _pack(x: Tensor) -> Tensor:
    """Return (B, heads, T, N) with the last axis side by side; parts of a wider array stay where they are."""
    return x if x.stride(-1) == 1 else x.contiguous()


# --- the library ------------------------------------------------------------------------------------------------------


class _Array(Structure):
    _fields_ = (("first", c_void_p), ("row", c_long), ("head", c_long), ("place", c_long))


class _Given(Structure):
    _fields_ = (
        *((name, c_long) for name in ("rows", "heads", "places", "keys", "values")),
        *((name, _Array) for name in ("query", "key", "value", "read", "d_query", "d_key", "d_value")),
        *((name, c_void_p) for name in ("decay", "share", "d_decay", "d_share", "state", "kept", "scratch")),
    )


_ARRAYS = {name for name, kind in _Given._fields_ if kind is _Array}


def _call(library: ctypes.CDLL, function: Any, tensors: dict[str, Tensor]) -> None:
    """Call a function of the C source with the tensors, named as in its struct `Memory`."""
    values, width = tensors["value"], tensors["key"].shape[-1]
    library.count_scratch.argtypes, library.count_scratch.restype = [c_long], c_long
    tensors = tensors | {"scratch": values.new_empty(library.count_scratch(width))}
    rows, heads, places, values_width = values.shape
    given = _Given(rows, heads, places, width, values_width)
    for name, tensor in tensors.items():
        setattr(given, name, _describe(tensor) if name in _ARRAYS else tensor.data_ptr())
    function.argtypes, function.restype = [POINTER(_Given)], None
    function(byref(given))


def _describe(x: Tensor) -> _Array:
    """Describe (B, heads, T, N); an axis of 1 is the same at all places."""
    strides = (stride if size > 1 else 0 for stride, size in zip(x.stride()[:3], x.shape, strict=False))
    return _Array(x.data_ptr(), *strides)
