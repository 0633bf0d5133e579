"""The optimiser `lion`: evolved sign momentum (Chen et al. 2023, algorithm 2)."""

from __future__ import annotations

from typing import Any

import torch


class SignSteps(torch.optim.Optimizer):
    """Steps by the sign of an average of the momentum and the gradient."""

    def __init__(self, groups: list[dict[str, Any]], learning_rate: float, beta1: float, beta2: float) -> None:
        super().__init__(groups, {"lr": learning_rate, "betas": (beta1, beta2)})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update each parameter that has a gradient."""
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state, gradient = self.state[parameter], parameter.grad
                mean = state.setdefault("mean", torch.zeros_like(parameter))
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(mean.lerp(gradient, 1 - beta1).sign_(), alpha=-group["lr"])
                mean.lerp_(gradient, 1 - beta2)
