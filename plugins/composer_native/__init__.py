"""The stepper `native`: steps in C, compiled on first use where there is a compiler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from composer import hookimpl
from composer.types import Described, Stepper

if TYPE_CHECKING:
    from composer.model import Model


@dataclass(frozen=True)
class NativeSteps:
    """C on the CPU, compiled on first use: the fastest, where there is a C compiler."""

    speed: ClassVar[int] = 20
    tolerance: ClassVar[float] = 1e-4

    def suits(self, model: Model, device: str) -> bool:
        """A model on the CPU whose architecture describes its cell, on a machine that could compile the kernel."""
        from composer_native.compiling import library

        return device == "cpu" and isinstance(model.make_architecture(), Described) and library() is not None

    def make(self, model: Model, device: str) -> Stepper:
        """The steps of the cell."""
        from composer_native.steps import native_stepper

        return native_stepper(model.make_cell())


@hookimpl
def register_steppers() -> dict[str, Callable[..., Any]]:
    """Offer `native`."""
    return {"native": NativeSteps}
