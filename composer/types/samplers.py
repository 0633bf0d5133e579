"""Samplers, which act on the distribution of the next token: constraints and logits processors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from composer.types.arrays import Array
from composer.types.grammars import MusicalState, TokenInfo


@dataclass(frozen=True)
class RecentNotes:
    """The last onsets with a pitch, oldest first; arrays are (B, H), -1 where there is none yet."""

    tick: Array
    pitch: Array
    voice: Array


@dataclass(frozen=True)
class Context:
    """The information that a sampler has beside the logits."""

    step: Array  # (B,) tokens drawn so far, the primer's included
    music: MusicalState
    token_info: TokenInfo
    history: Array  # (B, H) the last tokens, oldest first; -1 where there is none yet
    allowed: Array  # (B, V) mask of the grammar and the constraints before this one
    recent_notes: RecentNotes  # at least as many notes as any sampler of the chain asks for by its attribute `lookback`


@runtime_checkable
class Constraint(Protocol):
    """A rule that is never broken. All constraints are intersected with the grammar, before any logits processor.

    At a dead end the engine backtracks, and refuses only when that does not help.
    """

    def mask(self, context: Context) -> Array:
        """Mask (B, V) the tokens that are allowed. Raises BadOption for a rule that no piece of this model can keep."""


@runtime_checkable
class LogitsProcessor(Protocol):
    """A change of the distribution, applied in the user's order. Tokens at -inf stay there; one stays possible."""

    def __call__(self, logits: Array, context: Context) -> Array:
        """Compute new logits (B, V); the argument is unchanged."""


@dataclass(frozen=True)
class Operation:
    """A step of a logits processor that the engine computes itself.

    `divide` the logits; `keep count` the so many likeliest tokens, of equals the first ones; `keep mass`, the likeliest
    tokens that together hold this share of the probability; `keep ratio`, those at least so many times as likely as the
    likeliest.
    """

    kind: Literal["divide", "keep count", "keep mass", "keep ratio"]
    value: float


@runtime_checkable
class HasOperations(Protocol):
    """A logits processor that is described by operations, so that it runs in C; its `__call__` does the same."""

    @property
    def operations(self) -> Sequence[Operation]:
        """The operations, in order."""


Sampler: TypeAlias = Constraint | LogitsProcessor
