"""The contract of a sampler, on random logits along random pieces; it knows no model."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.request import Request
from composer.testing.rules import rebuilt, rule
from composer.testing.sequences import chooser
from composer.tokens import EOS
from composer.types import Array, Constraint, Context, Sampler, Tokenizer

ROWS, STEPS, HISTORY = 6, 120, 16


def check_sampler(sampler: Sampler, tokenizer: Tokenizer, seed: int = 0) -> None:
    """A row is the same alone; something stays possible, nothing more becomes so; what comes in is unchanged."""
    rule(rebuilt(sampler) == sampler, "a sampler rebuilt from its fields is equal")
    random = np.random.default_rng(seed)
    grammar, choose = tokenizer.grammar, chooser(tokenizer, random)
    state, history = grammar.start(Request(bars=4), ROWS), np.full((ROWS, HISTORY), -1)
    for step in range(STEPS):
        allowed = grammar.allowed(state)
        context = Context(np.full(ROWS, step), grammar.facts(state), tokenizer.meaning, history, allowed)
        possible = check_step(sampler, context, random)
        tokens = choose(possible)
        state = grammar.advance(state, tokens)
        history = np.concatenate([history[:, 1:], tokens[:, None]], axis=1)
        if np.all(tokens == EOS):
            return


def check_step(sampler: Sampler, context: Context, random: np.random.Generator) -> NDArray[np.bool_]:
    """The rules at one step; what is possible after it, (B, V)."""
    logits = np.where(context.allowed, random.normal(scale=3.0, size=context.allowed.shape), -np.inf)
    before = [array.copy() for array in _arrays(logits, context)]
    after = _applied(sampler, logits, context)
    unchanged = (np.array_equal(a, b) for a, b in zip(before, _arrays(logits, context), strict=True))
    rule(all(unchanged), "what a sampler is given is unchanged")
    rule(after.shape == logits.shape, "a sampler gives an array (B, V)")
    rule(not np.isnan(after).any() and not np.isposinf(after).any(), "logits are numbers or -inf")
    possible = after > -np.inf
    rule(not np.any(possible & ~context.allowed), "what is at -inf stays there")
    rule(possible.any(axis=1).all(), "at least one token stays possible")
    for row in (0, len(logits) - 1):
        alone = _applied(sampler, logits[row : row + 1], row_of(context, row))
        rule(np.array_equal(alone, after[row : row + 1]), "a row is the same in a batch as alone")
    return possible


def _applied(sampler: Sampler, logits: Array, context: Context) -> NDArray[Any]:
    """What a shaping makes of logits; for a constraint, the logits that it leaves."""
    if not isinstance(sampler, Constraint):
        return np.asarray(sampler(logits, context))
    mask = sampler.mask(context)
    rule(mask.dtype == bool, "the mask of a constraint is of booleans")
    return np.where(mask, logits, -np.inf)


def _arrays(logits: Array, context: Context) -> list[NDArray[Any]]:
    facts = [getattr(context.facts, field.name) for field in fields(context.facts)]
    return [logits, context.step, context.history, context.allowed, *facts]


def row_of(context: Context, row: int) -> Context:
    """The context of one row alone."""
    one = slice(row, row + 1)
    facts = replace(context.facts, **{f.name: getattr(context.facts, f.name)[one] for f in fields(context.facts)})
    return Context(context.step[one], facts, context.meaning, context.history[one], context.allowed[one])
