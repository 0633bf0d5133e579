"""What a training run is made of beside its network: the objective, the optimiser and the schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


class Objective(Protocol):
    """What training minimises: a frozen dataclass of options."""

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Compute the loss (N,) in nats of each position, from logits (N, V) in float32 and targets (N,)."""


class Optimiser(Protocol):
    """How weights are updated: a frozen dataclass of options."""

    def build(self, parameters: Sequence[torch.nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
        """Build an optimiser of torch, whose state is saved in checkpoints; `lr` is set before each step."""


class Schedule(Protocol):
    """How the learning rate changes: a frozen dataclass of options."""

    def compute_rate(self, progress: float) -> float:
        """Compute the rate at a share of all steps, from 0 up to 1, as a share of `learning_rate`, from 0 to 1."""
