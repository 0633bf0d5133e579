"""The steps of an sLSTM in compiled C, forward and backward, with the products of its recurrent matrices.

`composer_xlstm.slstm` is the reference. It runs where there is no compiler, and on GPUs.
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

from composer_linear.stack import Parts
from composer_recurrent.c_code import load

SOURCE = Path(__file__).with_name("slstm.c")


def load_library(sums: Tensor) -> ctypes.CDLL | None:
    """Return the library for sums of this type and device, or None if there is none."""
    return load(SOURCE, sums.dtype) if sums.device.type == "cpu" else None


def run_compiled(sums: Tensor, recurrent: Tensor, state: Parts, library: ctypes.CDLL) -> tuple[Tensor, Parts]:
    """Take the steps as `composer_xlstm.slstm.run_steps` does. No gradient goes through m."""
    hidden, *after = _Steps.apply(sums, recurrent, *state, library)  # type: ignore[no-untyped-call]
    return hidden, tuple(after)


class _Steps(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        sums: Tensor,
        recurrent: Tensor,
        hidden: Tensor,
        cell: Tensor,
        normaliser: Tensor,
        most: Tensor,
        library: ctypes.CDLL,
    ) -> Parts:
        rows, places, heads, width = *sums.shape[:3], recurrent.shape[1]
        made = {"sums": sums.contiguous(), "gates": sums.new_empty(rows, places, heads, 5 * width)}
        for name, before in zip(_STATE, (hidden, cell, normaliser, most), strict=True):
            made[name] = sums.new_empty(rows, places + 1, heads, width)
            made[name][:, 0] = before
        _call(library, library.run_forward, recurrent, made)
        ctx.library = library
        ctx.save_for_backward(recurrent, made["gates"], *(made[name] for name in _STATE))
        after = tuple(made[name][:, -1].clone() for name in _STATE)
        ctx.mark_non_differentiable(after[-1])
        ctx.set_materialize_grads(False)
        return made["hidden"][:, 1:].contiguous(), *after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *heard: Tensor | None) -> tuple[Tensor | None, ...]:
        recurrent, gates, *states = ctx.saved_tensors
        made = {"gates": gates, **dict(zip(_STATE, states, strict=True))}
        hidden = made["hidden"]
        rows, places, heads, width = hidden[:, 1:].shape
        made["d_sums"] = hidden.new_empty(rows, places, heads, 4 * width)
        made["d_hidden"] = hidden.new_zeros(rows, places, heads, width) if heard[0] is None else heard[0].contiguous()
        for name, gradient in zip(_GRADIENTS, heard[1:4], strict=True):
            made[name] = hidden.new_zeros(rows, heads, width) if gradient is None else gradient.contiguous().clone()
        _call(ctx.library, ctx.library.run_backward, recurrent.transpose(1, 2), made)
        before, d_sums = (of.flatten(0, 1).transpose(0, 1) for of in (hidden[:, :-1], made["d_sums"]))
        of_state = (made[name] for name in _GRADIENTS)
        return made["d_sums"], before.transpose(1, 2) @ d_sums, *of_state, None, None


# --- the library ------------------------------------------------------------------------------------------------------

_STATE, _GRADIENTS = ("hidden", "cell", "normaliser", "most"), ("d_state", "d_cell", "d_normaliser")


class _Given(Structure):
    _fields_ = (
        *((name, c_long) for name in ("rows", "places", "heads", "width")),
        *(
            (name, c_void_p)
            for name in ("sums", "matrix", *_STATE, "gates", "d_hidden", *_GRADIENTS, "d_sums", "scratch")
        ),
    )


def _call(library: ctypes.CDLL, function: Any, matrix: Tensor, tensors: dict[str, Tensor]) -> None:
    """Call a function of the C source with the tensors, named as in its struct `Layer`."""
    rows, places, heads, width = tensors["gates"].shape
    given = _Given(rows, places, heads, width // 5)
    library.widen_columns.argtypes, library.widen_columns.restype = [c_long], c_long
    library.count_scratch.argtypes, library.count_scratch.restype = [POINTER(_Given)], c_long
    missing = library.widen_columns(matrix.shape[-1]) - matrix.shape[-1]
    tensors = tensors | {"matrix": functional.pad(matrix, (0, missing)).contiguous()}
    tensors |= {"scratch": matrix.new_zeros(library.count_scratch(byref(given)))}
    for name, tensor in tensors.items():
        setattr(given, name, tensor.data_ptr())
    function.argtypes, function.restype = [POINTER(_Given)], None
    function(byref(given))
