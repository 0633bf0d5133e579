"""Objectives: the plain cross-entropy, and the one with smoothed labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class CrossEntropy:
    """Minimise the negative log-likelihood of each token."""

    unit: ClassVar[str] = "nats"

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Compute the nats (N,) of each token."""
        from torch.nn import functional

        return functional.cross_entropy(logits, targets, reduction="none")


@dataclass(frozen=True)
class LabelSmoothing:
    """Minimise the cross-entropy from labels that give every token a small share (Szegedy et al. 2016)."""

    amount: Annotated[float, "share of a label that is spread over all tokens"] = 0.1

    unit: ClassVar[str] = "smoothed nats"

    def __post_init__(self) -> None:
        """Raise ValueError for a share that is none."""
        if not 0 <= self.amount < 1:
            raise ValueError("amount must be at least 0 and less than 1")

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Compute the smoothed nats (N,) of each token."""
        from torch.nn import functional

        return functional.cross_entropy(logits, targets, reduction="none", label_smoothing=self.amount)
