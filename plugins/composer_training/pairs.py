"""Two optimisers, each of some parameters, as one whose groups and state are those of both."""

from __future__ import annotations

from typing import Any

import torch


class Pair(torch.optim.Optimizer):
    """Steps of two optimisers, one after the other."""

    def __init__(self, first: torch.optim.Optimizer, second: torch.optim.Optimizer) -> None:
        super().__init__([*first.param_groups, *second.param_groups], {})
        self._parts, self._first_groups = (first, second), len(first.param_groups)

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Make the steps of both, on the groups and the state as they are now: both may have been loaded since."""
        first, second = self._parts
        first.param_groups = self.param_groups[: self._first_groups]
        second.param_groups = self.param_groups[self._first_groups :]
        for part in self._parts:
            part.state = self.state
            part.step()
