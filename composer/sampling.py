"""The sampling loop: one for every model; it knows grammars and distributions, and no music.

At each step: the stepper's logits, the mask of the grammar and of every constraint, the shaping links in the user's
order, and one draw from the cumulative distribution with the piece's own uniform. A piece that has come to where
nothing is allowed goes back some tokens (`composer.retreat`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from composer.contradictions import check_wishes
from composer.errors import NothingAllowed
from composer.request import Request
from composer.retreat import Retreat
from composer.rows import Rows, begin, context_of
from composer.streams import Streams
from composer.tokens import EOS
from composer.types import Constraint, Context, Sampler, Shaping, Stepper, Tokenizer, Tokens

KINDS = ("model", "chain", "constraints")
"""Costs that are summed along a piece, in nats."""


@dataclass(frozen=True)
class Sampled:
    """One piece in tokens, the primer's included.

    `model_nats` is minus the log-probability of the drawn tokens under the model within the grammar and the
    constraints, `chain_nats` that under the whole chain; `constraint_nats` is minus the log of the mass that the model
    gave, within the grammar, to what the constraints left, summed over the steps. The primer's tokens count in none.
    """

    tokens: Tokens
    model_nats: float
    chain_nats: float
    constraint_nats: float = 0.0
    dead_ends: int = 0  # how often the piece came to where nothing was allowed, and went back


def sample(
    step: Stepper, tokenizer: Tokenizer, samplers: Sequence[Sampler], requests: Sequence[Request]
) -> list[Sampled]:
    """One piece for each request, all side by side and each as if it were alone.

    Raises NothingAllowed if constraints and grammar leave some piece no token, or cannot be met together.
    """
    grammar = tokenizer.grammar
    constraints = [s for s in samplers if isinstance(s, Constraint)]
    shapings = [s for s in samplers if not isinstance(s, Constraint)]
    wished = check_wishes(tokenizer, constraints, requests)
    written: list[list[int]] = [[] for _ in requests]
    nats = np.zeros((len(KINDS), len(requests)))
    rows = begin(tokenizer, samplers, requests)
    streams = Streams([(r.seed, r.index, r.attempt) for r in requests])
    retreat = Retreat(tokenizer, constraints, requests, wished)
    while len(rows.number):
        given = _given(rows, requests)
        context = context_of(tokenizer, rows) if samplers else None
        free = allowed = grammar.allowed(rows.grammar) if context is None else context.allowed
        if constraints and context is not None:
            context, rows = _where_allowed(tokenizer, retreat, context, rows, given, nats)
            free, allowed = grammar.allowed(rows.grammar), context.allowed
        logits, state = step(grammar.inputs(rows.grammar), rows.state)
        scores = [np.where(mask, logits.astype(np.float64), -np.inf) for mask in (free, allowed)]
        scores.append(_shaped(shapings, scores[1], context, given) if context is not None else scores[1])
        uniforms = streams.at(rows.place)
        tokens = np.where(given >= 0, given, draw(scores[2], retreat.uniforms(rows, uniforms)))
        if constraints:
            retreat.remember(rows, tokens, given, nats)
        drawn = given < 0
        nats[:, rows.number[drawn]] += _costs(scores, tokens)[:, drawn]
        for number, place, token in zip(rows.number, rows.place, tokens, strict=True):
            del written[number][place:]
            written[number].append(int(token))
        rows = replace(rows.after(tokenizer, tokens, None if context is None else context.facts), state=state)
        if (tokens == EOS).any():
            going = np.flatnonzero(tokens != EOS)
            rows = rows.gather(going)
            streams.keep(going)
    found = zip(written, nats.T, retreat.dead_ends, strict=True)
    return [Sampled(np.array(w), float(n[0]), float(n[1]), float(n[2]), ends) for w, n, ends in found]


def _given(rows: Rows, requests: Sequence[Request]) -> NDArray[np.int64]:
    """(B,) the token that a primer gives, -1 where none does."""
    primers = [(requests[number].primer, place) for number, place in zip(rows.number, rows.place, strict=True)]
    return np.array([primer[place] if place < len(primer) else -1 for primer, place in primers])


def _where_allowed(
    tokenizer: Tokenizer,
    retreat: Retreat,
    context: Context,
    rows: Rows,
    given: NDArray[np.int64],
    nats: NDArray[np.float64],
) -> tuple[Context, Rows]:
    """The rows, each gone back to where something is allowed, and their context under all constraints.

    What a primer gives is not held to constraints.
    """
    while True:
        context = retreat.constrained(rows, context)
        stuck = np.flatnonzero(~context.allowed.any(axis=1) & (given < 0))
        if not len(stuck):
            return context, rows
        for row in stuck.tolist():
            rows = retreat.back(rows, row, nats)
        context = context_of(tokenizer, rows)


def _costs(scores: Sequence[NDArray[np.float64]], tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """(3, B) what each token costs by `KINDS`, from the scores within the grammar, the constraints and the chain."""
    free, allowed, shaped = scores
    costs = np.zeros((len(KINDS), len(tokens)))
    costs[0] = -log_probability(allowed, tokens)
    costs[1] = costs[0] if shaped is allowed else -log_probability(shaped, tokens)
    if free is not allowed:
        costs[2] = log_mass(free) - log_mass(allowed)
    return costs


def _shaped(
    shapings: Sequence[Shaping], logits: NDArray[np.float64], context: Context, given: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(B, V) the logits after every link; none can bring back a token that is not allowed."""
    for shaping in shapings:
        logits = np.where(context.allowed, shaping(logits, context), -np.inf)
        _check_left(np.isfinite(logits.max(axis=1)), shaping, context, given)
    return logits


def _check_left(left: NDArray[np.bool_], sampler: Sampler, context: Context, given: NDArray[np.int64]) -> None:
    """Raise NothingAllowed if `sampler` leaves nothing to a row that is not given by its primer."""
    empty = np.flatnonzero(~left & (given < 0))
    if len(empty):
        bar = max(int(context.facts.bar[empty[0]]), 0) + 1
        name = type(sampler).__name__
        raise NothingAllowed(f"in bar {bar} the sampler {name} leaves nothing that could be written; loosen it.")


def draw(logits: NDArray[np.float64], uniforms: NDArray[np.float64]) -> NDArray[np.int64]:
    """(B,) one token a row: the first at which the cumulative distribution passes the row's uniform."""
    cumulative = np.cumsum(_weights(logits), axis=1)
    total = cumulative[:, -1]
    # A product that rounds up to the total would pass every token that can be drawn.
    passed = np.minimum(uniforms * total, np.nextafter(total, 0))
    return (cumulative > passed[:, None]).argmax(axis=1)


def _weights(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # a row given by a primer may have nothing left; its draw is not used
        return np.exp(logits - logits.max(axis=1, keepdims=True))


def log_probability(logits: NDArray[np.float64], tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """(B,) of `tokens` under softmax of `logits`."""
    chosen = np.take_along_axis(logits, tokens[:, None], axis=1)[:, 0]
    with np.errstate(invalid="ignore"):
        return chosen - log_mass(logits)


def log_mass(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B,) the log of the sum of what the logits are logs of."""
    with np.errstate(invalid="ignore"):
        # Summed one after another, so that the figure does not depend on the number of rows.
        return logits.max(axis=1) + np.log(np.cumsum(_weights(logits), axis=1)[:, -1])
