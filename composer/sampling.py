"""The sampling loop: one for every model; it knows grammars and distributions, and no music.

At each step: the stepper's logits, the mask of the grammar and of every constraint, the shaping links in the user's
order, and one draw from the cumulative distribution with the piece's own uniform. A piece that has come to where
nothing is allowed goes back some tokens (`composer.retreat`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from composer.contradictions import check_wishes
from composer.distribution import LOWEST, Distribution
from composer.errors import BadModelFile, NothingAllowed
from composer.naming import bar_of, title
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


@dataclass(frozen=True)
class Drawn:
    """One step of the loop: a token for each of the B pieces that still run."""

    number: NDArray[np.int64]  # (B,) the piece, by its place among the requests
    place: NDArray[np.int64]  # (B,) the token's place in the piece: an earlier one than before if it went back
    token: NDArray[np.int64]  # (B,)


@dataclass(frozen=True)
class Tally:
    """What the loop counts up along the way, for each of R pieces."""

    nats: NDArray[np.float64]  # (len(KINDS), R)
    dead_ends: NDArray[np.int64]  # (R,)

    @staticmethod
    def of(pieces: int) -> Tally:
        """Nothing yet."""
        return Tally(np.zeros((len(KINDS), pieces)), np.zeros(pieces, dtype=np.int64))


def sample(
    step: Stepper, tokenizer: Tokenizer, samplers: Sequence[Sampler], requests: Sequence[Request]
) -> list[Sampled]:
    """One piece for each request, all side by side and each as if it were alone.

    Raises NothingAllowed if constraints and grammar leave some piece no token, or cannot be met together.
    """
    if not requests:
        return []
    tally, tokens, lengths = Tally.of(len(requests)), np.zeros((len(requests), 256), np.int64), [0] * len(requests)
    for drawn in steps(step, tokenizer, samplers, requests, tally):
        if drawn.place.max() >= tokens.shape[1]:
            tokens = np.concatenate([tokens, np.zeros_like(tokens)], axis=1)
        tokens[drawn.number, drawn.place] = drawn.token
        for ended in np.flatnonzero(drawn.token == EOS).tolist():
            lengths[drawn.number[ended]] = int(drawn.place[ended]) + 1
    pieces = zip(tokens, lengths, *tally.nats.tolist(), tally.dead_ends.tolist(), strict=True)
    return [Sampled(piece[:length].copy(), *counted) for piece, length, *counted in pieces]


def steps(
    step: Stepper, tokenizer: Tokenizer, samplers: Sequence[Sampler], requests: Sequence[Request], tally: Tally
) -> Iterator[Drawn]:
    """The loop, step by step, until every piece has ended. It remembers no more of a piece than it needs to go on.

    Raises NothingAllowed as `sample` does.
    """
    grammar = tokenizer.grammar
    constraints = [s for s in samplers if isinstance(s, Constraint)]
    shapings = [s for s in samplers if not isinstance(s, Constraint)]
    primers = _primers(requests)
    rows = begin(tokenizer, samplers, requests)
    streams = Streams([(r.seed, r.index, r.attempt) for r in requests])
    retreat = None
    if constraints:
        wished = check_wishes(tokenizer, constraints, requests)
        retreat = Retreat(tokenizer, constraints, requests, wished, tally.dead_ends)
    while len(rows.number):
        given = _given(primers, rows)
        facts, free = (grammar.facts(rows.grammar) if samplers else None), None
        if retreat is None:
            allowed = grammar.allowed(rows.grammar)
        else:
            context, free, rows = _where_allowed(tokenizer, retreat, rows, given, tally.nats)
            facts, allowed = context.facts, context.allowed
        logits, state = step(grammar.inputs(rows.grammar), rows.state)
        logits = logits.astype(np.float64)
        model = chain = Distribution(np.where(allowed, logits, -np.inf))
        check_sound(model, given)
        if shapings and facts is not None:
            chain = _shaped(shapings, model, context_of(tokenizer, rows, facts, allowed), given, requests[0])
        uniforms = streams.at(rows.place)
        uniforms = uniforms if retreat is None else retreat.uniforms(rows, uniforms)
        tokens = np.where(given >= 0, given, chain.draw(uniforms))
        if retreat is not None:
            retreat.remember(rows, tokens, given, tally.nats)
        drawn = given < 0
        within = None if free is None else Distribution(np.where(free, logits, -np.inf))
        tally.nats[:, rows.number[drawn]] += _costs(model, chain, within, tokens)[:, drawn]
        yield Drawn(rows.number, rows.place, tokens)
        rows = replace(rows.after(tokenizer, tokens, facts), state=state)
        if (tokens == EOS).any():
            going = np.flatnonzero(tokens != EOS)
            rows = rows.gather(going)
            streams.keep(going)


def _primers(requests: Sequence[Request]) -> NDArray[np.int64]:
    """(R, longest) the tokens that are given at the beginning of each piece, -1 from where they end."""
    longest = max(len(request.primer) for request in requests)
    return np.array([[*r.primer, *[-1] * (longest - len(r.primer))] for r in requests]).reshape(len(requests), longest)


def _given(primers: NDArray[np.int64], rows: Rows) -> NDArray[np.int64]:
    """(B,) the token that a primer gives, -1 where none does."""
    longest = primers.shape[1]
    if not longest:
        return np.full(len(rows.place), -1)
    return np.where(rows.place < longest, primers[rows.number, np.minimum(rows.place, longest - 1)], -1)


def _where_allowed(
    tokenizer: Tokenizer, retreat: Retreat, rows: Rows, given: NDArray[np.int64], nats: NDArray[np.float64]
) -> tuple[Context, NDArray[np.bool_], Rows]:
    """The rows, each gone back to where something is allowed; their context under all constraints, and (B, V) before.

    What a primer gives is not held to constraints.
    """
    while True:
        plain = context_of(tokenizer, rows)
        context = retreat.constrained(rows, plain)
        stuck = np.flatnonzero(~context.allowed.any(axis=1) & (given < 0))
        if not len(stuck):
            return context, plain.allowed, rows
        for row in stuck.tolist():
            rows = retreat.back(rows, row, nats)


def check_sound(model: Distribution, given: NDArray[np.int64] | None = None) -> None:
    """Raise BadModelFile for a model that has lost its numbers, which would write on for ever.

    Rows of which a token is `given` (B,) need none; -1 where it is drawn.
    """
    unsound = ~np.isfinite(model.top) | (model.top == LOWEST)
    if unsound.any() and (unsound if given is None else unsound & (given < 0)).any():
        raise BadModelFile("the model gives no probabilities (it makes numbers that are none); train it again.")


def _costs(
    model: Distribution, chain: Distribution, within: Distribution | None, tokens: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(3, B) what each token costs, by `KINDS`; `within` the grammar, where there are constraints."""
    costs = np.zeros((len(KINDS), len(tokens)))
    costs[0] = -model.log_probability(tokens)
    costs[1] = costs[0] if chain is model else -chain.log_probability(tokens)
    if within is not None:
        costs[2] = within.log_mass - model.log_mass
    return costs


def _shaped(
    shapings: Sequence[Shaping], model: Distribution, context: Context, given: NDArray[np.int64], request: Request
) -> Distribution:
    """The distribution after every link of the request; none can bring back a token that is not allowed."""
    logits = model.logits
    for shaping in shapings:
        logits = np.where(context.allowed, shaping(logits, context), -np.inf)
        nothing = ~np.isfinite(logits.max(axis=1))
        if nothing.any() and len(empty := np.flatnonzero(nothing & (given < 0))):  # a primer's token is not drawn
            bar = bar_of(context.facts, int(empty[0]))
            name = title(shaping, request)
            raise NothingAllowed(f"in bar {bar} the sampler {name} leaves nothing that could be written; loosen it.")
    return Distribution(logits)
