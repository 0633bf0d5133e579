"""The sampling loop: one for every model; it knows grammars and distributions, and no music.

At each step: the stepper's logits, the mask of the grammar and of every constraint, the shaping links in the user's
order, and one draw from the cumulative distribution with the piece's own uniform.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from composer.errors import NothingAllowed
from composer.request import Request
from composer.streams import Streams
from composer.tokens import EOS
from composer.types import Array, Constraint, Context, Sampler, Shaping, State, Stepper, Tokenizer, Tokens

HISTORY = 64
"""Tokens that a sampler can look back on."""


@dataclass(frozen=True)
class Sampled:
    """One piece in tokens, the primer's included.

    `model_nats` is minus the log-probability of the drawn tokens under the model within the grammar, `chain_nats` that
    under the whole chain; the primer's tokens count in neither.
    """

    tokens: Tokens
    model_nats: float
    chain_nats: float


@dataclass
class _Rows:
    """The pieces that still run, side by side. `number` is the place of each among the requests."""

    number: NDArray[np.int64]
    grammar: Array
    state: State | None
    history: NDArray[np.int64]
    streams: Streams

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Drop all rows but these."""
        self.number, self.grammar, self.history = self.number[rows], self.grammar[rows], self.history[rows]
        self.state = None if self.state is None else tuple(tensor[rows] for tensor in self.state)
        self.streams.keep(rows)


def sample(
    step: Stepper, tokenizer: Tokenizer, samplers: Sequence[Sampler], requests: Sequence[Request]
) -> list[Sampled]:
    """One piece for each request, all side by side and each as if it were alone.

    Raises NothingAllowed if constraints and grammar leave some piece no token.
    """
    grammar, meaning = tokenizer.grammar, tokenizer.meaning
    constraints = [s for s in samplers if isinstance(s, Constraint)]
    shapings = [s for s in samplers if not isinstance(s, Constraint)]
    written: list[list[int]] = [[] for _ in requests]
    nats = np.zeros((2, len(requests)))
    rows = _begin(tokenizer, requests)
    place = 0
    while len(rows.number):
        logits, rows.state = step(grammar.inputs(rows.grammar), rows.state)
        given = np.array([requests[n].primer[place] if place < len(requests[n].primer) else -1 for n in rows.number])
        allowed = grammar.allowed(rows.grammar)
        if samplers:
            context = Context(np.full(len(given), place), grammar.facts(rows.grammar), meaning, rows.history, allowed)
            context = _constrained(constraints, context, given)
            allowed = context.allowed
        in_grammar = np.where(allowed, logits.astype(np.float64), -np.inf)
        shaped = _shaped(shapings, in_grammar, context, given) if shapings else in_grammar
        tokens = np.where(given >= 0, given, draw(shaped, rows.streams.at(place)))
        drawn = given < 0
        for kind, scores in enumerate((in_grammar, shaped)):
            nats[kind, rows.number[drawn]] -= log_probability(scores, tokens)[drawn]
        for number, token in zip(rows.number, tokens, strict=True):
            written[number].append(int(token))
        rows.grammar = grammar.advance(rows.grammar, tokens)
        rows.history = np.concatenate([rows.history[:, 1:], tokens[:, None]], axis=1)
        if (tokens == EOS).any():
            rows.keep(np.flatnonzero(tokens != EOS))
        place += 1
    return [Sampled(np.array(w), *map(float, n)) for w, n in zip(written, nats.T, strict=True)]


def _begin(tokenizer: Tokenizer, requests: Sequence[Request]) -> _Rows:
    state = np.concatenate([tokenizer.grammar.start(request, 1) for request in requests])
    history = np.full((len(requests), HISTORY), -1)
    streams = Streams([(r.seed, r.index, r.attempt) for r in requests])
    return _Rows(np.arange(len(requests)), state, None, history, streams)


def _constrained(constraints: Sequence[Constraint], context: Context, given: NDArray[np.int64]) -> Context:
    """The context, its mask cut by every constraint. What a primer gives is not held to them."""
    for constraint in constraints:
        context = replace(context, allowed=context.allowed & constraint.mask(context))
        _check_left(context.allowed.any(axis=1), constraint, context, given)
    return context


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
    top = logits.max(axis=1)
    chosen = np.take_along_axis(logits, tokens[:, None], axis=1)[:, 0]
    with np.errstate(invalid="ignore"):
        # Summed one after another, so that the figure does not depend on the number of rows.
        return chosen - top - np.log(np.cumsum(_weights(logits), axis=1)[:, -1])
