"""Choice: what rows may write next, and how likely each token of it is; it knows no draw, and nothing that is given.

The model's logits, cut by the mask of the grammar and of every constraint, and shaped by the links in the user's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from composer.errors import BadModelFile
from composer.sampling.distribution import LOWEST, Distribution
from composer.types import Constraint, Context, Sampler, Shaping

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

KINDS = ("model", "chain", "constraints")
"""Costs that are summed along a piece, in nats."""


@dataclass(frozen=True)
class Chain:
    """Samplers by kind: looking a protocol up takes longer than most of them."""

    constraints: Sequence[Constraint]
    links: Sequence[Shaping]

    @staticmethod
    def of(samplers: Sequence[Sampler]) -> Chain:
        """Of these, each kind in its order."""
        constraints = [sampler for sampler in samplers if isinstance(sampler, Constraint)]
        return Chain(constraints, [sampler for sampler in samplers if not isinstance(sampler, Constraint)])


@dataclass(frozen=True)
class Choice:
    """The distributions of B rows over their next token."""

    free: Distribution | None  # the model's within the grammar, where constraints cut it
    model: Distribution  # and within the constraints
    kept: Distribution  # and within what is kept of these
    chain: Distribution  # after every link; as before them in rows that these leave nothing
    emptied: Ints | None  # (B,) the place of the link that left a row nothing, -1 for none; None if none did

    def costs(self, tokens: Ints, rows: Ints | None = None) -> Floats:
        """(N, kinds) what each token costs, by `KINDS`, one for each row or for each of `rows` (N,)."""
        costs = np.zeros((len(tokens), len(KINDS)))
        costs[:, 0] = -self.model.log_probability(tokens, rows)
        costs[:, 1] = costs[:, 0] if self.chain is self.model else -self.chain.log_probability(tokens, rows)
        if self.free is not None:
            lost = self.free.log_mass - self.model.log_mass
            costs[:, 2] = lost if rows is None else lost[rows]
        return costs


def choose(
    links: Sequence[Shaping], logits: Floats, context: Context, legal: Mask | None = None, kept: Mask | None = None
) -> Choice:
    """The choice under a context; `legal` (B, V) is what the grammar alone allows, where constraints were asked.

    What is `kept` (B, V) of the tokens that are allowed is all that the links see.
    """
    model = plain = _within(logits, context.allowed)
    free = None if legal is None else _within(logits, legal)
    if kept is not None:
        plain, context = _within(logits, kept), replace(context, allowed=kept)
    chain, emptied = _shaped(links, plain, context)
    return Choice(free, model, plain, chain, emptied)


def _within(logits: Floats, mask: Mask) -> Distribution:
    return Distribution(np.where(mask, logits, -np.inf))


def _shaped(links: Sequence[Shaping], plain: Distribution, context: Context) -> tuple[Distribution, Ints | None]:
    """The distribution after every link, and `Choice.emptied`; no link can bring back a token that is not allowed."""
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


def check_sound(model: Distribution, spared: Mask) -> None:
    """Raise BadModelFile for a model that has lost its numbers, which would write on for ever.

    Rows that are `spared` (B,) need none.
    """
    unsound = ~np.isfinite(model.top) | (model.top == LOWEST)
    if unsound.any() and (unsound & ~spared).any():
        raise BadModelFile("the model gives no probabilities (it makes numbers that are none); train it again.")
