"""A minimal layer in training by compiled C: gates, recurrence, norm and dropout in one pass, forward and backward.

The reference is `run_plainly` in `layers`; where there is no compiler, it is what runs. The C code shares torch's
threads. Everything is in the precision of the state; sums of gates, and what the next layer reads, may be in bf16.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, byref, c_double, c_float, c_int, c_long, c_void_p
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from composer_recurrent.c_code import load
from composer_recurrent.dropout import Drop

SOURCE = Path(__file__).with_name("training.c")

TENSORS = ("sums", "bias", "before", "below", "levels", "hidden", "total", "norms", "read")
GRADIENTS = ("d_total", "d_read", "d_last", "d_sums", "d_below", "d_before", "d_bias", "scratch")


def is_available(state: Tensor) -> bool:
    """Tell whether the compiled layer can be used with a state of this type, on its device."""
    return state.device.type == "cpu" and load(SOURCE, state.dtype) is not None


def run_layer(
    sums: Tensor, bias: Tensor, before: Tensor, below: Tensor | None, drop: Drop | None, low: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute a layer from the sums (B, T, 2 or 3 times H) of its gates, without their bias.

    `before` is the state (B, H) before the first place, and `below` the sum (B, T, H) of the layers below. Returns the
    sum (B, T, H) with this layer, the same normalised and after dropout (in bf16 if `low`), and the last state (B, H).
    """
    return _Layer.apply(sums, bias, before, below, drop, low)  # type: ignore[no-untyped-call]


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, sums: Tensor, bias: Tensor, before: Tensor, below: Tensor | None, drop: Drop | None, low: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        shape = (*sums.shape[:2], before.shape[-1])
        sums, bias, before = sums.contiguous(), bias.contiguous(), before.contiguous()
        below = None if below is None else below.contiguous()
        hidden, norms = before.new_empty(shape), before.new_empty((*shape[:2], 2))
        total = hidden if below is None else torch.empty_like(hidden)
        read = before.new_empty(shape, dtype=torch.bfloat16 if low else before.dtype)
        given = {"sums": sums, "bias": bias, "before": before, "below": below}
        given |= {"hidden": hidden, "total": total, "norms": norms, "read": read}
        _run(given, drop, backward=False)
        ctx.save_for_backward(sums, bias, before, hidden, total, norms)
        ctx.drop, ctx.adds = drop, below is not None
        ctx.set_materialize_grads(False)
        return total, read, hidden[:, -1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *heard: Tensor | None) -> tuple[Tensor | None, ...]:
        sums, bias, before, hidden, total, norms = ctx.saved_tensors
        d_total, d_read, d_last = (None if one is None else one.contiguous() for one in heard)
        rows = len(before)
        made = {
            "d_sums": torch.empty_like(sums),
            "d_below": torch.empty_like(total) if ctx.adds else None,
            "d_before": torch.empty_like(before),
            "d_bias": bias.new_empty((rows, len(bias))),
        }
        given = {"sums": sums, "bias": bias, "before": before, "hidden": hidden, "total": total, "norms": norms}
        given |= {"d_total": d_total, "d_read": d_read, "d_last": d_last}
        _run(given | made, ctx.drop, backward=True)
        return made["d_sums"], made["d_bias"].sum(0), made["d_before"], made["d_below"], None, None


# --- the library ------------------------------------------------------------------------------------------------------


def _define_pass(number: type[Any]) -> type[Structure]:
    """Define the struct `Pass` of the C source, for numbers of this type."""
    sizes = [(name, c_long) for name in ("rows", "places", "width", "kind")]
    settings = [("low_sums", c_int), ("low_read", c_int), ("threshold", c_long), ("scale", number)]
    arrays = [(name, c_void_p) for name in (*TENSORS, *GRADIENTS)]
    return type("_Pass", (Structure,), {"_fields_": [*sizes, *settings, *arrays, ("next", c_long)]})


_NUMBERS = {torch.float32: _define_pass(c_float), torch.float64: _define_pass(c_double)}


@lru_cache(maxsize=1)
def _find_parallel() -> int | None:
    """Return the address of the function by which torch runs its threads, or None if it is not OpenMP's."""
    try:
        return ctypes.cast(ctypes.CDLL(None).GOMP_parallel, c_void_p).value
    except (AttributeError, OSError, TypeError):
        return None


def _run(tensors: dict[str, Tensor | None], drop: Drop | None, *, backward: bool) -> None:
    """Run one pass over these tensors, named as in the C source."""
    sums, before = tensors["sums"], tensors["before"]
    assert sums is not None and before is not None  # noqa: S101, PT018
    read = tensors["d_read" if backward else "read"]
    (rows, places, both), width = sums.shape, before.shape[-1]
    kind, library = both // width, load(SOURCE, before.dtype)
    assert library is not None  # noqa: S101  (is_available was asked)
    scratch = before.new_empty((rows, 2 * kind + 2, width))
    given = _NUMBERS[before.dtype](
        rows=rows,
        places=places,
        width=width,
        kind=kind,
        low_sums=sums.dtype == torch.bfloat16,
        low_read=read is not None and read.dtype == torch.bfloat16,
        threshold=drop.threshold if drop else 0,
        scale=drop.scale if drop else 1.0,
        levels=drop.levels.data_ptr() if drop else None,
        scratch=scratch.data_ptr(),
        **{name: tensor.data_ptr() for name, tensor in tensors.items() if tensor is not None},
    )
    library.run_pass.argtypes, library.run_pass.restype = [POINTER(type(given)), c_int, c_void_p, c_int], None
    library.run_pass(byref(given), backward, _find_parallel(), torch.get_num_threads())
