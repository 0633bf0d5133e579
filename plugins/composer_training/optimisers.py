"""Optimisers: torch's own by their names, `muon` for matrices with AdamW for the rest, and `lion`.

Adam and AdamW are fused: one pass over all weights, in which a gradient of NaN is skipped on the device. A fused SGD
would not begin a momentum for a weight whose first gradient comes later than that of others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from composer.errors import BadOption

if TYPE_CHECKING:
    from torch import nn, optim

Parameters: TypeAlias = "Sequence[nn.Parameter]"
Decay = Annotated[float, "share of a weight, times the learning rate, that it loses at each step; none for vectors"]
Penalty = Annotated[float, "added to the gradient, as a share of each weight; none for vectors"]
Momentum = Annotated[float, "share of the mean gradient that it holds on to at each step"]
Mean = Annotated[float, "share of the mean gradient that it holds on to at each step"]
Square = Annotated[float, "share of the mean squared gradient that it holds on to at each step"]


def _check(*, decay: float, **shares: float) -> None:
    """Raise ValueError for a negative decay, and for shares that are none."""
    if not 0 <= decay < float("inf"):
        raise ValueError("weight_decay must be at least 0")
    for name, share in shares.items():
        if not 0 <= share < 1:
            raise ValueError(f"{name} must be at least 0 and less than 1")


def group_parameters(parameters: Parameters, decay: float) -> list[dict[str, Any]]:
    """Group parameters: vectors (biases, norms) are not decayed, since they have no scale to lose."""
    matrices = [p for p in parameters if p.dim() > 1]
    vectors = [p for p in parameters if p.dim() <= 1]
    return [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]


@dataclass(frozen=True)
class AdamW:
    """Adam with a weight decay of its own (Loshchilov and Hutter 2019)."""

    weight_decay: Decay = 0.01
    beta1: Mean = 0.9
    beta2: Square = 0.98

    def __post_init__(self) -> None:
        """Raise ValueError for values out of range."""
        _check(decay=self.weight_decay, beta1=self.beta1, beta2=self.beta2)

    def build(self, parameters: Parameters, learning_rate: float) -> optim.Optimizer:
        """Build it for these parameters."""
        from torch import optim

        groups = group_parameters(parameters, self.weight_decay)
        return optim.AdamW(groups, lr=learning_rate, betas=(self.beta1, self.beta2), fused=True)


@dataclass(frozen=True)
class Adam:
    """Steps in proportion to the mean gradient, over its root mean square (Kingma and Ba 2015)."""

    weight_decay: Penalty = 0.0
    beta1: Mean = 0.9
    beta2: Square = 0.98

    def __post_init__(self) -> None:
        """Raise ValueError for values out of range."""
        _check(decay=self.weight_decay, beta1=self.beta1, beta2=self.beta2)

    def build(self, parameters: Parameters, learning_rate: float) -> optim.Optimizer:
        """Build it for these parameters."""
        from torch import optim

        groups = group_parameters(parameters, self.weight_decay)
        return optim.Adam(groups, lr=learning_rate, betas=(self.beta1, self.beta2), fused=True)


@dataclass(frozen=True)
class Sgd:
    """Stochastic gradient descent with momentum; its learning rate is higher than Adam's, such as 0.5."""

    momentum: Momentum = 0.9
    nesterov: Annotated[bool, "look ahead by the momentum (Nesterov 1983)"] = False
    weight_decay: Penalty = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError for values out of range."""
        _check(decay=self.weight_decay, momentum=self.momentum)
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")

    def build(self, parameters: Parameters, learning_rate: float) -> optim.Optimizer:
        """Build it for these parameters."""
        from torch import optim

        groups = group_parameters(parameters, self.weight_decay)
        return optim.SGD(groups, lr=learning_rate, momentum=self.momentum, nesterov=self.nesterov)


@dataclass(frozen=True)
class RmsProp:
    """Steps in proportion to the gradient, over its root mean square (Tieleman and Hinton 2012)."""

    alpha: Square = 0.99
    momentum: Momentum = 0.0
    weight_decay: Penalty = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError for values out of range."""
        _check(decay=self.weight_decay, alpha=self.alpha, momentum=self.momentum)

    def build(self, parameters: Parameters, learning_rate: float) -> optim.Optimizer:
        """Build it for these parameters."""
        from torch import optim

        groups = group_parameters(parameters, self.weight_decay)
        return optim.RMSprop(groups, lr=learning_rate, alpha=self.alpha, momentum=self.momentum)


@dataclass(frozen=True)
class Muon:
    """Orthogonal steps for matrices (Jordan et al. 2024), scaled to the size of AdamW's; vectors have AdamW itself."""

    weight_decay: Decay = 0.01
    momentum: Momentum = 0.95
    beta1: Mean = 0.9
    beta2: Square = 0.98

    def __post_init__(self) -> None:
        """Raise ValueError for values out of range."""
        _check(decay=self.weight_decay, momentum=self.momentum, beta1=self.beta1, beta2=self.beta2)

    def build(self, parameters: Parameters, learning_rate: float) -> optim.Optimizer:
        """Build it for these parameters. Raises BadOption where torch lacks it."""
        from torch import optim

        from composer_training.pairs import Pair

        if not hasattr(optim, "Muon"):
            raise BadOption("the optimiser 'muon' needs torch 2.9, or later.")
        matrices = [p for p in parameters if p.dim() == 2]
        others = group_parameters([p for p in parameters if p.dim() != 2], self.weight_decay)
        adamw = optim.AdamW(others, lr=learning_rate, betas=(self.beta1, self.beta2), fused=True)
        if not matrices:
            return adamw
        muon = optim.Muon(
            matrices,
            lr=learning_rate,
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            adjust_lr_fn="match_rms_adamw",
        )
        return Pair(muon, adamw)


@dataclass(frozen=True)
class Lion:
    """Steps of one size, by the sign of the mean gradient (Chen et al. 2023)."""

    weight_decay: Decay = 0.1
    beta1: Annotated[float, "share of the mean gradient in a step; the rest is the gradient"] = 0.9
    beta2: Mean = 0.99

    def __post_init__(self) -> None:
        """Raise ValueError for values out of range."""
        _check(decay=self.weight_decay, beta1=self.beta1, beta2=self.beta2)

    def build(self, parameters: Parameters, learning_rate: float) -> optim.Optimizer:
        """Build it for these parameters."""
        from composer_training.lion import SignSteps

        return SignSteps(group_parameters(parameters, self.weight_decay), learning_rate, self.beta1, self.beta2)
