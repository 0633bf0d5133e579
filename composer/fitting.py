"""A network that may not outgrow the weights that it is built for; it knows no file and no architecture.

What the header of a stranger's model asks for could fill any memory. A layer's parameters are told to torch before
anything is written to them, and so are refused before they cost any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

TIMES, SPARE_ARRAYS, SPARE_NUMBERS = 4, 16, 2**20
"""So many times the weights, and so many more, may be made: a network may give some up at once, such as tied ones."""


class Outgrown(Exception):
    """The network is larger than its weights."""


@contextmanager
def within(weights: Mapping[str, NDArray[Any]]) -> Iterator[None]:
    """What is built here raises Outgrown where it makes far more parameters than there are weights."""
    from torch.nn.modules.module import register_module_parameter_registration_hook as on_parameter

    arrays = TIMES * len(weights) + SPARE_ARRAYS
    numbers = TIMES * sum(array.size for array in weights.values()) + SPARE_NUMBERS

    def count(*told: Any) -> None:
        nonlocal arrays, numbers
        parameter = told[-1]  # after the module, and its name there
        arrays, numbers = arrays - 1, numbers - (0 if parameter is None else parameter.numel())
        if arrays < 0 or numbers < 0:
            raise Outgrown(f"it asks for far more than the {len(weights)} arrays that there are")

    hook = on_parameter(count)
    try:
        yield
    finally:
        hook.remove()
