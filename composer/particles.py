"""Particles: pieces with notes that are given, by sequential Monte Carlo; it knows masks and distributions, no notes.

A recurrent network looks only backwards: a mask makes it write what is given, but not prepare for it. So a piece is
begun many times over. Each beginning, a particle, is weighed by how likely the model finds the given notes that it
comes upon, and the likely ones go on in the place of the others (Gordon, Salmond and Smith, IEE Proceedings F 140,
1993; for language models Lew et al., arXiv:2306.03081, 2023).

What is drawn from. Let q(x_t) be the distribution of the whole chain over the tokens that the grammar, the constraints
and the given notes allow after a beginning x_1 … x_t-1, and g_t the share that these tokens have of the model's
probability within grammar and constraints. With many particles a piece is drawn in proportion to the product of all
q(x_t) g_t. Where nothing shapes the logits, q(x_t) g_t is what the model gives x_t: pieces follow the model's
distribution, conditioned on the given notes. Where something does, notes that are free are written as it says, and
what is given is weighed by the model as it is. One particle alone is sampling forwards under the mask.

When weights are compared. Particles write different numbers of tokens for the same time, and one that has written more
has met no more of what is given. So a particle that reaches a beat waits until all of its piece have; then, if the
effective sample size is below half their number, they are resampled (systematically: Kitagawa, Journal of Computational
and Graphical Statistics 5, 1996). Particles that have written the same are one row of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from composer.distribution import Distribution
from composer.errors import NothingAllowed
from composer.naming import bar_of, culprits, leave, title
from composer.notes import none_struck, struck_after
from composer.request import Request
from composer.rows import HISTORY, lookback
from composer.sampling import Sampled, check_sound
from composer.streams import BLOCK, uniforms
from composer.tokens import EOS
from composer.types import Array, Constraint, Context, Facts, Sampler, Shaping, State, Stepper, Struck, Tokenizer

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BEATS = 1024
"""More than the beats of any bar: a place in a piece is `bar * BEATS + beat`."""

ENDED = 2**60
"""The place of a particle that has written its last token."""


@dataclass(frozen=True)
class Condition:
    """A piece asked for, with a mask that keeps what is given of it.

    `mask` is what `Grammar.given` makes: from states (B, S) to masks (B, V). At the beginning of each bar of `settle`
    (counted as in `Facts`) one particle is drawn by weight, and all go on from there; at the end this happens anyway.
    """

    request: Request
    mask: Callable[[Array], Array]
    particles: int = 1
    settle: tuple[int, ...] = ()


@dataclass(frozen=True)
class Conditioned(Sampled):
    """One piece in tokens. Tokens to which there was no alternative count in neither of the two figures of `Sampled`.

    `given_nats` is minus the log of the estimate of how likely the given notes are: the product of all g_t on average
    over q. The estimate itself (not its log) is unbiased.
    """

    given_nats: float = 0.0


def sample_given(
    step: Stepper, tokenizer: Tokenizer, samplers: Sequence[Sampler], conditions: Sequence[Condition]
) -> list[Conditioned]:
    """One piece for each condition, all side by side and each as if it were alone.

    What is given is not held to constraints: where one token only is left, it is written. Raises NothingAllowed if
    grammar, constraints and given notes together leave no particle of a piece anything to write.
    """
    constraints = [sampler for sampler in samplers if isinstance(sampler, Constraint)]
    links = [sampler for sampler in samplers if not isinstance(sampler, Constraint)]
    cloud = _begin(tokenizer, samplers, conditions)
    while True:
        least = _least(cloud)
        _compare(cloud, least)
        active = (cloud.rows.place == least[cloud.rows.piece]) & (cloud.rows.place < ENDED)
        if not active.any():
            return _results(cloud)
        _write(cloud, active, step, tokenizer, _Chain(constraints, links))
        cloud.round += 1


# --- rows and particles -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rows:
    """The different beginnings that there are, R of them, each written by one particle or more."""

    piece: Ints  # (R,) place among the conditions
    grammar: Array  # (R, S)
    state: State | None
    written: Ints  # (R, HISTORY + room) tokens, after as many -1 as a history is long
    length: Ints  # (R,) tokens written
    weight: Floats  # (R,) log of the product of g_t since the last resampling
    nats: Floats  # (R, 2) as in `Sampled`
    place: Ints  # (R,) bar and beat; see `BEATS`
    struck: Struck

    def take(self, rows: NDArray[np.integer]) -> _Rows:
        """These rows, in this order."""
        state = None if self.state is None else tuple(part[rows] for part in self.state)
        return _Rows(
            self.piece[rows],
            self.grammar[rows],
            state,
            self.written[rows],
            self.length[rows],
            self.weight[rows],
            self.nats[rows],
            self.place[rows],
            Struck(*(part[rows] for part in _parts(self.struck))),
        )

    def history(self) -> Ints:
        """(R, HISTORY) the last tokens."""
        return np.take_along_axis(self.written, self.length[:, None] + np.arange(HISTORY), axis=1)


def _parts(struck: Struck) -> tuple[Array, Array, Array]:
    return struck.tick, struck.pitch, struck.voice


def _joined(one: _Rows, other: _Rows) -> _Rows:
    pairs = zip(one.state or (), other.state or (), strict=True)
    room = max(one.written.shape[1], other.written.shape[1])
    written = [np.pad(w, ((0, 0), (0, room - w.shape[1])), constant_values=-1) for w in (one.written, other.written)]
    names = ("piece", "grammar", "length", "weight", "nats", "place")
    parts = {name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in names}
    struck = Struck(*map(np.concatenate, zip(_parts(one.struck), _parts(other.struck), strict=True)))
    return _Rows(state=tuple(map(np.concatenate, pairs)), written=np.concatenate(written), struck=struck, **parts)


@dataclass
class _Cloud:
    """All particles, K of them; `row` is the beginning that each has written."""

    conditions: Sequence[Condition]
    rows: _Rows
    piece: Ints  # (K,)
    row: Ints  # (K,)
    reached: Ints  # (pieces,) the place that all particles have reached
    evidence: Floats  # (pieces,) log of the estimate of how likely the given notes are, up to the last resampling
    round: int = 0  # the same for every piece alone and in company: each has a particle that writes in every round
    of: list[slice] = field(default_factory=list)  # the particles of each piece
    dead: dict[int, Callable[[], _Dead]] = field(default_factory=dict)  # of each piece, the last that could not go on


def _begin(tokenizer: Tokenizer, samplers: Sequence[Sampler], conditions: Sequence[Condition]) -> _Cloud:
    grammar = np.concatenate([tokenizer.grammar.start(c.request, 1) for c in conditions])
    count, sizes = len(conditions), [c.particles for c in conditions]
    rows = _Rows(
        piece=np.arange(count),
        grammar=grammar,
        state=None,
        written=np.full((count, 2 * HISTORY), -1),
        length=np.zeros(count, dtype=np.int64),
        weight=np.zeros(count),
        nats=np.zeros((count, 2)),
        place=_places(tokenizer.grammar.facts(grammar)),
        struck=none_struck(count, lookback(samplers)),
    )
    ends = np.cumsum(sizes)
    piece = np.repeat(np.arange(count), sizes)
    reached, of = np.full(count, -ENDED), [slice(int(e) - n, int(e)) for e, n in zip(ends, sizes, strict=True)]
    return _Cloud(conditions, rows, piece, piece.copy(), reached, np.zeros(count), of=of)


def _places(facts: Facts) -> Ints:
    return np.asarray(facts.bar * BEATS + facts.beat)


def _least(cloud: _Cloud) -> Ints:
    """(pieces,) the place that all particles of each have reached."""
    least = np.full(len(cloud.conditions), ENDED)
    np.minimum.at(least, cloud.rows.piece, cloud.rows.place)
    return least


def _results(cloud: _Cloud) -> list[Conditioned]:
    found = []
    for piece, particles in enumerate(cloud.of):
        row = cloud.row[particles.start]
        tokens = cloud.rows.written[row, HISTORY : HISTORY + cloud.rows.length[row]]
        model, chain = cloud.rows.nats[row].tolist()
        found.append(Conditioned(tokens.copy(), model, chain, given_nats=-float(cloud.evidence[piece])))
    return found


# --- weights compared -------------------------------------------------------------------------------------------------


def _compare(cloud: _Cloud, least: Ints) -> None:
    """Where all particles of a piece have reached a new place, draw one, or resample them, or let them be."""
    begun_anew = []
    for piece in np.flatnonzero(least > cloud.reached).tolist():
        condition, particles = cloud.conditions[piece], cloud.of[piece]
        before, cloud.reached[piece] = int(cloud.reached[piece]) // BEATS, least[piece]
        weights = cloud.rows.weight[cloud.row[particles]]
        top = weights.max()
        if top == -np.inf:
            raise NothingAllowed(_nothing_left(condition, cloud.dead[piece]()))
        ancestors = _ancestors(condition, weights, before, int(least[piece]), cloud.round)
        if ancestors is not None:
            cloud.evidence[piece] += top + np.log(np.exp(weights - top).mean())
            cloud.row[particles] = cloud.row[particles][ancestors]
            begun_anew.append(piece)
    if begun_anew:
        used, cloud.row = np.unique(cloud.row, return_inverse=True)
        rows = cloud.rows.take(used)
        cloud.rows = replace(rows, weight=np.where(np.isin(rows.piece, begun_anew), 0.0, rows.weight))


def _ancestors(condition: Condition, weights: Floats, before: int, place: int, round_: int) -> Ints | None:
    """(N,) the particles from which those of a piece go on; None if from themselves. `before` is the last bar."""
    if place >= ENDED or any(before < bar <= place // BEATS for bar in condition.settle):
        uniform = _numbers(condition.request, "choose", round_, 1)
        return np.repeat(Distribution(weights[None]).draw(uniform), condition.particles)
    if effective_sample_size(weights) < condition.particles / 2:
        return systematic(weights, float(_numbers(condition.request, "resample", round_, 1)[0]))
    return None


def _nothing_left(condition: Condition, dead: _Dead) -> str:
    """The sentence that names the bar, and the constraints that leave nothing beside what is given."""
    many = "the only particle" if condition.particles == 1 else f"none of {condition.particles} particles"
    can = "cannot" if condition.particles == 1 else "can"
    if not dead.culprits:
        what = f"{many} {can} go on with the notes that are given"
        return f"in bar {dead.bar} {what}; loosen the samplers or take more particles."
    left = leave([title(sampler, condition.request) for sampler in dead.culprits])
    loose = "one of them" if len(dead.culprits) > 1 else "it"
    return f"in bar {dead.bar} {left} nothing that goes with the given notes; loosen {loose}, or take more particles."


def effective_sample_size(log_weights: Floats) -> float:
    """How many equally weighted particles are worth as much: (sum of w)^2 / (sum of w^2), 1 to their number."""
    weights = np.exp(log_weights - log_weights.max())
    return float(weights.sum() ** 2 / (weights * weights).sum())


def systematic(log_weights: Floats, uniform: float) -> Ints:
    """(N,) ancestors: each particle its share of N, rounded up or down, all by one uniform in [0, 1)."""
    cumulative = np.cumsum(np.exp(log_weights - log_weights.max()))
    total, count = cumulative[-1], len(log_weights)
    points = (np.arange(count) + uniform) / count * total
    return np.searchsorted(cumulative, np.minimum(points, np.nextafter(total, 0)), side="right")


def _numbers(request: Request, purpose: str, first: int, count: int) -> Floats:
    """(count,) uniforms of the piece's own stream for a purpose, from number `first` on."""
    blocks = range(first // BLOCK, (first + count - 1) // BLOCK + 1)
    made = [uniforms(request.seed, request.index, request.attempt, block, purpose) for block in blocks]
    start = first - blocks[0] * BLOCK
    return np.concatenate(made)[start : start + count]


# --- one token --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Chain:
    """The samplers, by kind: looking a protocol up takes longer than most of them."""

    constraints: Sequence[Constraint]
    links: Sequence[Shaping]


@dataclass(frozen=True)
class _Choice:
    """What R rows may write next."""

    model: Distribution  # within grammar and constraints
    chain: Distribution  # of the whole chain
    weight: Floats  # (R,) log g_t
    forced: NDArray[np.bool_]  # (R,) whether one token alone is left


@dataclass(frozen=True)
class _Dead:
    """Where a beginning could not go on: the bar, and the constraints that left it nothing, if any did."""

    bar: int
    culprits: tuple[Constraint, ...]


def _dead(tokenizer: Tokenizer, chain: _Chain, conditions: Sequence[Condition], row: _Rows) -> _Dead:
    """Why one row cannot go on."""
    legal, facts = tokenizer.grammar.allowed(row.grammar), tokenizer.grammar.facts(row.grammar)
    context = Context(row.length, facts, tokenizer.meaning, row.history(), legal, row.struck)
    given = legal & _masks(conditions, row)
    masks = [(constraint.mask(context) & given)[0] for constraint in chain.constraints]
    left = not masks or np.all(masks, axis=0).any()  # then a shaping link left nothing
    return _Dead(bar_of(facts, 0), () if left else tuple(chain.constraints[n] for n in culprits(masks)))


def _write(cloud: _Cloud, active: NDArray[np.bool_], step: Stepper, tokenizer: Tokenizer, chain: _Chain) -> None:
    """One token for every particle at an `active` row; particles that draw different ones part."""
    grammar = tokenizer.grammar
    writing, waiting = cloud.rows.take(np.flatnonzero(active)), cloud.rows.take(np.flatnonzero(~active))
    logits, state = step(grammar.inputs(writing.grammar), writing.state)
    choice = _choice(tokenizer, chain, cloud.conditions, writing, logits.astype(np.float64))
    dead = np.flatnonzero((choice.weight == -np.inf) & (writing.weight > -np.inf))
    for piece, first in zip(*np.unique(writing.piece[dead], return_index=True), strict=True):
        cloud.dead[piece] = partial(_dead, tokenizer, chain, cloud.conditions, writing.take(dead[first : first + 1]))
    at = np.where(active, np.cumsum(active) - 1, len(writing.piece) + np.cumsum(~active) - 1)[cloud.row]
    drawing = np.flatnonzero(active[cloud.row])
    tokens = choice.chain.draw(_draws(cloud)[drawing], at[drawing])
    size = choice.chain.logits.shape[1]
    children, place = np.unique(at[drawing] * size + tokens, return_inverse=True)
    parents, written = children // size, children % size
    after = _after(tokenizer, replace(writing, state=state).take(parents), written)
    said = np.stack([way.log_probability(written, parents) for way in (choice.model, choice.chain)], axis=1)
    counted = np.where(choice.forced[parents, None], 0.0, said)
    after = replace(after, weight=after.weight + choice.weight[parents], nats=after.nats - counted)
    cloud.row = at - len(writing.piece) + len(children)  # those that wait come after the children
    cloud.row[drawing] = place
    cloud.rows = _joined(after, waiting) if len(waiting.piece) else after


def _draws(cloud: _Cloud) -> Floats:
    """(K,) a uniform for each particle: in round r, particle i of n takes number r n + i of its piece's draws."""
    counts = [(condition.request, condition.particles) for condition in cloud.conditions]
    numbers = [
        np.zeros(n) if place >= ENDED else _numbers(request, "draw", cloud.round * n, n)
        for (request, n), place in zip(counts, cloud.reached, strict=True)
    ]
    return np.concatenate(numbers)


def _after(tokenizer: Tokenizer, rows: _Rows, tokens: Ints) -> _Rows:
    grammar = tokenizer.grammar.advance(rows.grammar, tokens)
    written = rows.written
    if rows.length.max() + HISTORY >= written.shape[1]:
        written = np.concatenate([written, np.full_like(written, -1)], axis=1)
    np.put_along_axis(written, HISTORY + rows.length[:, None], tokens[:, None], axis=1)
    place = np.where(tokens == EOS, ENDED, _places(tokenizer.grammar.facts(grammar)))
    struck = struck_after(rows.struck, tokenizer.grammar.facts(rows.grammar), tokenizer.meaning, tokens)
    return replace(rows, grammar=grammar, written=written, length=rows.length + 1, place=place, struck=struck)


def _choice(
    tokenizer: Tokenizer, chain: _Chain, conditions: Sequence[Condition], rows: _Rows, logits: Floats
) -> _Choice:
    legal = tokenizer.grammar.allowed(rows.grammar)
    given = legal & _masks(conditions, rows)
    forced = given.sum(axis=1) == 1
    facts, history = tokenizer.grammar.facts(rows.grammar), rows.history()
    context = Context(rows.length, facts, tokenizer.meaning, history, legal, rows.struck)
    for constraint in chain.constraints:
        context = replace(context, allowed=context.allowed & (constraint.mask(context) | forced[:, None]))
    kept = context.allowed & given
    alive = kept.any(axis=1)
    kept = np.where(alive[:, None], kept, legal)  # a particle that cannot go on writes anything until it is compared
    model = Distribution(np.where(context.allowed, logits, -np.inf))
    check_sound(model, np.where(alive, -1, 0))
    plain = Distribution(np.where(kept, logits, -np.inf))
    shaped, sound = _shaped(chain.links, plain, replace(context, allowed=kept))
    with np.errstate(invalid="ignore"):
        weight = np.where(alive & sound, plain.log_mass - model.log_mass, -np.inf)
    return _Choice(model, shaped, weight, forced)


def _masks(conditions: Sequence[Condition], rows: _Rows) -> NDArray[np.bool_]:
    """(R, V) what is given, by the mask of each row's piece; pieces with one mask in common are asked for together."""
    of = {id(condition.mask): condition.mask for condition in conditions}
    keys = list(of)
    group_of = np.array([keys.index(id(condition.mask)) for condition in conditions])[rows.piece]
    order = np.argsort(group_of, kind="stable")
    present, starts = np.unique(group_of[order], return_index=True)
    groups = np.split(order, starts[1:])
    found = [of[keys[which]](rows.grammar[group]) for which, group in zip(present, groups, strict=True)]
    masks = np.empty((len(order), found[0].shape[1]), dtype=bool)
    masks[order] = np.concatenate(found)
    return masks


def _shaped(links: Sequence[Shaping], plain: Distribution, context: Context) -> tuple[Distribution, NDArray[np.bool_]]:
    """The distribution after every link, and (R,) whether they leave something; where they do not, as it was."""
    if not links:
        return plain, np.isfinite(plain.logits.max(axis=1))
    shaped = plain.logits
    for link in links:
        shaped = np.where(context.allowed, link(shaped, context), -np.inf)
    sound = np.isfinite(shaped.max(axis=1))
    return Distribution(np.where(sound[:, None], shaped, plain.logits)), sound
