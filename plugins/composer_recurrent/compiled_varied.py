"""The steps of an LSTM with norms or dropped candidates in compiled C, forward and backward, around torch's products.

`composer_recurrent.varied` is the reference. It runs where there is no compiler, on GPUs, and without gradients.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, Structure, byref, c_int, c_long, c_void_p
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from composer_recurrent.c_code import load
from composer_recurrent.compiled import MatrixProduct

SOURCE = Path(__file__).with_name("varied.c")

Parts = tuple[Tensor, ...]


def load_library(sums: Tensor) -> ctypes.CDLL | None:
    """Return the library for sums of this type and device, or None if there is none."""
    return load(SOURCE, sums.dtype) if sums.device.type == "cpu" else None


def run_steps(
    sums: Tensor, recurrent: Tensor, norms: Sequence[Tensor], kept: Tensor | None, state: Parts, library: ctypes.CDLL
) -> tuple[Tensor, Parts]:
    """Take all steps: sums (T, B, 4 H) of the input and the state, (B, H) each, to (T, B, H) and the state after them.

    The recurrent matrix (4 H, H) may be in bf16. `norms` are the gain of the state's sums, and gain and bias of the
    cell; none for an LSTM without norms. Candidates are multiplied by `kept` (T, B, H).
    """
    gains = tuple(norms) or (None, None, None)
    hidden, *after = _Steps.apply(sums, recurrent, *gains, kept, *state, library)  # type: ignore[no-untyped-call]
    return hidden, tuple(after)


class _Steps(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        sums: Tensor,
        recurrent: Tensor,
        gain: Tensor | None,
        cell_gain: Tensor | None,
        cell_bias: Tensor | None,
        kept: Tensor | None,
        hidden: Tensor,
        cell: Tensor,
        library: ctypes.CDLL,
    ) -> Parts:
        steps, rows, width = *sums.shape[:2], hidden.shape[-1]
        made = {"from_input": sums.contiguous(), "gates": sums.new_empty(steps, rows, 5 * width)}
        for name, before in (("hidden", hidden), ("cells", cell)):
            made[name] = sums.new_empty(steps + 1, rows, width)
            made[name][0] = before
        if gain is not None:
            made |= {"normalised": torch.empty_like(made["gates"]), "scales": sums.new_empty(steps, rows, 2)}
        seen = made["hidden"]
        if recurrent.dtype != sums.dtype:
            seen = made["low_hidden"] = seen.to(recurrent.dtype)
        given = dict(zip((*_NORMS, "kept"), (gain, cell_gain, cell_bias, kept), strict=True))
        made |= {name: tensor.contiguous() for name, tensor in given.items() if tensor is not None}
        layer, product = _Layer(library, made, low="low_hidden" in made), MatrixProduct()
        for step, before in enumerate(seen.unbind(0)[:-1]):
            layer.run_forward(step, product.multiply(before, recurrent))
        del made["from_input"]  # of which the gradient needs nothing
        ctx.library, ctx.names = library, tuple(made)
        ctx.save_for_backward(recurrent, seen, *made.values())
        ctx.set_materialize_grads(False)
        return made["hidden"][1:].clone(), made["hidden"][-1].clone(), made["cells"][-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *heard: Tensor | None) -> tuple[Tensor | None, ...]:
        recurrent, seen, *kept = ctx.saved_tensors
        made = dict(zip(ctx.names, kept, strict=True))
        hidden, steps = made["hidden"], len(made["gates"])
        made |= {f"d_{name}": torch.zeros_like(made[name]) for name in _NORMS if name in made}
        made["d_from_input"] = hidden.new_empty(steps, hidden.shape[1], len(recurrent))
        made["d_from_state"] = torch.empty_like(made["d_from_input"], dtype=recurrent.dtype)
        for name, gradient in zip(("d_state", "d_cell"), heard[1:], strict=True):
            made[name] = torch.zeros_like(hidden[0]) if gradient is None else gradient.contiguous().clone()
        if heard[0] is not None:
            made["d_hidden"] = heard[0].contiguous()
        layer, product = _Layer(ctx.library, made, low=recurrent.dtype != hidden.dtype), MatrixProduct()
        d_product: Tensor | None = None
        for step in reversed(range(steps)):
            layer.run_backward(step, d_product)
            d_product = product.multiply_back(made["d_from_state"][step], recurrent)
        of_matrix = product.sum_up(made["d_from_state"], seen[:-1], recurrent)
        of_norms = (made.get(f"d_{name}") for name in _NORMS)
        return made["d_from_input"], of_matrix, *of_norms, None, made["d_state"].add_(d_product), made["d_cell"], None


# --- the library ------------------------------------------------------------------------------------------------------

_NORMS = ("gain", "cell_gain", "cell_bias")
_STATES = ("hidden", "cells", "low_hidden", "gates", "normalised", "scales")
_GRADIENTS = ("d_hidden", "d_state", "d_cell", "d_product", "d_from_input", "d_from_state")


class _Given(Structure):
    _fields_ = (
        *((name, c_long) for name in ("rows", "places", "width")),
        ("low", c_int),
        *((name, c_void_p) for name in ("from_input", "from_state", *_NORMS, "kept")),
        *((name, c_void_p) for name in (*_STATES, *_GRADIENTS, *(f"d_{name}" for name in _NORMS), "scratch")),
    )


class _Layer:
    """The struct `Layer` of the C source over these tensors, named as there, which it keeps."""

    def __init__(self, library: ctypes.CDLL, tensors: dict[str, Tensor], *, low: bool) -> None:
        hidden = tensors["hidden"]
        steps, rows, width = hidden.shape
        self._kept = tensors | {"scratch": hidden.new_empty(9 * width)}
        addresses = {name: tensor.data_ptr() for name, tensor in self._kept.items()}
        self._given = _Given(rows=rows, places=steps - 1, width=width, low=low, **addresses)
        self._library = library
        for function in (library.run_forward, library.run_backward):
            function.argtypes, function.restype = [POINTER(_Given), c_long], None

    def run_forward(self, step: int, products: Tensor) -> None:
        """Run a step, given the products (B, 4 H) of the state before it."""
        self._given.from_state = products.data_ptr()
        self._library.run_forward(byref(self._given), step)

    def run_backward(self, step: int, d_product: Tensor | None) -> None:
        """Run a step backward; `d_product` (B, H) is the gradient of its output by the products after it."""
        self._given.d_product = None if d_product is None else d_product.data_ptr()
        self._library.run_backward(byref(self._given), step)
