"""Distributions over tokens, one for each row: probabilities, draws, and how they are chosen.

Sums run sequentially, so that the figures of a row do not depend on the number of rows. The model's logits are masked
by the grammar and all constraints, and changed by the logits processors in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from composer.arrays import find_first, get_namespace, is_all_false, stack_columns, sum_in_order, take_columns
from composer.errors import BadModelFile
from composer.sampling.memory import BoundSampler, bind, update_memory
from composer.types import Array, Constraint, Context, Drawn, LogitsProcessor, Sampler, TokenInfo

Floats = NDArray[np.float64]

Mask = NDArray[np.bool_]
Ints = NDArray[np.int64]


# --- distributions ----------------------------------------------------------------------------------------------------


LOWEST = -1e300
"""The greatest logit of a row with only -inf: -inf itself would lead to NaN."""


LEAST = -87.0
"""An exponential of less is 0."""

POLYNOMIAL = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
"""Of exp(r) - 1 - r over r squared, for r in half of log 2 around 0 (Moshier's Cephes, `expf`)."""


def compute_exponentials(values: Array) -> Array:
    """Compute exp of `values` up to 0, in float32, to a relative error of 2e-7, with the same bits on every machine.

    A library's own differ in the last bit between processors; `drawing.c` computes these, operation by operation. A
    constant is rounded to float32 before it is used.
    """
    xp = get_namespace(values)
    lifted = xp.maximum(values, -88.0)
    power = xp.round(lifted * 1.44269504088896341)
    rest = lifted - power * 0.693359375
    rest = rest - power * -2.12194440e-4
    result = xp.full_like(rest, POLYNOMIAL[0])
    for coefficient in POLYNOMIAL[1:]:
        result = result * rest + coefficient
    result = (result * (rest * rest) + rest) + 1.0
    with np.errstate(invalid="ignore"):  # NaN stays NaN
        scale = ((xp.astype(power, xp.int32) + 127) << 23).view(xp.float32)
    return xp.where(values < LEAST, 0.0, result * scale)


@dataclass(frozen=True, eq=False)
class Distribution:
    """The softmax of `logits` (B, V), -inf where nothing may be drawn. Each result is computed once."""

    logits: Array

    @cached_property
    def top(self) -> Array:
        """(B,) the greatest logit; `LOWEST` where all are -inf."""
        xp = get_namespace(self.logits)
        return xp.maximum(xp.max(self.logits, axis=1), LOWEST)

    @cached_property
    def cumulative(self) -> Array:
        """(B, V) cumulative sums of exp(logits - top); exponentials have single precision."""
        xp = get_namespace(self.logits)
        with np.errstate(over="ignore", invalid="ignore"):  # very low logits become -inf; a NaN is found later
            below = xp.astype(self.logits - self.top[:, None], xp.float32)
        return sum_in_order(compute_exponentials(below))

    @cached_property
    def log_mass(self) -> Array:
        """(B,) the log of the sum of exp(logits); -inf where all logits are."""
        with np.errstate(divide="ignore"):
            return self.top + get_namespace(self.logits).log(self.cumulative[:, -1])

    def compute_log_probability(self, tokens: Array, rows: Ints | None = None) -> Array:
        """Compute (N,) the log-probability of tokens, one a row or one for each of `rows`; NaN in an empty row."""
        if rows is None:
            chosen, mass = take_columns(self.logits, tokens[:, None])[:, 0], self.log_mass
        else:
            chosen, mass = self.logits[rows, tokens], self.log_mass[rows]
        with np.errstate(invalid="ignore"):
            return chosen - mass

    def draw(self, uniforms: Array, rows: Ints | None = None) -> Array:
        """Draw (N,) a token for each row or for each of `rows`: the first whose cumulative sum exceeds the uniform."""
        cumulative = self.cumulative if rows is None else self.cumulative[rows]
        total = cumulative[:, -1]
        # A product rounded up to the total would exceed every token that can be drawn.
        xp = get_namespace(cumulative)
        passed = xp.minimum(uniforms * total, xp.nextafter(total, xp.zeros_like(total)))
        return find_first(cumulative > passed[:, None])


# --- the distribution of the next token -------------------------------------------------------------------------------


KINDS = ("model", "chain", "constraints")
"""The costs that are summed over a piece, in nats."""


@dataclass(frozen=True)
class Chain:
    """Samplers by kind, sorted once: a look at a protocol takes longer than most samplers."""

    constraints: Sequence[Constraint]
    links: Sequence[LogitsProcessor]
    remembering: Sequence[BoundSampler] = ()  # those of both kinds that have memory

    @staticmethod
    def build(samplers: Sequence[Sampler], token_info: TokenInfo) -> Chain:
        """Sort samplers by kind; each kind keeps its order. Those with memory are bound to it."""
        bound = bind(samplers, token_info)
        constraints = [sampler for sampler in bound if isinstance(sampler, Constraint)]
        links = [sampler for sampler in bound if not isinstance(sampler, Constraint)]
        return Chain(constraints, links, [sampler for sampler in bound if isinstance(sampler, BoundSampler)])

    def update_memory(self, context: Context, tokens: Array, costs: Array, given: Array) -> Array:
        """Compute the memory (B, M) after a step with `tokens` (B,), their costs (B, kinds), and the `given` ones."""
        if not self.remembering:
            return context.memory
        xp = get_namespace(costs)
        several = xp.sum(context.allowed, axis=1, dtype=xp.int64) > 1
        chosen = ~given & several & xp.isfinite(costs[:, 0])  # not finite: a dead end
        model, chain = (xp.where(chosen, -costs[:, kind], 0.0) for kind in (0, 1))
        return update_memory(self.remembering, context, Drawn(tokens, chosen, model, chain))


@dataclass(frozen=True)
class Choice:
    """The distributions of B rows over their next token."""

    narrowed: Array | None  # (B,) whether constraints allow less than the grammar, if there are constraints
    free: Distribution | None  # of the model within the grammar, unless no row is known to be narrowed
    model: Distribution  # of the model within grammar and constraints
    kept: Distribution  # the same within the mask `kept`
    chain: Distribution  # after all logits processors; before them in rows that these leave empty
    emptied: Array | None  # (B,) the index of the processor that emptied a row, -1 for none; None if none did

    def compute_costs(self, tokens: Array, rows: Ints | None = None) -> Array:
        """Compute (N, kinds) the costs of tokens by `KINDS`, one token for each row or for each of `rows` (N,)."""
        model = -self.model.compute_log_probability(tokens, rows)
        chain = model if self.chain is self.model else -self.chain.compute_log_probability(tokens, rows)
        xp = get_namespace(model)
        constraints = xp.zeros_like(model)
        if self.free is not None:
            lost = xp.where(self.narrowed, self.free.log_mass - self.model.log_mass, 0.0)
            constraints = lost if rows is None else lost[rows]
        return stack_columns([model, chain, constraints])


def choose(
    links: Sequence[LogitsProcessor],
    logits: Array,
    context: Context,
    legal: Array | None = None,
    kept: Array | None = None,
) -> Choice:
    """Compute the choice in a context; `legal` (B, V) is the mask of the grammar alone, if there are constraints.

    With `kept` (B, V), the logits processors see only these of the allowed tokens.
    """
    model = plain = _mask_logits(logits, context.allowed)
    narrowed = None if legal is None else get_namespace(legal).any(legal != context.allowed, axis=1)
    free = None if legal is None or is_all_false(narrowed) else _mask_logits(logits, legal)
    if kept is not None:
        plain, context = _mask_logits(logits, kept), replace(context, allowed=kept)
    chain, emptied = _apply_processors(links, plain, context)
    return Choice(narrowed, free, model, plain, chain, emptied)


def _mask_logits(logits: Array, mask: Array) -> Distribution:
    xp = get_namespace(logits)
    return Distribution(xp.astype(xp.where(mask, logits, -np.inf), xp.float64, copy=False))


def _apply_processors(
    links: Sequence[LogitsProcessor], plain: Distribution, context: Context
) -> tuple[Distribution, Array | None]:
    """Apply all logits processors; also return `Choice.emptied`. No processor can bring back a masked token."""
    emptied = None
    if not links:
        return plain, emptied
    shaped, xp = plain.logits, get_namespace(plain.logits)
    for place, link in enumerate(links):
        shaped = xp.where(context.allowed, link(shaped, context), -np.inf)
        nothing = ~xp.isfinite(xp.max(shaped, axis=1))
        if not is_all_false(nothing):
            emptied = xp.full_like(nothing, -1, dtype=xp.int64) if emptied is None else emptied
            emptied = xp.where(nothing & (emptied < 0), place, emptied)
            shaped = xp.where(nothing[:, None], plain.logits, shaped)
    return Distribution(shaped), emptied


def refuse_unsound() -> BadModelFile:
    """Make the error of a model whose logits are NaN or infinite."""
    return BadModelFile("the model gives no probabilities (its logits are NaN or infinite); train it again.")


def find_unsound(model: Distribution, spared: Array) -> Array:
    """Find (B,) rows in which a model's logits are NaN or infinite; none that is `spared` (B,)."""
    return (~get_namespace(model.top).isfinite(model.top) | (model.top == LOWEST)) & ~spared


def check_sound(model: Distribution, spared: Mask) -> None:
    """Raise BadModelFile for a model whose logits are NaN or infinite, which would generate for ever.

    Rows that are `spared` (B,) are not checked.
    """
    if find_unsound(model, spared).any():
        raise refuse_unsound()
