"""The backend `traced`: any network whose step can be traced, in C.

steps.py        the step of a model: traced, compiled, and compared with its network
graph.py        the operations of a step, by torch's tracing, as values in memory and calls on them
operations.py   the operations of torch that are known
elementwise.py  those on one number at a time
indexing.py     those that join arrays, and look numbers up
reductions.py   those that sum: over axes, and products of matrices
loops.py        loops over the numbers of values
program.py      the steps as a C program, and the arrays that they are given
program_cache.py  steps kept for later processes, which then need no torch

A program begins with the functions in `prelude.c`, and calls the matrix products in `products.c`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from composer import hookimpl
from composer.types import HasCell, Step

if TYPE_CHECKING:
    from composer.model import Model


@dataclass(frozen=True)
class TracedBackend:
    """C on the CPU for networks without a cell, traced by torch and compiled on first use."""

    speed: ClassVar[int] = 5  # before torch, after those that need no torch
    tolerances: ClassVar[Mapping[str, float]] = MappingProxyType({"float32": 1e-4})

    def supports(self, model: "Model", device: str) -> bool:
        """Tell whether the network can be traced, and the trace computes what it does; not for one with a cell."""
        return not self.explain(model, device)

    def explain(self, model: "Model", device: str) -> str:
        """Explain why it does not run a model there; empty if it does."""
        if device != "cpu":
            return "it runs on the CPU alone"
        if isinstance(model.make_architecture(), HasCell):
            return f"the architecture '{model.architecture.name}' has `build_cell`, which `native` and `numpy` run"
        from composer_traced import steps

        return steps.explain(model)

    def make(self, model: "Model", device: str, precision: str = "float32") -> Step:
        """Make the step of the model's network."""
        from composer_traced.steps import make_traced_step

        return make_traced_step(model)


@hookimpl
def register_backends() -> dict[str, Callable[..., Any]]:
    """Register `traced`."""
    return {"traced": TracedBackend}
