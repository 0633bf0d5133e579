"""Networks built within limits: of the machine's memory, or of the weights they are built for.

torch registers a layer's parameters before their memory is written, so that they are refused at no cost.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from composer.errors import BadOption, printable
from composer.fitting import UnfitWeights, Weights, check_shapes, check_weights, describe_fault, find_faults
from composer.types import Architecture, Column, ReadsFeatures, ReadsTokens, TokenInfo

if TYPE_CHECKING:
    from torch import nn

TIMES, SPARE_ARRAYS, SPARE_NUMBERS = 4, 16, 2**20
"""Limits relative to the weights: a network may make more at first, and drop some, such as tied ones."""

MOST_ARRAYS = 10_000
"""The most arrays of a network to be trained."""

USUAL_MEMORY = 2**36
"""Bytes of memory to assume if the system does not tell."""


def build_module(
    architecture: Architecture, columns: Sequence[Column], vocabulary_size: int, token_info: TokenInfo | None = None
) -> nn.Module:
    """Build the module of an architecture for these features, and tell it what they are if it reads that.

    `token_info` says what the tokens state; callers that have a tokenizer pass it.
    """
    if token_info is not None and isinstance(architecture, ReadsTokens):
        return architecture.build_module_of(columns, token_info)
    if isinstance(architecture, ReadsFeatures):
        return architecture.build_module_for(columns, vocabulary_size)
    return architecture.build_module([column.size for column in columns], vocabulary_size)


def build_network(
    architecture: Architecture,
    columns: Sequence[Column],
    vocabulary_size: int,
    weights: Weights,
    token_info: TokenInfo | None = None,
) -> nn.Module:
    """Build the network of an architecture with these weights, in fp32. Raises Unfit before much memory is taken."""
    check_weights(architecture, [column.size for column in columns], vocabulary_size, weights)
    name = type(architecture).__name__
    with find_faults("build_module", name, RuntimeError, OverflowError, MemoryError), _limit_to_weights(weights):
        module = build_module(architecture, columns, vocabulary_size, token_info)
    try:
        _fill_weights(module, weights)
    except (RuntimeError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise UnfitWeights(str(error).partition("\n")[0]) from error  # torch appends its own traceback
    return module


def _fill_weights(module: nn.Module, weights: Weights) -> None:
    import torch

    held = module.state_dict()
    counts = {name for name, tensor in held.items() if not tensor.is_floating_point()}
    check_shapes(((name, tuple(tensor.shape)) for name, tensor in held.items()), weights, counts)
    module.load_state_dict({name: torch.tensor(array, dtype=torch.float32) for name, array in weights.items()})


@contextmanager
def _limit_to_weights(weights: Weights) -> Iterator[None]:
    """Raise Unfit if a network built inside makes far more parameters than there are weights."""
    arrays = TIMES * len(weights) + SPARE_ARRAYS
    numbers = TIMES * sum(array.size for array in weights.values()) + SPARE_NUMBERS
    with _limit_parameters(arrays, numbers, f"it needs far more arrays than the {len(weights)} of the file"):
        yield


def build_new_network(
    architecture: Architecture, columns: Sequence[Column], words: int, token_info: TokenInfo | None = None
) -> nn.Module:
    """Build the network of an architecture for training, with these features and `words` in its vocabulary.

    Raises BadOption for a network too large for this machine, and for a fault in `build_module`.
    """
    try:
        with _limit_parameters(MOST_ARRAYS, _measure_memory() // 4, "it would take more than all memory"):
            return build_module(architecture, columns, words, token_info)
    except (RuntimeError, ValueError, TypeError, LookupError, OverflowError, MemoryError) as error:
        if not (isinstance(error, UnfitWeights | OverflowError | MemoryError) or _is_of_torch(error)):
            raise BadOption(f"{describe_fault('build_module', type(architecture).__name__, error)}.") from error
        what = printable(str(error).partition("\n")[0], 160)  # torch appends its own traceback
        raise BadOption(f"the architecture cannot be made with these sizes ({what}); take smaller ones.") from error


def _is_of_torch(error: BaseException) -> bool:
    """Tell whether torch raised an error, as it does for sizes that it cannot make."""
    from traceback import walk_tb

    *_, (frame, _) = walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__", "")).startswith("torch")


def _measure_memory() -> int:
    """Return the memory of this machine in bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return USUAL_MEMORY


@contextmanager
def _limit_parameters(arrays: int, numbers: int, what: str) -> Iterator[None]:
    """Raise Unfit with the text `what` if a network built inside makes more parameters."""
    from torch.nn.modules.module import register_module_parameter_registration_hook as on_parameter

    def count(*arguments: Any) -> None:
        nonlocal arrays, numbers
        parameter = arguments[-1]  # after the module, and its name there
        arrays, numbers = arrays - 1, numbers - (0 if parameter is None else parameter.numel())
        if arrays < 0 or numbers < 0:
            raise UnfitWeights(what)

    hook = on_parameter(count)
    try:
        yield
    finally:
        hook.remove()
