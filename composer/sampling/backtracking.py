"""Retreat: pieces that have come to where nothing is allowed go back some tokens; it knows no music and no model.

Depth first: the last token is undone and not drawn there again, nor is any other after which nothing would be allowed;
where no other is left, the token before it is undone, and so on. Where that does not get beyond the time at which
it began (a time, since tokens could be added to one place for ever), more tokens are undone at once. What is written
anew is drawn with a stream of its own, so that a piece does not depend on its neighbours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from composer.errors import NothingAllowed
from composer.request import Request
from composer.sampling.batch_state import Rows, constrained, context_of
from composer.sampling.feasibility import Wish, check_wishes
from composer.sampling.naming import bar_of, culprits, leave, title
from composer.sampling.random_streams import BLOCK, uniforms
from composer.tokens.vocabulary import EOS
from composer.types import Constraint, Context, Tokenizer

Mask = NDArray[np.bool_]

FURTHEST = 128
"""Tokens that a piece can go back."""

PATIENCE = 16
"""After so many dead ends at no later time, twice as many tokens are undone at once."""

MOST = 8 * PATIENCE
"""Dead ends, none of them later in the music than those before, after which a piece is given up."""


@dataclass(frozen=True)
class _Step:
    """What was so before a token of a piece was drawn: its row of `rows`, the token, and those that were ruled out."""

    rows: Rows
    row: int
    token: int
    ruled_out: Mask | None


@dataclass
class _Trail:
    """The way of one piece."""

    request: Request
    wished: Mask  # (V,) the tokens that it may have at all
    steps: deque[_Step] = field(default_factory=lambda: deque(maxlen=FURTHEST))
    furthest: int = 0  # place up to which it has been drawn once
    anew: int = 0  # draws before that place
    dead_ends: int = 0
    latest: int = -1  # tick of these
    stuck: int = 0  # of these, since one was as late
    ruled_out: Mask | None = None  # at the place where it is
    why: str = ""  # it went back


class Retreat:
    """The ways of pieces that run side by side, as far back as they can be gone."""

    def __init__(self, tokenizer: Tokenizer, constraints: Sequence[Constraint]) -> None:
        """Of no piece yet."""
        self._tokenizer, self._constraints = tokenizer, constraints
        self._trails: dict[int, _Trail] = {}
        self._wishes: dict[Wish, Mask] = {}

    def begin(self, number: int, request: Request) -> None:
        """Follow one piece more. Raises BadOption for wishes that constraints contradict."""
        wished = check_wishes(self._tokenizer, self._constraints, request, self._wishes)
        self._trails[number] = _Trail(request, wished)

    def end(self, number: int) -> None:
        """Forget a piece."""
        del self._trails[number]

    @property
    def dead_ends(self) -> dict[int, int]:
        """How many each piece has met, where there were any."""
        return {number: trail.dead_ends for number, trail in self._trails.items() if trail.dead_ends}

    def constrained(self, rows: Rows, context: Context) -> Context:
        """The context, its mask cut by every constraint and by what was found to lead nowhere."""
        context = constrained(self._constraints, self._as_wished(rows, context))
        for row, number in enumerate(rows.number):
            if (ruled_out := self._trails[number].ruled_out) is not None:
                context.allowed[row] &= ~ruled_out
        return context

    def _as_wished(self, rows: Rows, context: Context) -> Context:
        wished = np.array([self._trails[number].wished for number in rows.number.tolist()])
        return replace(context, allowed=context.allowed & wished)

    def uniforms(self, rows: Rows, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        """(B,) the uniforms `drawn`, and others for pieces that write anew."""
        for row, (number, place) in enumerate(zip(rows.number, rows.place, strict=True)):
            trail = self._trails[number]
            if place < trail.furthest:
                request, (block, step) = trail.request, divmod(trail.anew, BLOCK)
                drawn[row] = uniforms(request.seed, request.index, request.attempt, block, "anew")[step]
                trail.anew += 1
        return drawn

    def remember(self, rows: Rows, tokens: NDArray[np.int64], given: NDArray[np.int64]) -> None:
        """One step was taken. What a primer gives is not gone back on, nor is the first token."""
        for row, (number, place) in enumerate(zip(rows.number, rows.place, strict=True)):
            trail = self._trails[number]
            if place > 0 and given[row] < 0:
                trail.steps.append(_Step(rows, row, int(tokens[row]), trail.ruled_out))
            trail.ruled_out = None
            trail.furthest = max(trail.furthest, int(place) + 1)

    def back(self, rows: Rows, row: int) -> Rows:
        """The rows, of which one has gone back from where nothing is allowed. Raises NothingAllowed."""
        number = int(rows.number[row])
        trail = self._trails[number]
        here = rows.gather(np.array([row]))
        context = self._as_wished(here, context_of(self._tokenizer, here))
        trail.why = self._why(context, trail.request) or trail.why
        if (tick := int(context.facts.tick[0])) > trail.latest:
            trail.latest, trail.stuck = tick, 0
        trail.stuck += 1
        trail.dead_ends += 1
        if not trail.steps or trail.stuck > MOST:
            raise NothingAllowed(trail.why)
        far = 1 if trail.stuck % PATIENCE else min(2 ** (trail.stuck // PATIENCE), len(trail.steps))
        for _ in range(far):
            step = trail.steps.pop()
        one = step.rows.gather(np.array([step.row]))
        trail.ruled_out = self._ruled_out(one, step) if far == 1 else step.ruled_out
        return rows.with_row(row, one)

    def _ruled_out(self, one: Rows, step: _Step) -> Mask:
        """(V,) at a step that was undone: its token, and all others after which nothing is allowed."""
        context = self.constrained(one, context_of(self._tokenizer, one))
        ruled_out = np.zeros_like(context.allowed[0]) if step.ruled_out is None else step.ruled_out.copy()
        ruled_out[step.token] = True
        others = np.flatnonzero(context.allowed[0] & ~ruled_out)
        many = one.gather(np.zeros(len(others), dtype=np.int64))
        many = many.after(self._tokenizer, others)
        following = constrained(self._constraints, context_of(self._tokenizer, many)).allowed
        ruled_out[others[~following.any(axis=1) & (others != EOS)]] = True
        return ruled_out

    def _why(self, context: Context, request: Request) -> str:
        """The sentence that names the constraints that leave nothing, and the bar; empty where something is left."""
        masks = [constraint.mask(context)[0] & context.allowed[0] for constraint in self._constraints]
        if np.all(masks, axis=0).any():
            return ""  # but that was found to lead nowhere
        titles = [title(self._constraints[number], request) for number in culprits(masks)]
        what = "one of them" if len(titles) > 1 else "it"
        return f"in bar {bar_of(context.facts, 0)} {leave(titles)} nothing that could be written; loosen {what}."
