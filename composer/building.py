"""Building a network that may not outgrow the machine, or the weights that it is built for.

A layer's parameters are told to torch before anything is written to them, and so are refused before they cost any.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from composer.errors import BadOption, printable
from composer.fitting import Unfit
from composer.types import Architecture

if TYPE_CHECKING:
    from torch import nn

TIMES, SPARE_ARRAYS, SPARE_NUMBERS = 4, 16, 2**20
"""So many times the weights, and so many more, may be made: a network may give some up at once, such as tied ones."""

MOST_ARRAYS = 10_000
"""Of a network that is made to be trained."""

USUAL_MEMORY = 2**36
"""Bytes, where the system does not say."""


@contextmanager
def within(weights: Mapping[str, NDArray[Any]]) -> Iterator[None]:
    """What is built here raises Unfit where it makes far more parameters than there are weights."""
    arrays = TIMES * len(weights) + SPARE_ARRAYS
    numbers = TIMES * sum(array.size for array in weights.values()) + SPARE_NUMBERS
    with _limited(arrays, numbers, f"it asks for far more than the {len(weights)} arrays that there are"):
        yield


def built(architecture: Architecture, sizes: Sequence[int], words: int) -> nn.Module:
    """Make the network of an architecture, for columns of these sizes and a vocabulary of so many words.

    Raises BadOption for one that this machine cannot hold.
    """
    try:
        with _limited(MOST_ARRAYS, _memory() // 4, "it would take more than all memory"):
            return architecture.module(list(sizes), words)
    except (RuntimeError, ValueError, TypeError, OverflowError, MemoryError) as error:
        what = printable(str(error).partition("\n")[0], 160)  # torch goes on with its own traceback
        raise BadOption(f"the architecture cannot be made with these sizes ({what}); take smaller ones.") from error


def _memory() -> int:
    """The bytes of this machine."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return USUAL_MEMORY


@contextmanager
def _limited(arrays: int, numbers: int, what: str) -> Iterator[None]:
    """What is built here raises Unfit, which says `what`, where it makes more parameters."""
    from torch.nn.modules.module import register_module_parameter_registration_hook as on_parameter

    def count(*told: Any) -> None:
        nonlocal arrays, numbers
        parameter = told[-1]  # after the module, and its name there
        arrays, numbers = arrays - 1, numbers - (0 if parameter is None else parameter.numel())
        if arrays < 0 or numbers < 0:
            raise Unfit(what)

    hook = on_parameter(count)
    try:
        yield
    finally:
        hook.remove()
