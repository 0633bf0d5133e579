"""Distributions over tokens, one for each row: probabilities, draws, and how they are chosen.

Sums run sequentially, so that the figures of a row do not depend on the number of rows. The model's logits are masked
by the grammar and all constraints, and changed by the logits processors in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.errors import BadModelFile
from composer.sampling.memory import BoundSampler, bind, update_memory
from composer.types import Constraint, Context, Drawn, LogitsProcessor, Sampler, TokenInfo

Floats = NDArray[np.float64]

Mask = NDArray[np.bool_]
Ints = NDArray[np.int64]


# --- distributions ----------------------------------------------------------------------------------------------------


LOWEST = -1e300
"""The greatest logit of a row with only -inf: -inf itself would lead to NaN."""


LEAST = np.float32(-87)
"""An exponential of less is 0."""

POLYNOMIAL = np.array(
    [1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1], np.float32
)
"""Of exp(r) - 1 - r over r squared, for r in half of log 2 around 0 (Moshier's Cephes, `expf`)."""


def compute_exponentials(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute exp of `values` up to 0, to a relative error of 2e-7, with the same bits on every machine.

    A library's own differ in the last bit between processors; `drawing.c` computes these, operation by operation.
    """
    lifted: NDArray[Any] = np.maximum(values, np.float32(-88))
    power: NDArray[Any] = np.rint(lifted * np.float32(1.44269504088896341))
    rest: NDArray[Any] = lifted - power * np.float32(0.693359375)
    rest = rest - power * np.float32(-2.12194440e-4)
    result = np.full_like(rest, POLYNOMIAL[0])
    for coefficient in POLYNOMIAL[1:]:
        result = result * rest + coefficient
    result = (result * (rest * rest) + rest) + np.float32(1)
    with np.errstate(invalid="ignore"):  # NaN stays NaN
        scale = ((power.astype(np.int32) + 127) << 23).view(np.float32)
    return np.where(values < LEAST, np.float32(0), result * scale)


@dataclass(frozen=True, eq=False)
class Distribution:
    """The softmax of `logits` (B, V), -inf where nothing may be drawn. Each result is computed once."""

    logits: Floats

    @cached_property
    def top(self) -> Floats:
        """(B,) the greatest logit; `LOWEST` where all are -inf."""
        return np.maximum(self.logits.max(axis=1), LOWEST)

    @cached_property
    def cumulative(self) -> Floats:
        """(B, V) cumulative sums of exp(logits - top); exponentials have single precision."""
        with np.errstate(over="ignore", invalid="ignore"):  # very low logits become -inf; a NaN is found later
            below = (self.logits - self.top[:, None]).astype(np.float32)
        return np.cumsum(compute_exponentials(below), axis=1, dtype=np.float64)

    @cached_property
    def log_mass(self) -> Floats:
        """(B,) the log of the sum of exp(logits); -inf where all logits are."""
        with np.errstate(divide="ignore"):
            return self.top + np.log(self.cumulative[:, -1])

    def compute_log_probability(self, tokens: NDArray[np.int64], rows: NDArray[np.int64] | None = None) -> Floats:
        """Compute (N,) the log-probability of tokens, one a row or one for each of `rows`; NaN in an empty row."""
        rows = np.arange(len(tokens)) if rows is None else rows
        chosen: Floats = self.logits[rows, tokens]
        with np.errstate(invalid="ignore"):
            return chosen - self.log_mass[rows]

    def draw(self, uniforms: Floats, rows: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """Draw (N,) a token for each row or for each of `rows`: the first whose cumulative sum exceeds the uniform."""
        cumulative = self.cumulative if rows is None else self.cumulative[rows]
        total = cumulative[:, -1]
        # A product rounded up to the total would exceed every token that can be drawn.
        passed = np.minimum(uniforms * total, np.nextafter(total, 0))
        return (cumulative > passed[:, None]).argmax(axis=1)


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

    def update_memory(self, context: Context, tokens: Ints, costs: Floats, given: Mask) -> Floats:
        """Compute the memory (B, M) after a step with `tokens` (B,), their costs (B, kinds), and the `given` ones."""
        if not self.remembering:
            return np.asarray(context.memory)
        chosen = ~given & (np.sum(context.allowed, axis=1) > 1) & np.isfinite(costs[:, 0])  # not finite: a dead end
        model, chain = (np.where(chosen, -costs[:, kind], 0.0) for kind in (0, 1))
        return update_memory(self.remembering, context, Drawn(tokens, chosen, model, chain))


_NO_ROWS: Ints = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Choice:
    """The distributions of B rows over their next token."""

    narrowed: Ints  # (N,) the rows in which constraints allow less than the grammar
    free: Distribution | None  # (N, V) of the model within the grammar, in these rows, if there are any
    model: Distribution  # of the model within grammar and constraints
    kept: Distribution  # the same within the mask `kept`
    chain: Distribution  # after all logits processors; before them in rows that these leave empty
    emptied: Ints | None  # (B,) the index of the processor that emptied a row, -1 for none; None if none did

    def compute_costs(self, tokens: Ints, rows: Ints | None = None) -> Floats:
        """Compute (N, kinds) the costs of tokens by `KINDS`, one token for each row or for each of `rows` (N,)."""
        costs = np.zeros((len(tokens), len(KINDS)))
        costs[:, 0] = -self.model.compute_log_probability(tokens, rows)
        costs[:, 1] = costs[:, 0] if self.chain is self.model else -self.chain.compute_log_probability(tokens, rows)
        if self.free is not None:
            lost = np.zeros(len(self.model.log_mass))
            lost[self.narrowed] = self.free.log_mass - self.model.log_mass[self.narrowed]
            costs[:, 2] = lost if rows is None else lost[rows]
        return costs


def choose(
    links: Sequence[LogitsProcessor],
    logits: NDArray[Any],
    context: Context,
    legal: Mask | None = None,
    kept: Mask | None = None,
) -> Choice:
    """Compute the choice in a context; `legal` (B, V) is the mask of the grammar alone, if there are constraints.

    With `kept` (B, V), the logits processors see only these of the allowed tokens.
    """
    model = plain = _mask_logits(logits, context.allowed)
    narrowed = _NO_ROWS if legal is None else np.flatnonzero((legal != context.allowed).any(axis=1))
    free = _mask_logits(logits[narrowed], legal[narrowed]) if legal is not None and len(narrowed) else None
    if kept is not None:
        plain, context = _mask_logits(logits, kept), replace(context, allowed=kept)
    chain, emptied = _apply_processors(links, plain, context)
    return Choice(narrowed, free, model, plain, chain, emptied)


def _mask_logits(logits: NDArray[Any], mask: Mask) -> Distribution:
    return Distribution(np.where(mask, logits, -np.inf).astype(np.float64, copy=False))


def _apply_processors(
    links: Sequence[LogitsProcessor], plain: Distribution, context: Context
) -> tuple[Distribution, Ints | None]:
    """Apply all logits processors; also return `Choice.emptied`. No processor can bring back a masked token."""
    emptied = None
    if not links:
        return plain, emptied
    shaped = plain.logits
    for place, link in enumerate(links):
        shaped = np.where(context.allowed, link(shaped, context), -np.inf)
        nothing = ~np.isfinite(shaped.max(axis=1))
        if nothing.any():
            emptied = np.full(len(nothing), -1) if emptied is None else emptied
            emptied[nothing & (emptied < 0)] = place
            shaped = np.where(nothing[:, None], plain.logits, shaped)
    return Distribution(shaped), emptied


def refuse_unsound() -> BadModelFile:
    """Make the error of a model whose logits are NaN or infinite."""
    return BadModelFile("the model gives no probabilities (its logits are NaN or infinite); train it again.")


def check_sound(model: Distribution, spared: Mask) -> None:
    """Raise BadModelFile for a model whose logits are NaN or infinite, which would generate for ever.

    Rows that are `spared` (B,) are not checked.
    """
    unsound = ~np.isfinite(model.top) | (model.top == LOWEST)
    if unsound.any() and (unsound & ~spared).any():
        raise refuse_unsound()
