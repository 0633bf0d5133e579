"""Sequential Monte Carlo: pieces around fixed notes, by particles.

A recurrent network looks only backwards: a mask forces the fixed notes, but the network does not prepare for them. So
each piece is sampled by many particles. A particle is weighted by the likelihood of the fixed notes that it meets, and
likely particles replace the others (Gordon, Salmond and Smith, IEE Proceedings F 140, 1993; for language models Lew et
al., arXiv:2306.03081, 2023).

The target. Let q(x_t) be the distribution of the whole chain over the tokens allowed by the grammar, the constraints
and the fixed notes after x_1 … x_t-1. Let g_t be the share of these tokens in the model's probability within grammar
and constraints. With many particles, a piece is drawn in proportion to the product of all q(x_t) g_t. Without logits
processors, q(x_t) g_t is the model's probability of x_t: pieces follow the model's distribution, conditioned on the
fixed notes. Logits processors change free notes only; fixed notes are weighted by the model itself. One particle alone
is plain sampling under the mask.

Comparing weights. Particles draw different numbers of tokens for the same time; one with more tokens has met no more
fixed notes. So a particle that reaches a beat waits for all others of its piece. Then, if the effective sample size is
below half their number, they are resampled (systematically: Kitagawa, Journal of Computational and Graphical Statistics
5, 1996). Particles with equal tokens share one row of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from composer.errors import NothingAllowed
from composer.request import Request
from composer.sampling.batch_state import (
    BatchState,
    begin,
    build_context,
    run_step,
    select_rows,
)
from composer.sampling.distribution import Chain, Distribution
from composer.sampling.drawing import DrawParticles, make_particle_draw
from composer.sampling.feasibility import begin_sentence, find_conflict, get_bar_number, name_sampler
from composer.sampling.hypotheses import BEATS, ENDED, Hypotheses, begin_hypotheses, find_slowest, join_hypotheses
from composer.sampling.loop import SampledPiece
from composer.sampling.random_streams import BLOCK, draw_uniforms
from composer.sampling.turns import Turns
from composer.sampling.watching import report_bar
from composer.tokens.yielding import list_firm
from composer.types import Array, Constraint, Context, Sampler, Step, Tokenizer

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Condition:
    """A request with a mask that keeps its fixed notes.

    `mask` comes from `Grammar.fix_notes`: it maps states (B, S) to masks (B, V). At the beginning of each bar of
    `settle` (counted as in `MusicalState`) one particle is drawn by weight, and replaces all; at the end as well.
    """

    request: Request
    mask: Callable[[Array], Array]
    particles: int = 1
    settle: tuple[int, ...] = ()


@dataclass(frozen=True)
class ConditionedPiece(SampledPiece):
    """One piece in tokens. Tokens without an alternative count in none of the figures of `SampledPiece`.

    `dead_ends` counts the particles that met one.

    `fixed_nats` is minus the log of the estimated likelihood of the fixed notes: the mean over q of the product of all
    g_t. The estimate itself (not its log) is unbiased.
    """

    fixed_nats: float = 0.0


def sample_conditioned(
    step: Step, tokenizer: Tokenizer, samplers: Sequence[Sampler], conditions: Sequence[Condition]
) -> list[ConditionedPiece | NothingAllowed]:
    """Sample one piece for each condition, side by side; none depends on the others.

    Constraints do not apply to fixed notes: a single token left by the mask is drawn. The result of a piece is an
    error if all its particles meet a dead end.
    """
    chain = Chain.build(samplers, tokenizer.token_info)
    turns, draw = Turns(tokenizer, chain.constraints), make_particle_draw(chain.links)
    cloud = _begin(tokenizer, samplers, conditions)
    while True:
        least = _compare_repeatedly(cloud)
        active = (cloud.begun.reached == least[cloud.begun.piece]) & (cloud.begun.reached < ENDED)
        if not active.any():
            return _make_results(cloud)
        _draw_tokens(cloud, active, step, tokenizer, chain, turns, draw)
        cloud.round += 1


# --- rows and particles -----------------------------------------------------------------------------------------------


@dataclass
class _ParticleSet:
    """The particle set, K particles; `row` is the hypothesis of each, and its weight the log of a product of g_t."""

    conditions: Sequence[Condition]
    begun: Hypotheses
    piece: Ints  # (K,)
    row: Ints  # (K,)
    reached: Ints  # (pieces,) the beat that all particles have reached
    evidence: Floats  # (pieces,) log of the estimated likelihood of the fixed notes, up to the last resampling
    dead_ends: Ints  # (pieces,) particles at dead ends
    round: int = 0  # independent of other pieces: each piece has a particle that draws in every round
    of: list[slice] = field(default_factory=list)  # the particles of each piece
    dead: dict[int, Callable[[], _DeadEnd]] = field(default_factory=dict)  # the last dead end of each piece
    lost: dict[int, NothingAllowed] = field(default_factory=dict)  # pieces without a particle left


def _begin(tokenizer: Tokenizer, samplers: Sequence[Sampler], conditions: Sequence[Condition]) -> _ParticleSet:
    rows = begin(tokenizer, samplers, [condition.request for condition in conditions])
    count, sizes = len(conditions), [c.particles for c in conditions]
    begun = begin_hypotheses(tokenizer, rows)
    ends = np.cumsum(sizes)
    piece = np.repeat(np.arange(count), sizes)
    of = [slice(int(e) - n, int(e)) for e, n in zip(ends, sizes, strict=True)]
    none = np.zeros(count, dtype=np.int64)
    return _ParticleSet(conditions, begun, piece, piece.copy(), none - ENDED, np.zeros(count), none, of=of)


def _make_results(cloud: _ParticleSet) -> list[ConditionedPiece | NothingAllowed]:
    return [cloud.lost.get(piece) or _make_result(cloud, piece) for piece in range(len(cloud.conditions))]


def _make_result(cloud: _ParticleSet, piece: int) -> ConditionedPiece:
    rows, row = cloud.begun.rows, cloud.row[cloud.of[piece].start]
    tokens = cloud.begun.get_tokens(row)
    model, chain, constraints = rows.nats[row].tolist()
    dead_ends, evidence = int(cloud.dead_ends[piece]), float(cloud.evidence[piece])
    return ConditionedPiece(tokens, model, chain, constraints, dead_ends, -evidence)


# --- weights compared -------------------------------------------------------------------------------------------------


def _compare_repeatedly(cloud: _ParticleSet) -> Ints:
    """Compare the particles wherever all have reached a beat, and return (pieces,) that beat.

    If resampling removes all particles that were behind, the others are compared again, at their next beat.
    """
    least = find_slowest(cloud.begun, len(cloud.conditions))
    while True:
        _compare(cloud, least)
        now = find_slowest(cloud.begun, len(cloud.conditions))
        if np.array_equal(now, least):
            return least
        least = now


def _compare(cloud: _ParticleSet, least: Ints) -> None:
    """Choose one particle, resample, or change nothing, for each piece whose particles all reached a new beat."""
    begun_anew, lost = [], []
    for piece in np.flatnonzero(least > cloud.reached).tolist():
        condition, particles = cloud.conditions[piece], cloud.of[piece]
        before, cloud.reached[piece] = int(cloud.reached[piece]) // BEATS, least[piece]
        weights = cloud.begun.weight[cloud.row[particles]]
        top = weights.max()
        if top == -np.inf:
            cloud.lost[piece] = NothingAllowed(_describe_dead_end(condition, cloud.dead[piece]()))
            lost.append(piece)
            continue
        ancestors = _choose_ancestors(condition, weights, before, int(least[piece]), cloud.round)
        if ancestors is not None:
            cloud.evidence[piece] += top + np.log(np.exp(weights - top).mean())
            cloud.row[particles] = cloud.row[particles][ancestors]
            begun_anew.append(piece)
    if begun_anew:
        used, cloud.row = np.unique(cloud.row, return_inverse=True)
        begun = cloud.begun.select(used)
        cloud.begun = replace(begun, weight=np.where(np.isin(begun.piece, begun_anew), 0.0, begun.weight))
    if lost:
        over = np.isin(cloud.begun.piece, lost)
        cloud.begun = replace(cloud.begun, reached=np.where(over, ENDED, cloud.begun.reached))


def _choose_ancestors(condition: Condition, weights: Floats, before: int, place: int, round_: int) -> Ints | None:
    """Choose (N,) the ancestors of a piece's particles; None if all continue. `before` is the last bar."""
    if place >= ENDED or any(before < bar <= place // BEATS for bar in condition.settle):
        uniform = _draw_numbers(condition.request, "choose", round_, 1)
        return np.repeat(Distribution(weights[None]).draw(uniform), condition.particles)
    if compute_effective_sample_size(weights) < condition.particles / 2:
        return resample_systematically(weights, float(_draw_numbers(condition.request, "resample", round_, 1)[0]))
    return None


def _describe_dead_end(condition: Condition, dead: _DeadEnd) -> str:
    """Name the bar, and the constraints that allow nothing beside the fixed notes."""
    many = "the only particle" if condition.particles == 1 else f"none of {condition.particles} particles"
    can = "cannot" if condition.particles == 1 else "can"
    if not dead.culprits:
        what = f"{many} {can} go on with the fixed notes"
        return f"in bar {dead.bar} {what}; loosen the samplers or take more particles."
    left = begin_sentence([name_sampler(sampler, condition.request) for sampler in dead.culprits])
    loose = "one of them" if len(dead.culprits) > 1 else "it"
    return f"in bar {dead.bar} {left} nothing that fits the fixed notes; loosen {loose}, or take more particles."


def compute_effective_sample_size(log_weights: Floats) -> float:
    """Compute (sum of w)^2 / (sum of w^2): the equivalent number of equally weighted particles."""
    weights = np.exp(log_weights - log_weights.max())
    return float(weights.sum() ** 2 / (weights * weights).sum())


def resample_systematically(log_weights: Floats, uniform: float) -> Ints:
    """Resample systematically, by one uniform in [0, 1): (N,) ancestors; each particle gets its share of N, rounded."""
    cumulative = np.cumsum(np.exp(log_weights - log_weights.max()))
    total, count = cumulative[-1], len(log_weights)
    points = (np.arange(count) + uniform) / count * total
    return np.searchsorted(cumulative, np.minimum(points, np.nextafter(total, 0)), side="right")


_draw_block = lru_cache(maxsize=256)(draw_uniforms)
"""A block is drawn from in several rounds."""


def _draw_numbers(request: Request, purpose: str, first: int, count: int) -> Floats:
    """Return (count,) uniforms of the piece's stream for a purpose, from number `first` on."""
    blocks = range(first // BLOCK, (first + count - 1) // BLOCK + 1)
    made = [_draw_block(request.seed, request.index, request.attempt, block, purpose) for block in blocks]
    start = first - blocks[0] * BLOCK
    return np.concatenate(made)[start : start + count]


# --- one token --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _DeadEnd:
    """A dead end of a hypothesis: its bar, and the constraints that caused it, if any did."""

    bar: int
    culprits: tuple[Constraint, ...]


def _find_cause(tokenizer: Tokenizer, chain: Chain, conditions: Sequence[Condition], row: BatchState) -> _DeadEnd:
    """Explain the dead end of one row."""
    context = build_context(tokenizer, row)
    given = context.allowed & _mask_fixed_notes(conditions, row)
    context = replace(context, allowed=given)
    constraints = list_firm(chain.constraints)
    masks = [(constraint.mask(context) & given)[0] for constraint in constraints]
    left = not masks or np.all(masks, axis=0).any()  # then a logits processor left nothing
    return _DeadEnd(
        get_bar_number(context.music, 0), () if left else tuple(constraints[n] for n in find_conflict(masks))
    )


def _draw_tokens(
    cloud: _ParticleSet,
    active: NDArray[np.bool_],
    step: Step,
    tokenizer: Tokenizer,
    chain: Chain,
    turns: Turns,
    draw: DrawParticles,
) -> None:
    """Draw one token for every particle at an `active` row; different draws make new rows."""
    writing, waiting = cloud.begun, None
    if not active.all():
        writing, waiting = cloud.begun.select(np.flatnonzero(active)), cloud.begun.select(np.flatnonzero(~active))
    logits, state = run_step(step, tokenizer, writing.rows)
    at = np.where(active, np.cumsum(active) - 1, len(writing.piece) + np.cumsum(~active) - 1)[cloud.row]
    drawing = np.flatnonzero(active[cloud.row])
    masked = _mask(tokenizer, chain, turns, cloud.conditions, writing.rows)
    report_bar(lambda: masked.context.music)
    kept, alive, forced = masked.kept, masked.alive, masked.forced
    drawn = draw(logits, masked.context, masked.legal, kept, ~alive, _draw_uniforms(cloud)[drawing], at[drawing])
    alive = alive if drawn.emptied is None else alive & (drawn.emptied < 0)
    weight = np.where(alive, drawn.share, -np.inf)
    _count_dead(cloud, tokenizer, chain, writing, (weight == -np.inf) & (writing.weight > -np.inf), at[drawing])
    size = logits.shape[1]
    children, first, place = np.unique(at[drawing] * size + drawn.tokens, return_index=True, return_inverse=True)
    parents, written = children // size, children % size
    costs = np.where(forced[parents, None], 0.0, drawn.nats[first])
    parting = replace(writing, rows=replace(writing.rows, state=state), weight=writing.weight + weight)
    if not np.array_equal(parents, np.arange(len(writing.piece))):
        parting = parting.select(parents)
    if chain.remembering:
        context = masked.context.restrict(kept)
        memory = chain.update_memory(select_rows(context, parents), written, costs, forced[parents])
        parting = replace(parting, rows=replace(parting.rows, memory=memory))
    after = parting.advance(tokenizer, written, costs)
    cloud.row = at - len(writing.piece) + len(children)  # waiting rows come after the children
    cloud.row[drawing] = place
    cloud.begun = after if waiting is None else join_hypotheses(after, waiting)


def _count_dead(
    cloud: _ParticleSet,
    tokenizer: Tokenizer,
    chain: Chain,
    writing: Hypotheses,
    dead: NDArray[np.bool_],
    at: Ints,
) -> None:
    """Count the particles, each `at` its row of `writing`, whose row is `dead` (R,), and keep the cause of one."""
    if not dead.any():
        return
    np.add.at(cloud.dead_ends, writing.piece, np.where(dead, np.bincount(at, minlength=len(dead)), 0))
    rows = np.flatnonzero(dead)
    for piece, first in zip(*np.unique(writing.piece[rows], return_index=True), strict=True):
        one = writing.rows.gather(rows[first : first + 1])
        cloud.dead[piece] = partial(_find_cause, tokenizer, chain, cloud.conditions, one)


def _draw_uniforms(cloud: _ParticleSet) -> Floats:
    """Return (K,) uniforms: in round r, particle i of n takes number r n + i of its piece's draws."""
    counts = [(condition.request, condition.particles) for condition in cloud.conditions]
    numbers = [
        np.zeros(n) if place >= ENDED else _draw_numbers(request, "draw", cloud.round * n, n)
        for (request, n), place in zip(counts, cloud.reached, strict=True)
    ]
    return np.concatenate(numbers)


@dataclass(frozen=True)
class _Masked:
    """The masks (R, V) of R rows."""

    context: Context  # with the mask of grammar and constraints
    legal: NDArray[np.bool_] | None  # that of the grammar alone, if there are constraints
    kept: NDArray[np.bool_]  # within the fixed notes; the grammar's where no token is left
    alive: NDArray[np.bool_]  # (R,) whether a token is left
    forced: NDArray[np.bool_]  # (R,) whether grammar and fixed notes leave one token alone


def _mask(
    tokenizer: Tokenizer, chain: Chain, turns: Turns, conditions: Sequence[Condition], rows: BatchState
) -> _Masked:
    """Mask the tokens of R rows by grammar, constraints and fixed notes."""
    plain = build_context(tokenizer, rows)
    legal = plain.allowed
    given = legal & _mask_fixed_notes(conditions, rows)
    forced = given.sum(axis=1) == 1
    context, _ = turns.constrain(rows, plain, within=given)
    if chain.constraints and forced.any():
        context = context.restrict(np.where(forced[:, None], legal, context.allowed))
    kept = context.allowed & given
    alive = kept.any(axis=1)
    if not alive.all():  # a particle at a dead end draws any legal token until it is compared
        kept = np.where(alive[:, None], kept, legal)
    return _Masked(context, legal if chain.constraints else None, kept, alive, forced)


def _mask_fixed_notes(conditions: Sequence[Condition], rows: BatchState) -> NDArray[np.bool_]:
    """Mask (R, V) the fixed notes, by the mask of each row's piece; pieces that share a mask are computed together."""
    of = {id(condition.mask): condition.mask for condition in conditions}
    keys = list(of)
    if len(keys) == 1:
        return np.asarray(of[keys[0]](rows.grammar))
    group_of = np.array([keys.index(id(condition.mask)) for condition in conditions])[rows.number]
    order = np.argsort(group_of, kind="stable")
    present, starts = np.unique(group_of[order], return_index=True)
    groups = np.split(order, starts[1:])
    found = [of[keys[which]](rows.grammar[group]) for which, group in zip(present, groups, strict=True)]
    masks = np.empty((len(order), found[0].shape[1]), dtype=bool)
    masks[order] = np.concatenate(found)
    return masks
