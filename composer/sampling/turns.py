"""Turns of a batch under constraints: their masks, and the rows after a token; in C where that is possible.

NumPy is the reference (`constrain`, `BatchState.advance`). It also takes over where a constraint raises an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from composer.sampling.batch_state import BatchState, Stepped, constrain
from composer.tokens.jit import CompiledConstraints, Past, Turn, compile_constraints
from composer.types import Constraint, Context, MusicalState, Tokenizer

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Turns:
    """The turns of rows under the constraints of a chain."""

    def __init__(self, tokenizer: Tokenizer, constraints: Sequence[Constraint]) -> None:
        """Begin without a row."""
        self._tokenizer, self._constraints = tokenizer, tuple(constraints)
        self._compiled: CompiledConstraints | None = None
        self._widths: tuple[int, int] | None = None  # of the past, that the compiled ones are for
        self._last: tuple[BatchState, Mask, Turn] | None = (
            None  # the last rows, what is allowed for their requests, and what is known there
        )

    def constrain(
        self, rows: BatchState, context: Context, requested: Mask | None = None, within: Mask | None = None
    ) -> tuple[Context, bool]:
        """Mask the context by `requested` (B, V) and all constraints; tell whether a row has no token left.

        Constraints see the tokens of `within` (B, V) alone; the result has the others, too.
        """
        if not self._constraints and requested is None:
            return context, False
        requested = np.ones(context.allowed.shape, dtype=np.bool_) if requested is None else requested
        last, self._last = self._last, None
        if last is not None and last[0] is rows and last[1] is requested:
            return context.restrict(last[2].allowed), last[2].is_dead
        compiled = self.get_compiled(rows)
        if compiled is not None:
            past = _get_past(rows)
            whole = None if within is None else context.allowed & requested
            seen = requested if within is None else requested & within
            found = compiled.mask(rows.grammar, rows.index, past, context.allowed, seen, whole)
            if found is not None:
                return context.restrict(found[0]), found[1]
        context = constrain(self._constraints, context.restrict(context.allowed & requested), within)
        return context, not context.allowed.any(axis=1).all()

    def advance(
        self, rows: BatchState, tokens: Ints, music: MusicalState, requested: Mask, stepped: Stepped
    ) -> BatchState:
        """Advance all rows by `tokens` (B,); `requested` (B, V) are the tokens allowed for their requests."""
        compiled, index = self.get_compiled(rows), rows.index + 1
        turn = None
        if compiled is not None:
            turn = compiled.advance(rows.grammar, tokens, index, _get_past(rows), requested)
        if turn is None:
            return rows.advance(self._tokenizer, tokens, music, stepped)
        past, (state, nats, memory) = turn.past, stepped
        after = BatchState(
            rows.number,
            index,
            turn.state,
            state,
            past.history,
            past.recent_notes,
            rows.primer,
            nats,
            memory,
        )
        self.remember(after, requested, turn)
        return after

    def remember(self, rows: BatchState, requested: Mask, turn: Turn) -> None:
        """Remember the turn that has led to these rows."""
        self._last = rows, requested, turn

    def get_compiled(self, rows: BatchState) -> CompiledConstraints | None:
        """Return the constraints in C; None where they cannot be compiled."""
        widths = rows.history.shape[1], rows.recent_notes.tick.shape[1]
        if widths != self._widths:
            self._widths, self._compiled = widths, find_compiled(self._tokenizer, self._constraints, *widths)
        return self._compiled


def _get_past(rows: BatchState) -> Past:
    return Past(rows.history, rows.recent_notes)


def find_compiled(
    tokenizer: Tokenizer, constraints: tuple[Constraint, ...], history: int, lookback: int
) -> CompiledConstraints | None:
    """Compile constraints, or find them compiled; None where they cannot be."""
    try:
        hash(constraints)
    except TypeError:
        return compile_constraints(tokenizer, constraints, history, lookback)
    return _compile(tokenizer, constraints, history, lookback)


_compile: Callable[..., CompiledConstraints | None] = lru_cache(maxsize=16)(compile_constraints)
