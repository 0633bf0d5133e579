"""The steppers `torch`, the reference, and `numpy`, which imports no torch."""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_steppers() -> dict[str, Callable[..., Any]]:
    """Offer `torch` and `numpy`."""
    from composer_steppers.options import NumpySteps, TorchSteps

    return {"torch": TorchSteps, "numpy": NumpySteps}
