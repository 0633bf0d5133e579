"""Products of a layer's input and its matrix, by the faster of torch's two libraries.

In fp32, torch multiplies by MKL, which computes with half of AVX-512 on an AMD processor. There oneDNN takes half of
the time (Zen 5: 250 and 110 billion operations a second and core).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def multiply(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute (..., N), x (..., K) times the matrix (N, K), plus the bias; like `functional.linear`."""
    if not _is_single(x, weight) or not prefers_onednn():
        return functional.linear(x, weight, bias)
    product: Tensor = _Product.apply(x.reshape(-1, x.shape[-1]), weight)  # type: ignore[no-untyped-call]
    product = product.view(*x.shape[:-1], len(weight))
    return product if bias is None else product + bias


@lru_cache(maxsize=1)
def prefers_onednn() -> bool:
    """Tell whether products in fp32 are faster by oneDNN: a rule, so that all runs on a machine compute the same."""
    found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    name = str(found.get("cpu_name", ""))
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512"
    return wide and "AMD" in name and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _is_single(x: Tensor, weight: Tensor) -> bool:
    """Tell whether this is a product of several rows in fp32 on a CPU."""
    single = x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32 and x.numel() > x.shape[-1]
    return single and not torch.is_autocast_enabled("cpu") and bool(torch.backends.mkldnn.enabled)


def choose_number(x: Tensor) -> torch.dtype:
    """Choose the type to which a product on a CPU rounds `x`: bf16 inside of autocast, else its own."""
    if x.device.type != "cpu" or x.dtype != torch.float32 or not torch.is_autocast_enabled("cpu"):
        return x.dtype
    return torch.get_autocast_dtype("cpu")


class _Product(torch.autograd.Function):
    """x (M, K) and a matrix (N, K) to (M, N)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _multiply_single(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        wants_x, wants_weight = ctx.needs_input_grad
        of_x = _multiply_single(gradient, weight.t()) if wants_x else None
        return of_x, _multiply_single(gradient.t(), x.t()) if wants_weight else None


def multiply_plainly(a: Tensor, b: Tensor) -> Tensor:
    """Compute (M, N), a (M, K) times b (K, N), without gradients."""
    return _multiply_single(a, b.t()) if _is_single(a, b) and prefers_onednn() else a @ b


def _multiply_single(a: Tensor, b: Tensor) -> Tensor:
    """Compute (M, N), a (M, K) times b (N, K) transposed."""
    return torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
