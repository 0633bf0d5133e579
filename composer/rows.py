"""Rows: pieces that are written side by side, as values that are never changed; it knows no draw.

So rows of an earlier step can be taken up again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from composer.notes import none_struck, struck_after
from composer.request import Request
from composer.types import Array, Constraint, Context, Facts, Sampler, State, Struck, Tokenizer

HISTORY = 64
"""Tokens that a sampler can look back on."""


@dataclass(frozen=True)
class Rows:
    """The pieces that still run. `number` is the place of each among the requests, `place` that of its next token."""

    number: NDArray[np.int64]
    place: NDArray[np.int64]
    grammar: Array
    state: State | None  # of the model
    history: NDArray[np.int64]
    struck: Struck

    def gather(self, rows: NDArray[np.int64]) -> Rows:
        """These rows alone, in this order; one may come several times."""
        state = None if self.state is None else tuple(part[rows] for part in self.state)
        struck = Struck(self.struck.tick[rows], self.struck.pitch[rows], self.struck.voice[rows])
        number, place = self.number[rows], self.place[rows]
        return Rows(number, place, self.grammar[rows], state, self.history[rows], struck)

    def after(self, tokenizer: Tokenizer, tokens: NDArray[np.int64], facts: Facts | None) -> Rows:
        """The rows after `tokens` (B,); the model's state stays. Without `facts`, nothing is known of notes."""
        return Rows(
            number=self.number,
            place=self.place + 1,
            grammar=tokenizer.grammar.advance(self.grammar, tokens),
            state=self.state,
            history=np.concatenate([self.history[:, 1:], tokens[:, None]], axis=1),
            struck=self.struck if facts is None else struck_after(self.struck, facts, tokenizer.meaning, tokens),
        )

    def with_row(self, place: int, other: Rows) -> Rows:
        """The same with the one row of `other` in this place."""
        old, new = vars(self), vars(other)
        parts = {name: _put(old[name], place, new[name]) for name in ("number", "place", "grammar", "history")}
        struck = (_put(a, place, b) for a, b in zip(_arrays(self.struck), _arrays(other.struck), strict=True))
        state = self.state
        if state is not None and other.state is not None:
            state = tuple(_put(a, place, b) for a, b in zip(state, other.state, strict=True))
        return Rows(**parts, state=state, struck=Struck(*struck))


def _arrays(struck: Struck) -> list[Array]:
    return [struck.tick, struck.pitch, struck.voice]


def _put(array: Array, place: int, row: Array) -> Array:
    copy = array[np.arange(len(array))]
    copy[place] = row[0]
    return copy


def lookback(samplers: Sequence[Sampler]) -> int:
    """How many of the last notes any of them asks for."""
    return max((getattr(sampler, "lookback", 0) for sampler in samplers), default=0)


def begin(tokenizer: Tokenizer, samplers: Sequence[Sampler], requests: Sequence[Request]) -> Rows:
    """Every piece before its first token."""
    count = len(requests)
    return Rows(
        number=np.arange(count),
        place=np.zeros(count, dtype=np.int64),
        grammar=np.concatenate([tokenizer.grammar.start(request, 1) for request in requests]),
        state=None,
        history=np.full((count, HISTORY), -1),
        struck=none_struck(count, lookback(samplers)),
    )


def context_of(tokenizer: Tokenizer, rows: Rows, facts: Facts | None = None, allowed: Array | None = None) -> Context:
    """What a sampler may look at, with `facts` if they are known already; the grammar alone unless `allowed` says."""
    facts = tokenizer.grammar.facts(rows.grammar) if facts is None else facts
    allowed = tokenizer.grammar.allowed(rows.grammar) if allowed is None else allowed
    return Context(rows.place, facts, tokenizer.meaning, rows.history, allowed, rows.struck)


def constrained(constraints: Sequence[Constraint], context: Context) -> Context:
    """The context, its mask cut by every constraint."""
    for constraint in constraints:
        context = replace(context, allowed=context.allowed & constraint.mask(context))
    return context
