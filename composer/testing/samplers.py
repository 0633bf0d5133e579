"""The contract of a sampler, on random logits along random pieces."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.request import Request
from composer.sampling.batch_state import begin, context_of
from composer.testing.rules import BrokenRule, rebuilt, rule
from composer.testing.sequences import chooser, spoken
from composer.tokens.vocabulary import EOS
from composer.types import Array, Constraint, Context, Facts, Sampler, Struck, Tokenizer

ROWS, STEPS = 6, 120

TRIES = 6
"""How often all pieces may reach a dead end: random tokens find one sooner or later."""


def check_sampler(sampler: Sampler, tokenizer: Tokenizer, seed: int = 0) -> None:
    """Check that rows are independent, a token stays possible, none becomes so, and arguments are unchanged.

    A constraint may lead to a dead end, where the engine backtracks. Here other pieces continue, or begin anew.
    """
    rule(rebuilt(sampler) == sampler, "a sampler rebuilt from its fields is equal")
    random = np.random.default_rng(seed)
    choose = chooser(tokenizer, random)
    started = rows = begin(tokenizer, [sampler], [Request(bars=4)] * ROWS)
    tries = 1
    for _ in range(STEPS):
        context = context_of(tokenizer, rows)
        logits = np.where(context.allowed, random.normal(scale=3.0, size=context.allowed.shape), -np.inf)
        possible = _checked(sampler, context, logits, tokenizer)
        going = np.flatnonzero(possible.any(axis=1))
        if not len(going):
            rule(rows is not started and tries < TRIES, "of several pieces under a constraint, one at least goes on")
            rows, tries = started, tries + 1
            continue
        rows, context = rows.gather(going), rows_of(context, going)
        tokens = choose(possible[going])
        rows = rows.after(tokenizer, tokens, context.facts)
        if np.all(tokens == EOS):
            return


def _checked(sampler: Sampler, context: Context, logits: Array, tokenizer: Tokenizer) -> NDArray[np.bool_]:
    """Check one step; a broken rule is reported with the fewest rows that show it."""
    try:
        return check_step(sampler, context, logits)
    except BrokenRule as broken:
        rows, found = _fewest(sampler, context, logits, broken)
        histories = (history[history >= 0].tolist() for history in context.history[rows])
        after = ", and ".join(spoken(tokenizer, history) or "nothing" for history in histories)
        raise found.seen(f"in a batch of {len(rows)}, after {after}") from None


def _fewest(
    sampler: Sampler, context: Context, logits: Array, broken: BrokenRule
) -> tuple[NDArray[np.int64], BrokenRule]:
    """Find one row, or two, that break the same rule; all of them if it takes more."""
    count = len(logits)
    few = [[row] for row in range(count)] + [[0, other] for other in range(1, count)]
    for rows in map(np.array, few):
        try:
            check_step(sampler, rows_of(context, rows), logits[rows])
        except BrokenRule as found:
            if found.name == broken.name:
                return rows, found
    return np.arange(count), broken


def check_step(sampler: Sampler, context: Context, logits: Array) -> NDArray[np.bool_]:
    """Check one step, and return the possible tokens (B, V)."""
    logits, context = logits.copy(), _copied(context)
    before = [array.copy() for array in _arrays(logits, context)]
    after = _applied(sampler, logits, context)
    unchanged = (np.array_equal(a, b) for a, b in zip(before, _arrays(logits, context), strict=True))
    rule(all(unchanged), "the arguments of a sampler are unchanged")
    rule(after.shape == logits.shape, "a sampler gives an array (B, V)")
    rule(not np.isnan(after).any() and not np.isposinf(after).any(), "logits are numbers or -inf")
    possible = after > -np.inf
    rule(not np.any(possible & ~context.allowed), "tokens at -inf stay there")
    if not isinstance(sampler, Constraint):
        rule(possible.any(axis=1).all(), "at least one token stays possible")
    for row in (0, len(logits) - 1):
        alone = _applied(sampler, logits[row : row + 1], rows_of(context, slice(row, row + 1)))
        rule(np.array_equal(alone, after[row : row + 1]), "a row is the same in a batch as alone")
    return possible


def _applied(sampler: Sampler, logits: Array, context: Context) -> NDArray[Any]:
    """Apply a sampler to logits; a constraint masks them."""
    if not isinstance(sampler, Constraint):
        return np.asarray(sampler(logits, context))
    mask = sampler.mask(context)
    rule(mask.dtype == bool, "the mask of a constraint is of booleans")
    return np.where(mask, logits, -np.inf)


def _arrays(logits: Array, context: Context) -> list[NDArray[Any]]:
    parts = [getattr(part, field.name) for part in (context.facts, context.struck) for field in fields(part)]
    return [logits, context.step, context.history, context.allowed, *parts]


def _copied(context: Context) -> Context:
    """Copy a context, in case a sampler writes into it."""
    return rows_of(context, np.arange(len(context.step)))


def rows_of(context: Context, rows: slice | NDArray[np.int64]) -> Context:
    """Select some rows of a context."""
    facts, struck = Facts(**_rows(context.facts, rows)), Struck(**_rows(context.struck, rows))
    step, history, allowed = (part[rows] for part in (context.step, context.history, context.allowed))
    return Context(step, facts, context.meaning, history, allowed, struck)


def _rows(part: Facts | Struck, rows: slice | NDArray[np.int64]) -> dict[str, Array]:
    return {field.name: getattr(part, field.name)[rows] for field in fields(part)}
