"""The state of a batch of pieces, as immutable values.

Backtracking takes up the rows of an earlier step.
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
"""Number of past tokens shown to samplers."""


@dataclass(frozen=True)
class Rows:
    """The running pieces. `number` is the request's place among all requests, `place` that of the next token.

    Rows not stepped yet come last; their recurrent state is undefined.
    """

    number: NDArray[np.int64]
    place: NDArray[np.int64]
    grammar: Array
    state: State | None  # recurrent state of the model
    history: NDArray[np.int64]
    struck: Struck
    primer: NDArray[np.int64]  # (B, longest) the primers' tokens, -1 after their ends
    nats: NDArray[np.float64]  # (B, kinds) costs of the tokens so far

    def gather(self, rows: NDArray[np.integer]) -> Rows:
        """Select rows, in this order; a row may be selected several times."""
        state = None if self.state is None else tuple(part[rows] for part in self.state)
        struck = Struck(*(part[rows] for part in _arrays(self.struck)))
        parts = {name: getattr(self, name)[rows] for name in _NAMES}
        return Rows(state=state, struck=struck, **parts)

    def given(self) -> NDArray[np.int64]:
        """Return (B,) the next token of each primer, -1 after its end."""
        longest = self.primer.shape[1]
        if not longest:
            return np.full(len(self.place), -1)
        at = np.minimum(self.place, longest - 1)
        return np.where(self.place < longest, self.primer[np.arange(len(at)), at], -1)

    def after(self, tokenizer: Tokenizer, tokens: NDArray[np.int64], facts: Facts | None = None) -> Rows:
        """Advance all rows by `tokens` (B,), with their musical state before these, if it is known already."""
        facts = facts or _Later(tokenizer, self.grammar)
        return replace(
            self,
            place=self.place + 1,
            grammar=tokenizer.grammar.advance(self.grammar, tokens),
            history=np.concatenate([self.history[:, 1:], tokens[:, None]], axis=1),
            struck=struck_after(self.struck, facts, tokenizer.meaning, tokens),
        )

    def with_row(self, place: int, other: Rows) -> Rows:
        """Replace the row in this place by the only row of `other`."""
        parts = {name: _put(getattr(self, name), place, getattr(other, name)) for name in _NAMES}
        struck = (_put(a, place, b) for a, b in zip(_arrays(self.struck), _arrays(other.struck), strict=True))
        state = self.state
        if state is not None and other.state is not None:
            state = tuple(_put(a, place, b) for a, b in zip(state, other.state, strict=True))
        return Rows(state=state, struck=Struck(*struck), **parts)


_NAMES = ("number", "place", "grammar", "history", "primer", "nats")


def joined(one: Rows, other: Rows) -> Rows:
    """Concatenate two batches; unless the second has not been stepped yet, both have a recurrent state or neither."""
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
    """Make `rows` rows of zeros like this part of a state."""
    xp = namespace(part)
    return xp.zeros((rows, *part.shape[1:]), dtype=part.dtype, device=part.device)


def _widened(tokens: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    return np.pad(tokens, ((0, 0), (0, width - tokens.shape[1])), constant_values=-1)


def stepped(step: Stepper, tokenizer: Tokenizer, rows: Rows) -> tuple[NDArray[np.float64], State]:
    """Run the network once: the logits (B, V), and its new state. Rows not stepped yet run by themselves."""
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
    """Return the greatest number of recent notes that a sampler asks for."""
    return max((getattr(sampler, "lookback", 0) for sampler in samplers), default=0)


def begin(tokenizer: Tokenizer, samplers: Sequence[Sampler], requests: Sequence[Request], first: int = 0) -> Rows:
    """Make the rows of pieces before their first token, numbered from `first` on."""
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
    """Build the context of samplers, with the mask of the grammar alone."""
    facts, allowed = _Later(tokenizer, rows.grammar), tokenizer.grammar.allowed(rows.grammar)
    return Context(rows.place, facts, tokenizer.meaning, rows.history, allowed, rows.struck)


class _Later(Facts):
    """A musical state, computed at the first look: many samplers never look."""

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
    """Mask the context by every constraint, except in rows that are `exempt` (B,)."""
    for constraint in constraints:
        mask = constraint.mask(context)
        mask = mask if exempt is None else mask | exempt[:, None]
        context = replace(context, allowed=context.allowed & mask)
    return context
