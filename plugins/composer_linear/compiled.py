"""A memory of matrices in compiled C, step by step, forward and backward.

`composer_linear.memory` is the reference. It runs where there is no compiler, and on GPUs.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, byref, c_long, c_void_p
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from composer_recurrent.c_code import load

SOURCE = Path(__file__).with_name("memory.c")

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
    return _Delta.apply(queries, keys, values, log_decay, state, share, library)  # type: ignore[no-untyped-call]


def run_linear(
    queries: Tensor, keys: Tensor, values: Tensor, log_decay: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """Take all steps without the delta rule, if `can_run`."""
    library = load(SOURCE, values.dtype)
    return _Linear.apply(queries, keys, values, log_decay, state, library)  # type: ignore[no-untyped-call]


class _Linear(torch.autograd.Function):
    """Gradients of queries, keys and values are read from such memories, too.

    That of a query, S do, is what do reads of S transposed, where keys and values change places. The gradient D of S is
    a memory in which steps from the last to the first write do at q, and each reads it: dv = D^T k, dk = D v.
    """

    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        log_decay: Tensor,
        state: Tensor,
        library: ctypes.CDLL,
    ) -> tuple[Tensor, Tensor]:
        decay = log_decay.exp()
        read, after = _remember(library, queries, keys, values, decay, state)
        ctx.library = library
        ctx.save_for_backward(queries, keys, values, decay, state, after)
        ctx.set_materialize_grads(False)
        return read, after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, heard: Tensor | None, d_after: Tensor | None) -> tuple[Tensor | None, ...]:
        queries, keys, values, decay, state, after = ctx.saved_tensors
        heard = torch.zeros_like(values) if heard is None else heard
        d_after = torch.zeros_like(after) if d_after is None else d_after
        d_queries, _ = _remember(ctx.library, heard, values, keys, decay, state.mT)
        later = functional.pad(decay[..., 1:], (0, 1), value=1.0).flip(-1)  # between a step and the one after it
        d_keys, _ = _remember(ctx.library, values, heard, queries, later, d_after.mT, backwards=True)
        d_values, first = _remember(ctx.library, keys, queries, heard, later, d_after, backwards=True)
        # What a decay changes is what is read from it on, but for what is written from it on.
        changed = (queries * d_queries).sum(-1, dtype=torch.float64) - (keys * d_keys).sum(-1, dtype=torch.float64)
        changed[..., -1] += (d_after * after).sum((-2, -1), dtype=torch.float64)
        d_decay = changed.flip(-1).cumsum(-1).flip(-1).to(decay.dtype)
        if queries.shape[1] < heard.shape[1]:  # those of all heads
            d_queries = d_queries.sum(1, keepdim=True)
        if keys.shape[1] < heard.shape[1]:
            d_keys = d_keys.sum(1, keepdim=True)
        return d_queries, d_keys, d_values, d_decay, first * decay[..., :1, None], None


def _remember(
    library: ctypes.CDLL,
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    decay: Tensor,
    state: Tensor,
    *,
    backwards: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return what is read (B, heads, T, V) and the memory after it; backwards from the last step to the first."""
    rows, heads, places = decay.shape
    read = values.new_empty(rows, places, heads, values.shape[-1]).transpose(1, 2)
    given = {"query": _pack(queries), "key": _pack(keys), "value": _pack(values), "decay": decay.contiguous()}
    after = state.clone(memory_format=torch.contiguous_format)
    _call(library, library.run_linear, given | {"read": read, "state": after}, backwards=backwards)
    return read, after


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


_ARRAYS = {field[0] for field in _Given._fields_ if field[1] is _Array}


def _call(library: ctypes.CDLL, function: Any, tensors: dict[str, Tensor], *, backwards: bool = False) -> None:
    """Call a function of the C source with the tensors, named as in its struct `Memory`."""
    state = tensors["state"]
    rows, heads, keys, values = state.shape
    library.count_scratch.argtypes, library.count_scratch.restype = [c_long], c_long
    tensors = tensors | {"scratch": state.new_empty(library.count_scratch(keys))}
    given = _Given(rows, heads, tensors["value"].shape[2], keys, values)
    for name, tensor in tensors.items():
        setattr(given, name, _describe(tensor, backwards=backwards) if name in _ARRAYS else tensor.data_ptr())
    function.argtypes, function.restype = [POINTER(_Given)], None
    function(byref(given))


def _describe(x: Tensor, *, backwards: bool) -> _Array:
    """Describe (B, heads, T, N), or it from the last step to the first; an axis of 1 is the same at all places."""
    row, head, place = (step if size > 1 else 0 for step, size in zip(x.stride()[:3], x.shape[:3], strict=True))
    if backwards:
        return _Array(x.data_ptr() + (x.shape[2] - 1) * place * x.element_size(), row, head, -place)
    return _Array(x.data_ptr(), row, head, place)
