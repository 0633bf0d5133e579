"""The two ways to run a model's steps as a user names them; it computes nothing itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from composer.types import Described, Stepper

if TYPE_CHECKING:
    from composer.model import Model


@dataclass(frozen=True)
class TorchSteps:
    """Plain torch, on any device: the reference that all others are held to."""

    speed: ClassVar[int] = 0
    tolerances: ClassVar[Mapping[str, float]] = MappingProxyType({"float32": 0.0})

    def suits(self, model: Model, device: str) -> bool:
        """Every model, everywhere."""
        return True

    def make(self, model: Model, device: str, precision: str = "float32") -> Stepper:
        """The module's own steps."""
        from composer.devices import choose_device
        from composer.sampling.torch_stepper import torch_stepper

        chosen = choose_device(device)  # first: it refuses sooner than torch is imported
        sizes = [column.size for column in model.make_tokenizer().grammar.columns]
        return torch_stepper(model.make_module().to(chosen), sizes)


@dataclass(frozen=True)
class NumpySteps:
    """NumPy on the CPU: there at once, since torch need not be imported."""

    speed: ClassVar[int] = 10
    tolerances: ClassVar[Mapping[str, float]] = MappingProxyType({"float32": 1e-4})

    def suits(self, model: Model, device: str) -> bool:
        """A model on the CPU whose architecture describes its cell."""
        return device == "cpu" and isinstance(model.make_architecture(), Described)

    def make(self, model: Model, device: str, precision: str = "float32") -> Stepper:
        """The steps of the cell."""
        from composer_steppers.arrays import array_stepper

        return array_stepper(model.make_cell())
