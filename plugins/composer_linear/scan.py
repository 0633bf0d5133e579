"""A recurrence of single numbers in time: h[t] = decay[t] * h[t - 1] + fresh[t].

On a CPU it runs in compiled C, forward and backward; without a compiler by a loop, and on a GPU by the parallel scan of
`composer_minimal`. Everything is in the precision of the arrays, fp32 or fp64.
"""

from __future__ import annotations

import ctypes
from ctypes import c_long, c_void_p
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from composer_minimal.layers import run_recurrence
from composer_recurrent.c_code import load

SOURCE = Path(__file__).with_name("scan.c")


def run_scan(decay: Tensor, fresh: Tensor, before: Tensor) -> Tensor:
    """Compute the states (B, T, H) from decays and additions (B, T, H), and the state (B, H) before the first."""
    if fresh.shape[1] > 1 and fresh.device.type == "cpu" and (library := load(SOURCE, fresh.dtype)) is not None:
        return _Scan.apply(decay, fresh, before, library)  # type: ignore[no-untyped-call]
    return run_recurrence(decay, fresh, before)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, decay: Tensor, fresh: Tensor, before: Tensor, library: ctypes.CDLL) -> Tensor:
        decay, fresh, before = decay.contiguous(), fresh.contiguous(), before.contiguous()
        hidden = torch.empty_like(fresh)
        _call(library.scan, decay, decay, fresh, before, hidden)
        ctx.save_for_backward(decay, before, hidden)
        ctx.library = library
        return hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, heard: Tensor) -> tuple[Tensor | None, ...]:
        decay, before, hidden = ctx.saved_tensors
        d_decay, d_before = torch.empty_like(decay), torch.empty_like(before)
        d_fresh = heard.clone(memory_format=torch.contiguous_format)
        _call(ctx.library.scan_back, decay, decay, hidden, before, d_decay, d_fresh, d_before)
        return d_decay, d_fresh, d_before, None


def _call(function: Any, like: Tensor, *tensors: Tensor) -> None:
    """Call a function of the C source for arrays of the shape (B, T, H) of `like`."""
    function.argtypes, function.restype = [c_long] * 3 + [c_void_p] * len(tensors), None
    function(*like.shape, *(tensor.data_ptr() for tensor in tensors))
