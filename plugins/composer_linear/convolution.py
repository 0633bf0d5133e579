"""A weighted sum of each channel's last steps, then perhaps silu.

On a CPU it runs in compiled C, forward and backward: one pass over the numbers each.
"""

from __future__ import annotations

import ctypes
from ctypes import c_long, c_void_p
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from composer_recurrent.c_code import load

SOURCE = Path(__file__).with_name("convolution.c")

REACH = 4
"""Steps that it sees, their own included."""


def convolve(x: Tensor, before: Tensor, weight: Tensor, bias: Tensor, *, activated: bool) -> tuple[Tensor, Tensor]:
    """Compute (B, T, C) from an input of this shape, and the inputs after, from those before (B, REACH - 1, C).

    Weights are (REACH, C), the bias is (C,). All but `x` are in one type, in which the results are.
    """
    if x.shape[1] > 1 and x.device.type == "cpu" and (library := load(SOURCE, before.dtype)) is not None:
        return _Convolved.apply(x, before, weight, bias, activated, library)  # type: ignore[no-untyped-call]
    places, seen = x.shape[1], torch.cat([before, x.to(before.dtype)], dim=1)
    made = bias + weight[0] * seen[:, :places]
    for step in range(1, REACH):
        made = torch.addcmul(made, weight[step], seen[:, step : step + places])
    return functional.silu(made) if activated else made, seen[:, places:]


class _Convolved(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, before: Tensor, weight: Tensor, bias: Tensor, activated: bool, library: ctypes.CDLL
    ) -> tuple[Tensor, Tensor]:
        rows, places, channels = x.shape
        seen = before.new_empty(rows, places + REACH - 1, channels)
        seen[:, : REACH - 1], seen[:, REACH - 1 :] = before, x
        made = before.new_empty(x.shape)
        _call(library.convolve, activated, made, seen, weight, bias, made)
        ctx.save_for_backward(seen, weight, bias)
        ctx.activated, ctx.library, ctx.dtype = activated, library, x.dtype
        ctx.set_materialize_grads(False)
        return made, seen[:, places:].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_made: Tensor | None, d_after: Tensor | None) -> tuple[Tensor | None, ...]:
        seen, weight, bias = ctx.saved_tensors
        rows, places, channels = len(seen), seen.shape[1] - REACH + 1, seen.shape[2]
        heard = seen.new_zeros(rows, places, channels) if d_made is None else d_made.contiguous()
        d_seen, d_weight, d_bias = torch.empty_like(seen), torch.zeros_like(weight), torch.zeros_like(bias)
        given = heard, d_seen, d_weight, d_bias, torch.empty_like(bias)
        _call(ctx.library.convolve_back, ctx.activated, heard, seen, weight, bias, *given)
        if d_after is not None:
            d_seen[:, places:] += d_after
        return d_seen[:, REACH - 1 :].to(ctx.dtype), d_seen[:, : REACH - 1], d_weight, d_bias, None, None


def _call(function: Any, activated: bool, like: Tensor, *tensors: Tensor) -> None:
    """Call a function of the C source for arrays of the shape (B, T, C) of `like`."""
    function.argtypes, function.restype = [c_long] * 4 + [c_void_p] * len(tensors), None
    function(*like.shape, int(activated), *(tensor.data_ptr() for tensor in tensors))
