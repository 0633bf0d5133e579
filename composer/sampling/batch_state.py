"""Rows: pieces that are written side by side, as values that are never changed; it knows no draw.

So rows of an earlier step can be taken up again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from composer.arrays import namespace
from composer.music.notes import none_struck, struck_after
from composer.request import Request
from composer.sampling.choice import KINDS
from composer.types import Array, Constraint, Context, Facts, Sampler, State, Stepper, Struck, Tokenizer

HISTORY = 64
"""Tokens that a sampler can look back on."""


@dataclass(frozen=True)
class Rows:
    """The pieces that still run. `number` is the place of each among the requests, `place` that of its next token.

    The state of a row that has taken no step yet is of no account; such rows come last, and may have none.
    """

    number: NDArray[np.int64]
    place: NDArray[np.int64]
    grammar: Array
    state: State | None  # of the model
    history: NDArray[np.int64]
    struck: Struck
    primer: NDArray[np.int64]  # (B, longest) the tokens that are given at the beginning, -1 from where they end
    nats: NDArray[np.float64]  # (B, kinds) what the tokens so far cost

    def gather(self, rows: NDArray[np.integer]) -> Rows:
        """These rows alone, in this order; one may come several times."""
        state = None if self.state is None else tuple(part[rows] for part in self.state)
        struck = Struck(*(part[rows] for part in _arrays(self.struck)))
        parts = {name: getattr(self, name)[rows] for name in _NAMES}
        return Rows(state=state, struck=struck, **parts)

    def given(self) -> NDArray[np.int64]:
        """(B,) the token that a primer gives, -1 where none does."""
        longest = self.primer.shape[1]
        if not longest:
            return np.full(len(self.place), -1)
        at = np.minimum(self.place, longest - 1)
        return np.where(self.place < longest, self.primer[np.arange(len(at)), at], -1)

    def after(self, tokenizer: Tokenizer, tokens: NDArray[np.int64], facts: Facts | None = None) -> Rows:
        """The rows after `tokens` (B,); `facts` are of the places where these stand, if they are known already."""
        facts = facts or _Later(tokenizer, self.grammar)
        return replace(
            self,
            place=self.place + 1,
            grammar=tokenizer.grammar.advance(self.grammar, tokens),
            history=np.concatenate([self.history[:, 1:], tokens[:, None]], axis=1),
            struck=struck_after(self.struck, facts, tokenizer.meaning, tokens),
        )

    def with_row(self, place: int, other: Rows) -> Rows:
        """The same with the one row of `other` in this place."""
        parts = {name: _put(getattr(self, name), place, getattr(other, name)) for name in _NAMES}
        struck = (_put(a, place, b) for a, b in zip(_arrays(self.struck), _arrays(other.struck), strict=True))
        state = self.state
        if state is not None and other.state is not None:
            state = tuple(_put(a, place, b) for a, b in zip(state, other.state, strict=True))
        return Rows(state=state, struck=Struck(*struck), **parts)


_NAMES = ("number", "place", "grammar", "history", "primer", "nats")


def joined(one: Rows, other: Rows) -> Rows:
    """The rows of both. If one has a state, the other has one, too, or else has taken no step yet and comes last."""
    state = one.state
    if state is not None:
        later = other.state or [_empty(part, len(other.number)) for part in state]
        state = tuple(namespace(a).concat([a, b]) for a, b in zip(state, later, strict=True))
    longest = max(one.primer.shape[1], other.primer.shape[1])
    one, other = (replace(rows, primer=_widened(rows.primer, longest)) for rows in (one, other))
    parts = {name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in _NAMES}
    struck = Struck(*map(np.concatenate, zip(_arrays(one.struck), _arrays(other.struck), strict=True)))
    return Rows(state=state, struck=struck, **parts)


def _empty(part: Array, rows: int) -> Array:
    """So many rows of a state like this one."""
    xp = namespace(part)
    return xp.zeros((rows, *part.shape[1:]), dtype=part.dtype, device=part.device)


def _widened(tokens: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    return np.pad(tokens, ((0, 0), (0, width - tokens.shape[1])), constant_values=-1)


def stepped(step: Stepper, tokenizer: Tokenizer, rows: Rows) -> tuple[NDArray[np.float64], State]:
    """The logits (B, V) of one step, and the state after it. Rows that have taken no step yet take it by themselves."""
    inputs, begun = tokenizer.grammar.inputs(rows.grammar), int(np.count_nonzero(rows.place))
    if rows.state is None or begun in (0, len(inputs)):
        logits, state = step(inputs, rows.state if begun else None)
        return logits.astype(np.float64), state
    logits, state = step(inputs[:begun], tuple(part[:begun] for part in rows.state))
    first, beginning = step(inputs[begun:], None)
    both = tuple(namespace(a).concat([a, b]) for a, b in zip(state, beginning, strict=True))
    return np.concatenate([logits, first]).astype(np.float64), both


def _arrays(struck: Struck) -> list[Array]:
    return [struck.tick, struck.pitch, struck.voice]


def _put(array: Array, place: int, row: Array) -> Array:
    copy = array[np.arange(len(array))]
    copy[place] = row[0]
    return copy


def lookback(samplers: Sequence[Sampler]) -> int:
    """How many of the last notes any of them asks for."""
    return max((getattr(sampler, "lookback", 0) for sampler in samplers), default=0)


def begin(tokenizer: Tokenizer, samplers: Sequence[Sampler], requests: Sequence[Request], first: int = 0) -> Rows:
    """Pieces before their first token, numbered from `first` on."""
    count, longest = len(requests), max(len(request.primer) for request in requests)
    return Rows(
        number=np.arange(first, first + count),
        place=np.zeros(count, dtype=np.int64),
        grammar=np.concatenate([tokenizer.grammar.start(request, 1) for request in requests]),
        state=None,
        history=np.full((count, HISTORY), -1),
        struck=none_struck(count, lookback(samplers)),
        primer=np.concatenate([_widened(np.array([r.primer], dtype=np.int64), longest) for r in requests]),
        nats=np.zeros((count, len(KINDS))),
    )


def context_of(tokenizer: Tokenizer, rows: Rows) -> Context:
    """What a sampler may look at, under the grammar alone."""
    facts, allowed = _Later(tokenizer, rows.grammar), tokenizer.grammar.allowed(rows.grammar)
    return Context(rows.place, facts, tokenizer.meaning, rows.history, allowed, rows.struck)


class _Later(Facts):
    """Facts that the grammar is asked for when one of them is first looked at: many samplers look at none."""

    def __init__(self, tokenizer: Tokenizer, state: Array) -> None:
        vars(self).update(_tokenizer=tokenizer, _state=state)

    def __getattr__(self, name: str) -> Array:
        if name not in Facts.__dataclass_fields__:
            raise AttributeError(name)
        vars(self).update(vars(self._tokenizer.grammar.facts(self._state)))
        return vars(self)[name]


def constrained(
    constraints: Sequence[Constraint], context: Context, exempt: NDArray[np.bool_] | None = None
) -> Context:
    """The context, its mask cut by every constraint but in rows that are `exempt` (B,)."""
    for constraint in constraints:
        mask = constraint.mask(context)
        mask = mask if exempt is None else mask | exempt[:, None]
        context = replace(context, allowed=context.allowed & mask)
    return context
