"""The contract of a sampler, on random logits along random pieces."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.request import Request
from composer.sampling.batch_state import begin, build_context
from composer.sampling.drawing import draw_tokens, make_draw
from composer.testing.rules import BrokenRule, rebuild, require
from composer.testing.sequences import make_chooser, name_tokens
from composer.tokens.vocabulary import EOS
from composer.types import Array, Constraint, Context, HasOperations, MusicalState, RecentNotes, Sampler, Tokenizer

ROWS, STEPS = 6, 120

TRIES = 6
"""How often all pieces may reach a dead end: random tokens find one sooner or later."""


def check_sampler(sampler: Sampler, tokenizer: Tokenizer, seed: int = 0) -> None:
    """Check that rows are independent, a token stays possible, none becomes so, and arguments are unchanged.

    A constraint may lead to a dead end, where the engine backtracks. Here other pieces continue, or begin anew.
    """
    require(rebuild(sampler) == sampler, "a sampler rebuilt from its fields is equal")
    random = np.random.default_rng(seed)
    choose = make_chooser(tokenizer, random)
    started = rows = begin(tokenizer, [sampler], [Request(bars=4)] * ROWS)
    tries = 1
    for _ in range(STEPS):
        context = build_context(tokenizer, rows)
        logits = np.where(context.allowed, random.normal(scale=3.0, size=context.allowed.shape), -np.inf)
        possible = _check_or_shrink(sampler, context, logits, tokenizer)
        going = np.flatnonzero(possible.any(axis=1))
        if not len(going):
            require(rows is not started and tries < TRIES, "of several pieces under a constraint, one at least goes on")
            rows, tries = started, tries + 1
            continue
        rows, context = rows.gather(going), select_rows(context, going)
        tokens = choose(possible[going])
        rows = rows.advance(tokenizer, tokens, context.music)
        if np.all(tokens == EOS):
            return


def _check_or_shrink(sampler: Sampler, context: Context, logits: Array, tokenizer: Tokenizer) -> NDArray[np.bool_]:
    """Check one step; a broken rule is reported with the fewest rows that show it."""
    try:
        return check_step(sampler, context, logits)
    except BrokenRule as broken:
        rows, found = _find_fewest(sampler, context, logits, broken)
        histories = (history[history >= 0].tolist() for history in context.history[rows])
        after = ", and ".join(name_tokens(tokenizer, history) or "nothing" for history in histories)
        raise found.add_example(f"in a batch of {len(rows)}, after {after}") from None


def _find_fewest(
    sampler: Sampler, context: Context, logits: Array, broken: BrokenRule
) -> tuple[NDArray[np.int64], BrokenRule]:
    """Find one row, or two, that break the same rule; all of them if it takes more."""
    count = len(logits)
    few = [[row] for row in range(count)] + [[0, other] for other in range(1, count)]
    for rows in map(np.array, few):
        try:
            check_step(sampler, select_rows(context, rows), logits[rows])
        except BrokenRule as found:
            if found.name == broken.name:
                return rows, found
    return np.arange(count), broken


def check_step(sampler: Sampler, context: Context, logits: Array) -> NDArray[np.bool_]:
    """Check one step, and return the possible tokens (B, V)."""
    logits, context = logits.copy(), _copy(context)
    before = [array.copy() for array in _list_arrays(logits, context)]
    after = _apply(sampler, logits, context)
    unchanged = (np.array_equal(a, b) for a, b in zip(before, _list_arrays(logits, context), strict=True))
    require(all(unchanged), "the arguments of a sampler are unchanged")
    require(after.shape == logits.shape, "a sampler gives an array (B, V)")
    require(not np.isnan(after).any() and not np.isposinf(after).any(), "logits are numbers or -inf")
    possible = after > -np.inf
    require(not np.any(possible & ~context.allowed), "tokens at -inf stay there")
    if not isinstance(sampler, Constraint):
        require(possible.any(axis=1).all(), "at least one token stays possible")
        _check_operations(sampler, logits, context)
    for row in (0, len(logits) - 1):
        alone = _apply(sampler, logits[row : row + 1], select_rows(context, slice(row, row + 1)))
        require(np.array_equal(alone, after[row : row + 1]), "a row is the same in a batch as alone")
    return possible


def _check_operations(sampler: Sampler, logits: Array, context: Context) -> None:
    """Check that a described logits processor does what its operations do, by draws with several uniforms."""
    if isinstance(sampler, Constraint) or not isinstance(sampler, HasOperations):
        return
    draw, single, none = make_draw([sampler]), logits.astype(np.float32), np.full(len(logits), -1)
    for uniform in (0.01, 0.5, 0.99):
        uniforms = np.full(len(logits), uniform)
        found = draw(single, context, None, uniforms, none)
        wanted = draw_tokens([sampler], single, context, None, uniforms, none)
        same = np.array_equal(found.tokens, wanted.tokens) and np.allclose(found.nats, wanted.nats, atol=1e-6)
        require(same, "the operations of a logits processor do what it does itself")


def _apply(sampler: Sampler, logits: Array, context: Context) -> NDArray[Any]:
    """Apply a sampler to logits; a constraint masks them."""
    if not isinstance(sampler, Constraint):
        return np.asarray(sampler(logits, context))
    mask = sampler.mask(context)
    require(mask.dtype == bool, "the mask of a constraint is of booleans")
    return np.where(mask, logits, -np.inf)


def _list_arrays(logits: Array, context: Context) -> list[NDArray[Any]]:
    parts = [getattr(part, field.name) for part in (context.music, context.recent_notes) for field in fields(part)]
    return [logits, context.step, context.history, context.allowed, *parts]


def _copy(context: Context) -> Context:
    """Copy a context, in case a sampler writes into it."""
    return select_rows(context, np.arange(len(context.step)))


def select_rows(context: Context, rows: slice | NDArray[np.int64]) -> Context:
    """Select some rows of a context."""
    music, recent_notes = (
        MusicalState(**_select(context.music, rows)),
        RecentNotes(**_select(context.recent_notes, rows)),
    )
    step, history, allowed = (part[rows] for part in (context.step, context.history, context.allowed))
    return Context(step, music, context.token_info, history, allowed, recent_notes)


def _select(part: MusicalState | RecentNotes, rows: slice | NDArray[np.int64]) -> dict[str, Array]:
    return {field.name: getattr(part, field.name)[rows] for field in fields(part)}
