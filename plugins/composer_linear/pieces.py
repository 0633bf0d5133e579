"""What several blocks have: matrices, a norm, a short convolution, a gated network. States are in fp32 at least."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from composer_linear.convolution import REACH, convolve
from composer_linear.gating import gate
from composer_recurrent.products import multiply

FAINT = 0.1
"""The variance below which what a head reads is left faint: a query that fits no key would bring up rounding errors."""


def widen(x: Tensor) -> Tensor:
    """Return numbers in fp32, or as they are if they are in fp64."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class Matrix(nn.Linear):
    """A matrix whose products have the variance of the input, times `scale`, when it is new."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = False, scale: float = 1.0) -> None:
        super().__init__(inputs, outputs, bias=bias)
        nn.init.normal_(self.weight, std=(scale / inputs) ** 0.5)
        if bias:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply (..., inputs) to (..., outputs)."""
        return multiply(x, self.weight, self.bias)


class Norm(nn.Module):
    """Normalise the last axis, and scale it by a gain: one pass in torch, where the articles' RMS norm takes four."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Return an array of the shape of `x`."""
        return functional.layer_norm(x, x.shape[-1:], self.weight)


class HeadNorm(nn.Module):
    """Normalise what each head read, (B, heads, T, width), and lay the heads side by side: (B, T, heads * width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, read: Tensor) -> Tensor:
        """Return (B, T, heads * width), scaled by a gain."""
        return functional.layer_norm(read.transpose(1, 2), read.shape[-1:], eps=FAINT).flatten(2) * self.weight


class ShortConvolution(nn.Module):
    """A weighted sum of each channel's last steps, then silu if it is `activated`.

    The state is the inputs (B, REACH - 1, channels) before.
    """

    def __init__(self, channels: int, *, activated: bool = False) -> None:
        super().__init__()
        self.activated = activated
        self.weight = nn.Parameter(torch.empty(REACH, channels).uniform_(-(REACH**-0.5), REACH**-0.5))
        self.bias = nn.Parameter(torch.zeros(channels))

    def begin(self, like: Tensor) -> Tensor:
        """Make the state of as many rows as `like` has, before the first token."""
        return like.new_zeros(len(like), REACH - 1, len(self.bias))

    def forward(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Compute (B, T, channels) from an input of this shape, and the state after."""
        return convolve(x, before, self.weight, self.bias, activated=self.activated)


class HeadMatrix(nn.Module):
    """A matrix (inputs, outputs) for each of several equal parts of the last axis."""

    def __init__(self, heads: int, inputs: int, outputs: int, scale: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(heads, inputs, outputs).normal_(std=(scale / inputs) ** 0.5))

    def forward(self, x: Tensor) -> Tensor:
        """Multiply (B, T, heads * inputs) to (B, T, heads * outputs)."""
        heads, inputs, outputs = self.weight.shape
        parts = x.reshape(-1, heads, inputs).transpose(0, 1) @ self.weight  # (heads, B * T, outputs)
        return parts.transpose(0, 1).reshape(*x.shape[:-1], heads * outputs)


class GatedNetwork(nn.Module):
    """Two layers, of which the first is gated (Shazeer 2020): W_z (act(W_m x) * W_n x)."""

    def __init__(self, width: int, inner: int, activation: str, scale: float) -> None:
        super().__init__()
        self.activation = activation
        self.inputs, self.outputs = Matrix(width, 2 * inner), Matrix(inner, width, scale=scale)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (B, T, width)."""
        gates, values = self.inputs(x).chunk(2, dim=-1)
        return self.outputs(gate(gates, values, self.activation))
