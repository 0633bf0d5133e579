"""The state of a batch of pieces, as immutable values.

Backtracking takes up the rows of an earlier step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from composer.arrays import get_namespace
from composer.request import Request
from composer.sampling.distribution import KINDS
from composer.sampling.memory import begin_memory
from composer.tokens.vocabulary import make_recent_notes, update_recent_notes
from composer.tokens.yielding import compute_mask
from composer.types import Array, Constraint, Context, MusicalState, RecentNotes, Sampler, State, Step, Tokenizer

Stepped: TypeAlias = tuple[State | None, NDArray[np.float64], NDArray[np.float64]]
"""The recurrent state of rows after a step, their costs (B, kinds), and their memory (B, M)."""


@dataclass(frozen=True)
class BatchState:
    """The running pieces. `number` is the request's place among all requests, `place` that of the next token.

    Rows not stepped yet come last; their recurrent state is undefined.
    """

    number: NDArray[np.int64]
    index: Array
    grammar: Array
    state: State | None  # recurrent state of the model
    history: Array
    recent_notes: RecentNotes
    primer: NDArray[np.int64]  # (B, longest) the primers' tokens, -1 after their ends
    nats: Array  # (B, kinds) float64 costs of the tokens so far
    memory: Array  # (B, M) what samplers remember; see `composer.sampling.memory`

    def gather(self, rows: NDArray[np.integer]) -> BatchState:
        """Select rows, in this order; a row may be selected several times."""
        state = None if self.state is None else tuple(part[rows] for part in self.state)
        recent_notes = RecentNotes(*(part[rows] for part in _list_arrays(self.recent_notes)))
        parts = {name: getattr(self, name)[rows] for name in _NAMES}
        return BatchState(state=state, recent_notes=recent_notes, **parts)

    def get_primer_tokens(self, ahead: int | NDArray[np.int64] = 0) -> NDArray[np.int64]:
        """Return (B,) the next token of each primer, or the one so many tokens ahead; -1 after its end.

        For several numbers `ahead` (N, 1), (N, B).
        """
        longest, index = self.primer.shape[1], self.index + ahead
        if not longest:
            return np.full(index.shape, -1)
        at = np.minimum(index, longest - 1)
        return np.where(index < longest, self.primer[np.arange(len(self.index)), at], -1)

    def advance(
        self,
        tokenizer: Tokenizer,
        tokens: Array,
        music: MusicalState | None = None,
        stepped: Stepped | None = None,
    ) -> BatchState:
        """Advance all rows by `tokens` (B,), with their musical state before these, if it is known already."""
        music, history = music or _LazyState(tokenizer, self.grammar), self.history
        state, nats, memory = stepped or (self.state, self.nats, self.memory)
        return BatchState(
            number=self.number,
            index=self.index + 1,
            grammar=tokenizer.grammar.advance(self.grammar, tokens),
            state=state,
            history=get_namespace(tokens).concat([history[:, 1:], tokens[:, None]], axis=1)
            if history.shape[1]
            else history,
            recent_notes=update_recent_notes(self.recent_notes, music, tokenizer.token_info, tokens),
            primer=self.primer,
            nats=nats,
            memory=memory,
        )

    def replace_row(self, place: int, other: BatchState) -> BatchState:
        """Replace the row in this place by the only row of `other`."""
        parts = {name: _put(getattr(self, name), place, getattr(other, name)) for name in _NAMES}
        recent_notes = (
            _put(a, place, b)
            for a, b in zip(_list_arrays(self.recent_notes), _list_arrays(other.recent_notes), strict=True)
        )
        state = self.state
        if state is not None and other.state is not None:
            state = tuple(_put(a, place, b) for a, b in zip(state, other.state, strict=True))
        return BatchState(state=state, recent_notes=RecentNotes(*recent_notes), **parts)


_NAMES = ("number", "index", "grammar", "history", "primer", "nats", "memory")


def concatenate(one: BatchState, other: BatchState) -> BatchState:
    """Concatenate two batches; unless the second has not been stepped yet, both have a recurrent state or neither."""
    state = one.state
    if state is not None:
        later = other.state or [_make_zeros(part, len(other.number)) for part in state]
        state = tuple(get_namespace(a).concat([a, b]) for a, b in zip(state, later, strict=True))
    longest = max(one.primer.shape[1], other.primer.shape[1])
    one, other = (replace(rows, primer=_pad_width(rows.primer, longest)) for rows in (one, other))
    parts = {name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in _NAMES}
    recent_notes = RecentNotes(
        *map(np.concatenate, zip(_list_arrays(one.recent_notes), _list_arrays(other.recent_notes), strict=True))
    )
    return BatchState(state=state, recent_notes=recent_notes, **parts)


def _make_zeros(part: Array, rows: int) -> Array:
    """Make `rows` rows of zeros like this part of a state."""
    xp = get_namespace(part)
    return xp.zeros((rows, *part.shape[1:]), dtype=part.dtype, device=part.device)


def _pad_width(tokens: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    return np.pad(tokens, ((0, 0), (0, width - tokens.shape[1])), constant_values=-1)


def run_step(step: Step, tokenizer: Tokenizer, rows: BatchState) -> tuple[NDArray[Any], State]:
    """Run the network once: the logits (B, V), and its new state. Rows not stepped yet run by themselves."""
    inputs, begun = tokenizer.grammar.make_inputs(rows.grammar), int(np.count_nonzero(rows.index))
    if rows.state is None or begun in (0, len(inputs)):
        return step(inputs, rows.state if begun else None)
    logits, state = step(inputs[:begun], tuple(part[:begun] for part in rows.state))
    first, beginning = step(inputs[begun:], None)
    both = tuple(get_namespace(a).concat([a, b]) for a, b in zip(state, beginning, strict=True))
    return np.concatenate([logits, first]), both


def _list_arrays(recent_notes: RecentNotes) -> list[Array]:
    return [recent_notes.tick, recent_notes.pitch, recent_notes.voice]


def _put(array: Array, place: int, row: Array) -> Array:
    copy = array[np.arange(len(array))]
    copy[place] = row[0]
    return copy


def find_lookback(samplers: Sequence[Sampler]) -> int:
    """Return the greatest number of recent notes that a sampler asks for."""
    return max((getattr(sampler, "lookback", 0) for sampler in samplers), default=0)


def find_history(samplers: Sequence[Sampler]) -> int:
    """Return the greatest number of past tokens that a sampler asks for."""
    return max((getattr(sampler, "history", 0) for sampler in samplers), default=0)


def begin(tokenizer: Tokenizer, samplers: Sequence[Sampler], requests: Sequence[Request], first: int = 0) -> BatchState:
    """Make the rows of pieces before their first token, numbered from `first` on."""
    count, longest = len(requests), max(len(request.primer) for request in requests)
    return BatchState(
        number=np.arange(first, first + count),
        index=np.zeros(count, dtype=np.int64),
        grammar=np.concatenate([tokenizer.grammar.start(request, 1) for request in requests]),
        state=None,
        history=np.full((count, find_history(samplers)), -1),
        recent_notes=make_recent_notes(count, _round_up(find_lookback(samplers))),
        primer=np.concatenate([_pad_width(np.array([r.primer], dtype=np.int64), longest) for r in requests]),
        nats=np.zeros((count, len(KINDS))),
        memory=np.tile(begin_memory(samplers, tokenizer.token_info), (count, 1)),
    )


def _round_up(count: int) -> int:
    """Return a power of two, or 0: constraints are compiled for fewer numbers of notes than are asked for."""
    return 1 << (count - 1).bit_length() if count else 0


def build_context(tokenizer: Tokenizer, rows: BatchState) -> Context:
    """Build the context of samplers, with the mask of the grammar alone."""
    music, allowed = _LazyState(tokenizer, rows.grammar), tokenizer.grammar.mask(rows.grammar)
    return Context(rows.index, music, tokenizer.token_info, rows.history, allowed, rows.recent_notes, rows.memory)


def select_rows(context: Context, rows: slice | NDArray[np.int64]) -> Context:
    """Select some rows of a context."""
    music, recent_notes = (
        MusicalState(**_select(context.music, rows)),
        RecentNotes(**_select(context.recent_notes, rows)),
    )
    step, history, allowed = (part[rows] for part in (context.step, context.history, context.allowed))
    memory = context.memory[rows] if len(context.memory) else context.memory  # none in contexts made for checks
    return Context(step, music, context.token_info, history, allowed, recent_notes, memory)


def _select(part: MusicalState | RecentNotes, rows: slice | NDArray[np.int64]) -> dict[str, Array]:
    return {name: getattr(part, name)[rows] for name in (field.name for field in fields(part))}


class _LazyState(MusicalState):
    """A musical state, computed at the first look: many samplers never look."""

    def __init__(self, tokenizer: Tokenizer, state: Array) -> None:
        vars(self).update(_tokenizer=tokenizer, _state=state)

    def __getattr__(self, name: str) -> Array:
        if name not in MusicalState.__dataclass_fields__:
            raise AttributeError(name)
        vars(self).update(vars(self._tokenizer.grammar.interpret(self._state)))
        return vars(self)[name]


def constrain(constraints: Sequence[Constraint], context: Context, within: Array | None = None) -> Context:
    """Mask the context by every constraint; one that `yields` gives way in rows where it would leave nothing.

    Constraints see the tokens of `within` (B, V) alone; the result has the others, too.
    """
    seen = context if within is None else context.restrict(context.allowed & within)
    for constraint in constraints:
        mask = compute_mask(constraint, seen)
        context = context.restrict(context.allowed & mask)
        seen = context if within is None else seen.restrict(seen.allowed & mask)
    return context
