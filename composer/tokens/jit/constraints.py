"""Constraints in C, with the grammar's turn: one call from Python computes the state after a token and all masks there.

What a constraint computes is traced as a grammar is. Its tables are arguments, so that one library serves all scales,
chords and ranges. A chain with a constraint that cannot be traced, or that has memory, is computed by NumPy.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from composer.arrays import get_addresses
from composer.tokens.jit.c_compiler import load_library
from composer.tokens.jit.c_source import Function, write_source
from composer.tokens.jit.grammars import FLAGS, CompiledGrammar, CompiledTokenizer, Tables
from composer.tokens.jit.tracing import Traced, Untraceable, collect_guards, make_argument, make_mask_argument, trace
from composer.tokens.vocabulary import update_recent_notes
from composer.tokens.yielding import compute_mask
from composer.types import Constraint, Context, HasMemory, RecentNotes, Tokenizer

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

TURN = """
typedef int GrammarTurn(int64_t rows, const int64_t *state, const int64_t *tokens,
                        int64_t *after, int64_t *inputs, uint8_t *allowed);

/* Masks of rows, in the first half of `allowed`. Constraints see what is legal and requested; the result is of that, or
   of `whole`, unless that is 0. Bit 8 of the status: a row has no token left. */
static int constrain(int64_t rows, const void *const *tables, const int64_t *lengths, const int64_t *state,
                     const int64_t *step{parameters}, const uint8_t *legal, const uint8_t *requested,
                     const uint8_t *whole, uint8_t *allowed, int64_t width)
{{
    uint8_t *within = allowed + rows * width;
    for (int64_t i = 0; i < rows * width; i++) within[i] = legal[i] & requested[i];
    int status = constraints_mask(rows, tables, lengths, state, step{names}, within, whole ? whole : within, allowed);
    for (int64_t row = 0; row < rows; row++, allowed += width) {{
        uint8_t some = 0;
        for (int64_t i = 0; i < width; i++) some |= allowed[i];
        status |= some ? 0 : 8;
    }}
    return status;
}}

int constrained_mask(int64_t rows, const void *const *tables, const int64_t *lengths, const int64_t *state,
                     const int64_t *step{parameters}, const uint8_t *legal, const uint8_t *requested,
                     const uint8_t *whole, uint8_t *allowed)
{{
    return constrain(rows, tables, lengths, state, step{names}, legal, requested, whole, allowed, {width});
}}

int constrained_turn(int64_t rows, const void *const *tables, const int64_t *lengths,
                     const void *const *note_tables, const int64_t *note_lengths, GrammarTurn *turn,
                     const int64_t *state, const int64_t *tokens, const int64_t *step{parameters},
                     const uint8_t *requested, int64_t *after, int64_t *inputs, uint8_t *legal{results},
                     uint8_t *allowed)
{{
    int status = turn(rows, state, tokens, after, inputs, legal);
    {follow}
    return status | constrain(rows, tables, lengths, after, step{outs}, legal, requested, 0, allowed, {width});
}}

/* The same with arguments that do not depend on the constraints, for a loop in C: `bound` are tables, lengths, the same
   of notes, and the grammar's turn; the arrays of the past are in lists. */
int bound_turn(int64_t rows, const void *const *bound, const int64_t *state, const int64_t *tokens,
               const int64_t *step, const int64_t *const *past, const uint8_t *requested, int64_t *after,
               int64_t *inputs, uint8_t *legal, int64_t *const *past_after, uint8_t *allowed)
{{
    return constrained_turn(rows, (const void *const *)bound[0], bound[1], (const void *const *)bound[2], bound[3],
                            (GrammarTurn *)bound[4], state, tokens, step{listed}, requested, after, inputs, legal
                            {listed_after}, allowed);
}}
"""

DEAD = 8
"""Bit of a status: some row has no token left."""


@dataclass(frozen=True)
class Past:
    """What constraints know of the tokens before: the last tokens (B, H), and the last notes, each (B, N)."""

    history: Ints
    recent_notes: RecentNotes

    @property
    def arrays(self) -> list[Ints]:
        """The arrays that hold anything."""
        notes = self.recent_notes
        found = [self.history] if self.history.shape[1] else []
        return [*found, notes.tick, notes.pitch, notes.voice] if notes.tick.shape[1] else found


@dataclass(frozen=True)
class Turn:
    """A state after a token, and all that a loop asks for there."""

    state: Ints  # (B, S)
    past: Past
    allowed: Mask  # (B, V) by grammar and constraints
    is_dead: bool  # whether a row has no token left


class CompiledConstraints:
    """The constraints of a chain, compiled together for one grammar. Each method returns None where NumPy has to do it.

    That is so where a constraint or an index raises an error.
    """

    def __init__(self, grammar: CompiledGrammar, made: ctypes.CDLL, functions: dict[str, Function]) -> None:
        """Bind the functions of the library, and keep the tables alive."""
        self._grammar, self._kept = grammar, [Tables(function) for function in functions.values()]
        self._tables = [address for tables in self._kept for address in tables.addresses]
        self._arrays = len(functions["constraints_mask"].arguments) - 4  # of the past
        self._mask, self._turn = made.constrained_mask, made.constrained_turn
        for function, count in ((self._mask, 8), (self._turn, 13 + self._arrays)):
            function.restype = ctypes.c_int
            function.argtypes = [ctypes.c_int64, *[ctypes.c_void_p] * (count + self._arrays)]
        self.turn_address = ctypes.cast(made.bound_turn, ctypes.c_void_p).value or 0
        self.bound = np.array([*self._tables, grammar.turn_address], dtype=np.uintp)
        """What `bound_turn` is given, at whose address C finds it."""

    def mask(
        self, state: Ints, step: Ints, past: Past, legal: Mask, requested: Mask, whole: Mask | None = None
    ) -> tuple[Mask, bool] | None:
        """Return the mask (B, V) within `legal` and `requested`, and whether it leaves a row without a token.

        Constraints see only these tokens; with `whole` (B, V), the result is the mask of all of its tokens instead.
        """
        allowed = np.empty((2, *legal.shape), dtype=np.bool_)
        arrays = [state, step, *past.arrays, legal, requested, *([] if whole is None else [whole])]
        arrays = [np.ascontiguousarray(array) for array in arrays]
        *places, result = get_addresses([*arrays, allowed])
        status = self._mask(len(state), *self._tables[:2], *places, *([0] if whole is None else []), result)
        return None if status & ~DEAD else (allowed[0], bool(status))

    def advance(self, state: Ints, tokens: Ints, step: Ints, past: Past, requested: Mask) -> Turn | None:
        """Return the turn after `tokens` (B,); `step` (B,) is that of the next token."""
        results = self._grammar.make_results(len(state))
        arrays, after = past.arrays, [np.empty_like(array) for array in past.arrays]
        allowed = np.empty((2, *requested.shape), dtype=np.bool_)
        taken = [np.ascontiguousarray(array) for array in (state, tokens, step, *arrays, requested)]
        places = get_addresses([*taken, *results, *after, allowed])
        status = self._turn(len(state), *self._tables, self._grammar.turn_address, *places)
        if status & ~DEAD:
            return None
        self._grammar.remember(results)
        history = after.pop(0) if past.history.shape[1] else past.history
        notes = RecentNotes(*after) if after else past.recent_notes
        return Turn(results[0], Past(history, notes), allowed[0], bool(status))


def compile_constraints(
    tokenizer: Tokenizer, constraints: Sequence[Constraint], history: int, lookback: int
) -> CompiledConstraints | None:
    """Compile the constraints of a chain, which is told of so many last tokens and notes; None where that cannot be."""
    compiled = isinstance(tokenizer, CompiledTokenizer) and isinstance(tokenizer.grammar, CompiledGrammar)
    if not compiled or any(isinstance(constraint, HasMemory) for constraint in constraints):
        return None
    try:
        functions = _trace_constraints(tokenizer, constraints, history, lookback)
        text = write_source(functions, tables=True) + _write_turn(functions)
    except Exception:  # a plugin's function may fail in any way on traced arrays
        return None
    made = load_library(text, FLAGS)
    return None if made is None else CompiledConstraints(tokenizer.grammar, made, functions)  # type: ignore[arg-type]


def _trace_constraints(
    tokenizer: Tokenizer, constraints: Sequence[Constraint], history: int, lookback: int
) -> dict[str, Function]:
    """Trace the masks of all constraints, and how the past goes on. Raises Untraceable, or any error of theirs."""
    grammar, token_info = tokenizer.grammar.grammar, tokenizer.token_info  # type: ignore[attr-defined]
    state, tokens = make_argument("state", tokenizer.grammar.width), make_argument("tokens", None)  # type: ignore[attr-defined]
    step = make_argument("step", None)
    seen, whole = (make_mask_argument(name, len(token_info.kind)) for name in ("allowed", "whole"))
    tokens_before = make_argument("history", history)
    notes = RecentNotes(*(make_argument(name, lookback) for name in ("tick", "pitch", "voice")))
    past: list[Traced] = [tokens_before] if history else []
    past += [notes.tick, notes.pitch, notes.voice] if lookback else []
    music, masked, arguments = grammar.interpret(state), whole, (state, step, *past, seen, whole)
    with collect_guards() as guards:
        for constraint in constraints:
            mask = trace(compute_mask(constraint, Context(step, music, token_info, tokens_before, seen, notes)))
            seen, masked = seen & mask, masked & mask
    if not masked.is_bool or masked.shape != whole.shape:
        raise Untraceable("a mask is not of bools, or of another shape")
    after = update_recent_notes(notes, music, token_info, tokens)
    pushed = [tokens_before.__array_namespace__().concat([tokens_before[:, 1:], tokens[:, None]], axis=1)]
    results = (pushed if history else []) + ([after.tick, after.pitch, after.voice] if lookback else [])
    return {
        "constraints_mask": Function(arguments, (masked,), guards),
        "constraints_follow": Function((state, tokens, *past), results),
    }


def _write_turn(functions: dict[str, Function]) -> str:
    """Write the calls of all functions in C."""
    past = [argument.detail for argument in functions["constraints_follow"].arguments[2:]]
    outs = [f"out{number}" for number in range(len(past))]
    names = "".join(f", {name}" for name in past)
    follow = "status |= constraints_follow(rows, note_tables, note_lengths, state, tokens{}{});"
    return TURN.format(
        parameters="".join(f", const int64_t *{name}" for name in past),
        names=names,
        results="".join(f", int64_t *{name}" for name in outs),
        outs="".join(f", {name}" for name in outs),
        listed="".join(f", past[{number}]" for number in range(len(past))),
        listed_after="".join(f", past_after[{number}]" for number in range(len(past))),
        follow=follow.format(names, "".join(f", {name}" for name in outs)) if past else "",
        width=functions["constraints_mask"].results[0].size,
    )
