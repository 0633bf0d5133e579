"""Options of the backends `torch` and `numpy`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, ClassVar

from composer.types import HasCell, Step

if TYPE_CHECKING:
    from composer.model import Model


BLOCK, MOST_BLOCK = 64, 1024
"""Steps between two looks at a device, by default and at most."""


@dataclass(frozen=True)
class TorchBackend:
    """Plain torch, on any device: the reference for all other backends.

    On a GPU the whole loop of sampling stays on the device for a block of steps, unless constraints or samplers have to
    be asked at each. The pieces are the same.
    """

    block: Annotated[int, "steps before tokens are read back; 1: each; 0: 64 on a GPU, 1 on a CPU"] = 0

    speed: ClassVar[int] = 0
    tolerances: ClassVar[Mapping[str, float]] = MappingProxyType({"float32": 0.0})

    def __post_init__(self) -> None:
        """Refuse an invalid number of steps."""
        if not 0 <= self.block <= MOST_BLOCK:
            raise ValueError(f"block must be from 0 to {MOST_BLOCK}")

    def supports(self, model: Model, device: str) -> bool:
        """Return True: torch runs every model on every device."""
        return True

    def make(self, model: Model, device: str, precision: str = "float32") -> Step:
        """Make the step of the model's module."""
        from composer.devices import choose_device
        from composer.sampling.torch_backend import make_torch_step

        chosen = choose_device(device)  # first, since it fails faster than torch is imported
        block = self.block or (1 if chosen.type == "cpu" else BLOCK)
        return make_torch_step(model.make_module().to(chosen), model.make_tokenizer().grammar.columns, block)


@dataclass(frozen=True)
class NumpyBackend:
    """NumPy on the CPU: starts at once, since torch is not imported."""

    speed: ClassVar[int] = 10
    tolerances: ClassVar[Mapping[str, float]] = MappingProxyType({"float32": 1e-4})

    def supports(self, model: Model, device: str) -> bool:
        """Tell whether the device is a CPU and the architecture has a cell."""
        return not self.explain(model, device)

    def explain(self, model: Model, device: str) -> str:
        """Explain why it does not run a model there; empty if it does."""
        if device != "cpu":
            return "it runs on the CPU alone"
        named = model.architecture.name
        return (
            "" if isinstance(model.make_architecture(), HasCell) else f"the architecture '{named}' has no `build_cell`"
        )

    def make(self, model: Model, device: str, precision: str = "float32") -> Step:
        """Make the step of the model's cell."""
        from composer_backends.arrays import make_numpy_step

        return make_numpy_step(model.make_cell(), [column.name for column in model.make_tokenizer().grammar.columns])
