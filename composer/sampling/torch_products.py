"""Linear layers of a few rows in C, with the bits that torch computes for many.

A product of one row is another function of the matrix library than one of many, and rounds otherwise. So one row would
have to be padded to several, at half as much time again. Here it is computed with the sums of many rows, in their
order, where a trial of each layer shows that these are known.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from composer.devices import run_alike
from composer.tokens.jit.c_compiler import load_library

if TYPE_CHECKING:
    import torch
    from torch import nn

SOURCE = Path(__file__).with_name("torch_products.c")

FLAGS = ("-O3", "-march=native", "-mprefer-vector-width=512", "-ffp-contract=fast", "-shared", "-fPIC", "-w")
"""Contraction is wanted: matrix libraries add each product with one rounding."""

FEW = 3
"""Rows that are multiplied so, at most."""

PANEL = 128
"""Outputs that lie side by side."""

PARTS = 192, 256, 384
"""Inputs of a partial sum, by matrix libraries; or all of them, or half."""

TRIAL = 64
"""Rows of a trial."""


def replace_products(module: nn.Module) -> nn.Module:
    """Return a module whose linear layers multiply few rows in C; the module itself where that cannot be.

    It shares all parameters.
    """
    import torch

    library = load_library(SOURCE.read_text(encoding="utf-8"), FLAGS)
    if library is None or not any(type(layer) is torch.nn.Linear for layer in module.modules()):
        return module
    library.multiply_rows.restype = None
    library.multiply_rows.argtypes = [*[ctypes.c_int64] * 4, *[ctypes.c_void_p] * 4]
    shared: dict[int, Any] = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    try:
        copied = deepcopy(module, shared)
    except Exception:  # a module may hold anything
        return module
    for layer in copied.modules():  # those of other classes may compute anything
        if type(layer) is torch.nn.Linear and (forward := _find_forward(library.multiply_rows, layer)) is not None:
            layer.forward = forward  # type: ignore[assignment, method-assign]
    return copied


def _find_forward(multiply: Any, layer: nn.Linear) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """Find what computes a layer with the bits of many rows; None if no order of sums is right."""
    import torch

    depth = layer.in_features
    if layer.weight.dtype != torch.float32 or layer.weight.device.type != "cpu":
        return None
    rows = torch.from_numpy(np.random.default_rng(0).standard_normal((TRIAL, depth), dtype=np.float32))
    with run_alike():
        wanted = layer(rows)
        for part in dict.fromkeys((depth, -(-depth // 2), *PARTS)):
            forward = _make_forward(multiply, layer, part)
            if part <= depth and torch.equal(torch.cat([forward(row[None]) for row in rows]), wanted):
                return forward
    return None


def _make_forward(multiply: Any, layer: nn.Linear, part: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Make the forward function of a layer, with partial sums of so many inputs."""
    import torch

    plain, depth, width = layer.forward, layer.in_features, layer.out_features
    weights = _pack(layer.weight.detach().numpy())
    bias = None if layer.bias is None else np.pad(layer.bias.detach().numpy(), (0, -width % PANEL))
    places = weights.ctypes.data, None if bias is None else bias.ctypes.data
    kept = weights, bias

    def forward(inputs: torch.Tensor) -> torch.Tensor:
        rows = inputs.numel() // depth
        if not 0 < rows <= FEW or inputs.dtype != torch.float32 or inputs.shape[-1] != depth:
            return plain(inputs)
        inputs = inputs.contiguous()
        found = torch.empty((*inputs.shape[:-1], width))
        multiply(rows, depth, width, part, inputs.data_ptr(), *places, found.data_ptr())
        return found

    forward.made_of = kept  # type: ignore[attr-defined]  # keeps the arrays behind its pointers alive
    return forward


def _pack(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a matrix (N, K) in panels of (K, PANEL), with zeros below."""
    padded = np.pad(weights, ((0, -len(weights) % PANEL), (0, 0)))
    return np.ascontiguousarray(padded.reshape(-1, PANEL, weights.shape[1]).transpose(0, 2, 1))
