"""The backends `torch`, the reference, and `numpy`, which does not import torch."""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_backends() -> dict[str, Callable[..., Any]]:
    """Register `torch` and `numpy`."""
    from composer_backends.options import NumpyBackend, TorchBackend

    return {"torch": TorchBackend, "numpy": NumpyBackend}
