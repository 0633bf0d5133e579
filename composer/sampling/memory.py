"""Memories of samplers: for each row one array, in which each sampler that has memory has its own columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.arrays import get_namespace
from composer.tokens.yielding import is_yielding
from composer.types import Array, Constraint, Context, Drawn, HasMemory, Sampler, TokenInfo

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BoundSampler:
    """A sampler with memory that sees its own `columns` of the rows' memory as its context's."""

    sampler: Any
    columns: slice

    def begin_memory(self, token_info: TokenInfo) -> Array:
        """Make the memory (M,) of a row before its first token."""
        return self.sampler.begin_memory(token_info)

    def update_memory(self, context: Context, drawn: Drawn) -> Array:
        """Compute the memory (B, M) after a step."""
        return self.sampler.update_memory(self._narrow(context), drawn)

    def _narrow(self, context: Context) -> Context:
        return replace(context, memory=context.memory[:, self.columns])


class BoundConstraint(BoundSampler):
    """A bound constraint."""

    @property
    def yields(self) -> bool:
        """Whether the constraint gives way where it would leave nothing."""
        return is_yielding(self.sampler)

    def mask(self, context: Context) -> Array:
        """Mask (B, V) the tokens that are allowed."""
        return self.sampler.mask(self._narrow(context))


class BoundProcessor(BoundSampler):
    """A bound logits processor."""

    def __call__(self, logits: Array, context: Context) -> Array:
        """Compute new logits (B, V)."""
        return self.sampler(logits, self._narrow(context))


def begin_memory(samplers: Sequence[Sampler], token_info: TokenInfo) -> Floats:
    """Make the memory (M,) of a row before its first token, of all samplers in order; M is 0 if none has any."""
    parts = [sampler.begin_memory(token_info) for sampler in samplers if isinstance(sampler, HasMemory)]
    return np.concatenate([np.zeros(0), *parts])


def bind(samplers: Sequence[Sampler], token_info: TokenInfo) -> list[Sampler]:
    """Bind the samplers with memory to their columns; leave the others as they are."""
    bound: list[Sampler] = []
    start = 0
    for sampler in samplers:
        if isinstance(sampler, HasMemory):
            end = start + len(sampler.begin_memory(token_info))
            kind = BoundConstraint if isinstance(sampler, Constraint) else BoundProcessor
            bound.append(kind(sampler, slice(start, end)))
            start = end
        else:
            bound.append(sampler)
    return bound


def unbind(sampler: Sampler) -> Sampler:
    """Return the sampler itself."""
    return sampler.sampler if isinstance(sampler, BoundSampler) else sampler


def list_memoryless(constraints: Sequence[Constraint]) -> list[Constraint]:
    """List the constraints without memory: what the others allow depends on the draws, and is unknown before."""
    return [constraint for constraint in constraints if not isinstance(constraint, HasMemory)]


def update_memory(samplers: Sequence[BoundSampler], context: Context, drawn: Drawn) -> Array:
    """Compute the memory (B, M) of all bound samplers, given in order, after a step."""
    parts = [sampler.update_memory(context, drawn) for sampler in samplers]
    return get_namespace(parts[0]).concat(parts, axis=1)
