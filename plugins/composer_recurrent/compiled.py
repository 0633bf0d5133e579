"""Torch's recurrent layers in training, with compiled C between the products, forward and backward.

Torch's own layers are the reference; where there is no compiler, they are what runs. The products with the input are
computed for all steps at once, and so is the gradient of the recurrent matrix, which torch sums step by step.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, Structure, byref, c_int, c_long, c_void_p
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from composer_recurrent.c_code import load
from composer_recurrent.products import multiply, multiply_plainly

SOURCE = Path(__file__).with_name("recurrence.c")

LSTM = 4
"""Sums of a unit of an LSTM, whose state has two parts."""


def is_available(number: torch.dtype, device: torch.device) -> bool:
    """Tell whether compiled layers can be used with states of this type, on this device."""
    return device.type == "cpu" and load(SOURCE, number) is not None


class Product(Protocol):
    """What a recurrent matrix does: with states (R, H), a row each, it makes sums (R, G)."""

    def multiply(self, states: Tensor, matrix: Tensor) -> Tensor:
        """Compute sums (R, G) of states (R, H); contiguous."""

    def multiply_back(self, sums: Tensor, matrix: Tensor) -> Tensor:
        """Compute the gradient (R, H) of states from that of their sums (R, G); contiguous."""

    def sum_up(self, sums: Tensor, states: Tensor, matrix: Tensor) -> Tensor:
        """Compute the gradient of the matrix from those of sums (T, R, G), and the states (T, R, H)."""


class MatrixProduct:
    """The plain product with a matrix (G, H)."""

    def multiply(self, states: Tensor, matrix: Tensor) -> Tensor:
        """Compute sums of states."""
        return multiply_plainly(states, matrix.t())

    def multiply_back(self, sums: Tensor, matrix: Tensor) -> Tensor:
        """Compute the gradient of states."""
        return multiply_plainly(sums, matrix)

    def sum_up(self, sums: Tensor, states: Tensor, matrix: Tensor) -> Tensor:
        """Compute the gradient of the matrix."""
        return multiply_plainly(sums.flatten(0, 1).t(), states.flatten(0, 1))


def run_layer(x: Tensor, state: tuple[Tensor, ...], weights: list[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Compute a layer: x (T, B, E) and its state, each (B, H), to (T, B, H) and the state after the last step.

    `weights` are the matrices of input and state and their biases, in torch's order.
    """
    inputs, *others = weights
    return run_sums(multiply(x, inputs), state, others)


def run_sums(
    sums: Tensor, state: tuple[Tensor, ...], weights: Sequence[Tensor], product: Product | None = None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Compute a layer from the sums (T, R, G) of its input: the output (T, R, H), and the state after the last step.

    `weights` are the recurrent matrix and both biases. The matrix is what a `product` takes, by default a plain one.
    """
    recurrent, bias, state_bias = weights
    given = (sums, recurrent.to(sums.dtype), bias, state_bias)
    hidden, *after = _Layer.apply(*given, product or MatrixProduct(), *state)  # type: ignore[no-untyped-call]
    return hidden, tuple(after)


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, sums: Tensor, recurrent: Tensor, bias: Tensor, state_bias: Tensor, product: Product, *state: Tensor
    ) -> tuple[Tensor, ...]:
        (steps, rows, width), kind = (*sums.shape[:2], state[0].shape[-1]), sums.shape[-1] // state[0].shape[-1]
        low, made = sums.dtype == torch.bfloat16, {"from_input": sums.contiguous()}
        made["hidden"] = state[0].new_empty((steps + 1, rows, width))
        made["gates"] = state[0].new_empty((steps, rows, (kind + 1) * width))
        for name, before in zip(("hidden", "cells"), state, strict=False):
            made[name] = before.new_empty((steps + 1, rows, width))
            made[name][0] = before
        seen = made["hidden"]
        if low:
            seen = made["low_hidden"] = made["hidden"].to(torch.bfloat16)
        layer, library = _Struct(made | {"bias": bias, "state_bias": state_bias}, kind), _load(bias.dtype)
        for step, before in enumerate(seen.unbind(0)[:-1]):
            from_state = product.multiply(before, recurrent)
            layer.given.from_state = from_state.data_ptr()
            library.run_forward(layer.address, step)
        kept = made["hidden"], made.get("cells"), made["gates"], seen
        ctx.save_for_backward(recurrent, bias, *kept)
        ctx.set_materialize_grads(False)
        ctx.product = product
        return made["hidden"][1:].clone(), *(made[name][-1].clone() for name in ("hidden", "cells")[: len(state)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *heard: Tensor | None) -> tuple[Tensor | None, ...]:
        recurrent, bias, hidden, cells, gates, seen = ctx.saved_tensors
        steps, (rows, width) = len(gates), hidden.shape[1:]
        kind = len(bias) // width
        made = {"hidden": hidden, "gates": gates, "d_state": _copy(heard[1], hidden[0])}
        made["d_from_input"] = seen.new_empty((steps, rows, kind * width))
        made["d_bias"] = made["d_state_bias"] = torch.zeros_like(bias)
        if heard[0] is not None:
            made["d_hidden"] = heard[0].contiguous()
        if cells is not None:
            made |= {"cells": cells, "d_cell": _copy(heard[2], hidden[0])}
        if kind == 3:  # the GRU's candidate sees the product with the state through the reset gate
            made |= {"d_from_state": torch.empty_like(made["d_from_input"]), "d_state_bias": torch.zeros_like(bias)}
        to_state = made.get("d_from_state", made["d_from_input"])
        layer, library = _Struct(made, kind), _load(bias.dtype)
        for step, sums in reversed(list(enumerate(to_state.unbind(0)))):
            library.run_backward(layer.address, step)
            d_product = ctx.product.multiply_back(sums, recurrent)
            layer.given.d_product = d_product.data_ptr()
        of_matrix = ctx.product.sum_up(to_state, seen[:-1], recurrent)
        of_state = made["d_state"].add_(d_product), *((made["d_cell"],) if cells is not None else ())
        return made["d_from_input"], of_matrix, made["d_bias"], made["d_state_bias"], None, *of_state


def _copy(gradient: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if gradient is None else gradient.clone(memory_format=torch.contiguous_format)


# --- the library ------------------------------------------------------------------------------------------------------


class _Given(Structure):
    _fields_ = (
        *((name, c_long) for name in ("rows", "places", "width", "kind")),
        ("low", c_int),
        *((name, c_void_p) for name in ("from_input", "from_state", "bias", "state_bias", "hidden", "cells")),
        *((name, c_void_p) for name in ("low_hidden", "gates", "d_hidden", "d_state", "d_cell", "d_product")),
        *((name, c_void_p) for name in ("d_from_input", "d_from_state", "d_bias", "d_state_bias", "scratch")),
    )


class _Struct:
    """The struct `Layer` of the C source over these tensors, named as there, which it keeps."""

    def __init__(self, tensors: dict[str, Tensor], kind: int) -> None:
        hidden = tensors["hidden"]
        steps, rows, width = hidden.shape
        sums = tensors.get("from_input", tensors.get("d_from_input", hidden))
        self._kept = tensors | {"scratch": hidden.new_empty(3 * kind * width)}
        addresses = {name: tensor.data_ptr() for name, tensor in self._kept.items()}
        low = sums.dtype == torch.bfloat16
        self.given = _Given(rows=rows, places=steps - 1, width=width, kind=kind, low=low, **addresses)
        self.address = byref(self.given)


def _load(number: torch.dtype) -> ctypes.CDLL:
    library = load(SOURCE, number)
    assert library is not None  # noqa: S101  (is_available was asked)
    for function in (library.run_forward, library.run_backward):
        function.argtypes, function.restype = [POINTER(_Given), c_long], None
    return library
