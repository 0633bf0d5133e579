"""A training run as values: in progress, as a checkpoint holds it, and ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from composer.fitting import Weights
from composer.training.optimising import BuildOptimiser

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Point:
    """One validation. `epoch` counts passes over the training pieces."""

    step: int
    epoch: float
    train: float
    valid: float
    seconds: float


@dataclass
class Run:
    """A run in progress: the content of a checkpoint."""

    about: Mapping[str, Any]  # settings, method, architecture and music, as in JSON: the identity of the run
    module: nn.Module
    average: nn.Module  # the same, with the weights averaged over the steps (Polyak and Juditsky 1992)
    optimiser: torch.optim.Optimizer
    build_optimiser: BuildOptimiser  # builds another like it, for another module
    batch: int = 0  # the next one of the stream
    step: int = 0
    best: Weights | None = None
    history: list[Point] = field(default_factory=list)
    seconds: float = 0.0
    nats: torch.Tensor | float = 0.0  # since the last validation…
    tokens: float = 0  # …over that many tokens, counted as in the corpus

    @cached_property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """The parameters of the module, collected once: a small network takes a twentieth of an update for that."""
        return tuple(self.module.parameters())

    @cached_property
    def means(self) -> tuple[nn.Parameter, ...]:
        """The averages of the parameters."""
        return tuple(self.average.parameters())

    @property
    def best_point(self) -> Point | None:
        """The validation with the best weights."""
        return min(self.history, key=lambda point: point.valid, default=None)


@dataclass(frozen=True)
class Trained:
    """The outcome of a run: the best weights, and its history.

    `interrupted`: the user stopped it early. `failure`: why it could not go on, if so.
    """

    weights: Weights
    history: tuple[Point, ...]
    parameters: int
    interrupted: bool
    precision: str
    device: str
    failure: str = ""

    @property
    def best(self) -> Point:
        """The validation of these weights."""
        return min(self.history, key=lambda point: point.valid)
