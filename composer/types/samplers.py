"""Samplers, which act on the distribution of the next token: constraints and logits processors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from composer.types.arrays import Array
from composer.types.grammars import MusicalState, TokenInfo

if TYPE_CHECKING:
    from composer.music.score import Score
    from composer.request import Request


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
    history: Array  # (B, H) the last tokens, oldest first, -1 for none yet; at least as many as asked for by `history`
    allowed: Array  # (B, V) mask of the grammar and the constraints before this one
    recent_notes: RecentNotes  # at least as many notes as any sampler of the chain asks for by its attribute `lookback`
    memory: Array = field(default_factory=lambda: np.zeros((0, 0)))  # (B, M) float64 of this sampler, if it `HasMemory`

    def restrict(self, allowed: Array) -> Context:
        """Return the same context with another mask (B, V)."""
        return Context(
            self.step, self.music, self.token_info, self.history, allowed, self.recent_notes, self.memory
        )  # `replace` takes as long as a constraint


@dataclass(frozen=True)
class Drawn:
    """The tokens of one step; every array is (B,).

    `chosen` is false for the tokens of a primer, for fixed notes, and where one token alone was allowed: there is
    nothing to steer. Both log-probabilities are 0 there.
    """

    token: Array
    chosen: Array
    model: Array  # log-probability under the model, within grammar and constraints
    chain: Array  # log-probability under the whole chain


@runtime_checkable
class Constraint(Protocol):
    """A rule that is never broken. All constraints are intersected with the grammar, before any logits processor.

    At a dead end the engine backtracks, and refuses only when that does not help. A constraint whose attribute `yields`
    is true is a wish instead: where it would leave nothing, everything stays allowed.
    """

    def mask(self, context: Context) -> Array:
        """Mask (B, V) the tokens that are allowed. Raises BadOption for a rule that no piece of this model can keep."""


@runtime_checkable
class LogitsProcessor(Protocol):
    """A change of the distribution, applied in the user's order. Tokens at -inf stay there; one stays possible."""

    def __call__(self, logits: Array, context: Context) -> Array:
        """Compute new logits (B, V); the argument is unchanged."""


_LIMITS = {"divide": (1e-300, inf), "keep count": (1, inf), "keep mass": (0, 1), "keep ratio": (0, 1)}
"""The least and the greatest value of each operation."""


@dataclass(frozen=True)
class Operation:
    """A step of a logits processor that the engine computes itself.

    `divide` the logits; `keep count` the so many likeliest tokens, of equals the first ones; `keep mass`, the likeliest
    tokens that together hold this share of the probability; `keep ratio`, those at least so many times as likely as the
    likeliest.
    """

    kind: Literal["divide", "keep count", "keep mass", "keep ratio"]
    value: float

    def __post_init__(self) -> None:
        """Refuse an unknown kind, and a value that makes no sense. Raises ValueError."""
        least, most = _LIMITS.get(self.kind, (inf, -inf))
        if not least <= self.value <= most:
            raise ValueError(f"there is no operation '{self.kind}' with the value {self.value}")


@runtime_checkable
class HasOperations(Protocol):
    """A logits processor that is described by operations, so that it runs in C; its `__call__` does the same."""

    @property
    def operations(self) -> Sequence[Operation]:
        """The operations, in order."""


@runtime_checkable
class HasMemory(Protocol):
    """A constraint or a logits processor that remembers an array of one size for each row.

    It is in the context as `memory`. The engine keeps it beside the model's state: backtracking restores it, particles
    and beams copy it. So it depends on the tokens of its own row alone. Fixed notes and primers update it as well.
    """

    def begin_memory(self, token_info: TokenInfo) -> Array:
        """Make the memory (M,) of a row before its first token, as float64."""

    def update_memory(self, context: Context, drawn: Drawn) -> Array:
        """Compute the memory (B, M) after a step, from its context; `allowed` is the mask of all constraints.

        The arguments are unchanged.
        """


@dataclass(frozen=True)
class Occasion:
    """What a new request is for, by which samplers choose their options."""

    token_info: TokenInfo
    request: Request  # with all that was asked for, its other samplers among it
    fixed: Score | None = None  # the fixed notes, in the model's tracks; None for new music
    is_whole: bool = False  # a piece from its beginning to its end, and not a part of one
    stretch: Fraction = Fraction(1)  # length of a note as the model reads the fixed music, of 1 as it is
    bars_of_one: int = 1  # bars that the model reads for one of the fixed music
    semitones: int = 0  # by which it reads the fixed music higher


@runtime_checkable
class ChoosesOptions(Protocol):
    """A sampler, as it is registered, that chooses its options for each new request, and may join it unasked."""

    def choose_options(self, options: Mapping[str, Any] | None, occasion: Occasion) -> Mapping[str, Any] | None:
        """Choose the options, where `options` were given (None: it was not asked for); None leaves it out.

        A request that is repeated has the options that were chosen when it was new.
        """


@runtime_checkable
class Judges(Protocol):
    """A sampler that can tell whether a piece became what it is for; a piece that did not is retried."""

    def describe_broken(self, score: Score) -> str:
        """Describe what is wrong with a piece, before its transforms; empty if nothing is."""


@runtime_checkable
class HasStatedOptions(Protocol):
    """A sampler that means more today than it did: new requests state these options beside the user's.

    Their defaults keep what they meant before, so that a request saved earlier makes the same piece.
    """

    @property
    def stated(self) -> Mapping[str, Any]:
        """The options that new requests state, unless the user does."""


@runtime_checkable
class Annotates(Protocol):
    """A sampler that writes onto a finished score what it asked for, such as chord symbols."""

    def annotate(self, score: Score) -> Score:
        """Return the score with symbols for all of its bars; its notes are the same."""


@dataclass(frozen=True)
class Internal:
    """A note on an option, in `Annotated[int, "what it does", Internal()]`: help leaves it out."""

    is_internal: ClassVar[bool] = True


Sampler: TypeAlias = Constraint | LogitsProcessor
