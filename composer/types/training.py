"""What a training run is made of beside its network: the objective, the optimiser and the schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    import torch


class Objective(Protocol):
    """What training minimises: a frozen dataclass of options. Validation counts plain nats, whatever it is."""

    unit: ClassVar[str]
    """What its loss is counted in, such as `nats`; progress then says `nats per note`."""

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Compute the loss (N,) of each position, from logits (N, V) in float32 and targets (N,), tokens below V.

        The loss of a position depends on that position alone: it is summed over some of them, in any company.
        """


class Optimiser(Protocol):
    """How weights are updated: a frozen dataclass of options."""

    def build(self, parameters: Sequence[torch.nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
        """Build an optimiser of torch; the `lr` of each group is set before each step.

        Its state is saved in checkpoints: for each parameter tensors and plain values, all of them from the first step
        on and of one size, and the plain values of its groups.
        """


class Schedule(Protocol):
    """How the learning rate changes: a frozen dataclass of options."""

    def compute_rate(self, step: int, steps: int, highest: float) -> float:
        """Compute the learning rate of a step, from 0 to `highest`, which is the option `learning_rate`.

        Steps count from 0; the last one is `steps` - 1.
        """
