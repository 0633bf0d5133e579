"""Backtracking: pieces at a dead end go back some tokens.

The search goes depth first. It undoes the last token and excludes it there, with all tokens that lead to a dead end at
once. If no other token is left, it undoes the token before, and so on. After several dead ends at no later time, it
undoes more tokens at once; time counts, since one position can take any number of tokens. Tokens after a return are
drawn from a stream of their own, so that a piece does not depend on its neighbours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from composer.errors import NothingAllowed
from composer.request import Request
from composer.sampling.batch_state import BatchState, Stepped, build_context
from composer.sampling.feasibility import (
    ConditionKey,
    begin_sentence,
    check_request,
    find_conflict,
    get_bar_number,
    name_sampler,
)
from composer.sampling.memory import list_memoryless
from composer.sampling.random_streams import BLOCK, draw_uniforms
from composer.sampling.turns import Turns
from composer.tokens.jit import CompiledConstraints, Turn
from composer.tokens.vocabulary import EOS
from composer.tokens.yielding import list_firm
from composer.types import Constraint, Context, MusicalState, Tokenizer

Mask = NDArray[np.bool_]

MOST_TOKENS = 128
"""Tokens that a piece can go back at most."""

PATIENCE = 16
"""Dead ends at no later time after which twice as many tokens are undone at once."""

MOST_DEAD_ENDS = 8 * PATIENCE
"""Dead ends at no later time after which a piece fails."""


class _Step(NamedTuple):
    """One step of a batch: its rows before the draw, and for each row the token drawn and whether it was given."""

    number: NDArray[np.int64]
    get_rows: Callable[[], BatchState]
    tokens: NDArray[np.int64]
    given: Mask

    def find_row(self, number: int) -> int:
        """Find the row of a piece."""
        return int(np.searchsorted(self.number, number))


class _Block(Protocol):
    """Steps taken in C (`composer.sampling.compiled_blocks`): tokens (N, B), the rows before each, and those after."""

    @property
    def tokens(self) -> NDArray[np.int64]: ...

    @property
    def rows(self) -> BatchState: ...

    def get_rows(self, step: int) -> BatchState: ...


@dataclass
class _Trail:
    """The last steps of one piece, and its dead ends."""

    request: Request
    wished: Mask  # (V,) the tokens allowed for this request
    seen: int  # steps of the batch that `steps` is up to date with
    steps: deque[tuple[_Step, Mask | None]] = field(default_factory=lambda: deque(maxlen=MOST_TOKENS))  # and excluded
    furthest: int = 0  # greatest number of tokens at a dead end
    retried: int = 0  # draws after returns
    dead_ends: int = 0
    latest: int = -1  # tick of the latest dead end
    stuck: int = 0  # dead ends since the latest one
    why: deque[Context] = field(default_factory=lambda: deque(maxlen=4))  # of the last dead ends of constraints


class Backtracker:
    """The last steps of all pieces in the batch, for going back.

    Steps are kept for the whole batch. What concerns a single piece is done only for one that has gone back.
    """

    def __init__(self, tokenizer: Tokenizer, constraints: Sequence[Constraint]) -> None:
        """Begin without a piece."""
        self._tokenizer, self._constraints = tokenizer, constraints
        self._turns, self._ahead = (Turns(tokenizer, of) for of in (constraints, list_memoryless(constraints)))
        self._trails: dict[int, _Trail] = {}
        self._wishes: dict[ConditionKey, Mask] = {}
        self._recent: deque[_Step] = deque(maxlen=MOST_TOKENS)
        self._count = 0  # steps of the batch so far
        self._ruled_out: dict[int, Mask] = {}  # (V,) the tokens excluded at the current step, by piece
        self._behind: set[int] = set()  # pieces that have gone back, and are not yet where they were
        self._wished: tuple[NDArray[np.int64], Mask] | None = None  # the pieces of the last rows, and their masks

    def begin(self, number: int, request: Request) -> None:
        """Track another piece. Raises BadOption for conditions that contradict the constraints."""
        wished = check_request(self._tokenizer, self._constraints, request, self._wishes)
        self._trails[number] = _Trail(request, wished, self._count)

    def end(self, number: int) -> None:
        """Forget a piece."""
        del self._trails[number]
        self._behind.discard(number)
        self._ruled_out.pop(number, None)

    @property
    def dead_ends(self) -> dict[int, int]:
        """Number of dead ends of each piece that met any."""
        return {number: trail.dead_ends for number, trail in self._trails.items() if trail.dead_ends}

    def constrain(self, rows: BatchState, context: Context) -> tuple[Context, bool]:
        """Mask the context by all constraints, and by the tokens excluded after dead ends.

        Also tell whether a row has no token left.
        """
        context, is_dead = self._turns.constrain(rows, context, self._get_wished(rows))
        if not self._ruled_out:
            return context, is_dead
        context = context.restrict(context.allowed.copy())
        for number, ruled_out in self._ruled_out.items():
            context.allowed[rows.number == number] &= ~ruled_out
        return context, not context.allowed.any(axis=1).all()

    def advance(self, rows: BatchState, tokens: NDArray[np.int64], music: MusicalState, stepped: Stepped) -> BatchState:
        """Advance all rows by `tokens` (B,), with their musical state before these."""
        return self._turns.advance(rows, tokens, music, self._get_wished(rows), stepped)

    def _get_wished(self, rows: BatchState) -> Mask:
        """Return (B, V) the tokens allowed for the request of each row."""
        if self._wished is None or self._wished[0] is not rows.number:
            wished = np.array([self._trails[number].wished for number in rows.number.tolist()])
            self._wished = rows.number, wished
        return self._wished[1]

    def replace_uniforms(self, rows: BatchState, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (B,) the uniforms `drawn`, replaced by numbers of another stream for pieces that have gone back."""
        for number in tuple(self._behind):
            row, trail = int(np.searchsorted(rows.number, number)), self._trails[number]
            if rows.index[row] >= trail.furthest:
                self._behind.discard(number)
                continue
            request, (block, step) = trail.request, divmod(trail.retried, BLOCK)
            drawn[row] = draw_uniforms(request.seed, request.index, request.attempt, block, "anew")[step]
            trail.retried += 1
        return drawn

    def remember(self, rows: BatchState, tokens: NDArray[np.int64], given: NDArray[np.int64]) -> None:
        """Record one step."""
        step = _Step(rows.number, lambda: rows, tokens, given >= 0)
        for number, ruled_out in self._ruled_out.items():
            self._catch_up(number)
            self._add(number, step, ruled_out)
            self._trails[number].seen += 1
        self._ruled_out.clear()
        self._recent.append(step)
        self._count += 1

    def begin_block(self, rows: BatchState) -> tuple[CompiledConstraints, Mask, Mask] | None:
        """Return the constraints in C, what they allow (B, V) now, and what the requests allow; for steps in C.

        None where steps have to be taken one by one: constraints that are not compiled, and pieces that have gone back.
        """
        compiled = self._turns.get_compiled(rows)
        if compiled is None or self._ruled_out or self._behind:
            return None
        context, is_dead = self.constrain(rows, build_context(self._tokenizer, rows))
        return None if is_dead else (compiled, context.allowed, self._get_wished(rows))

    def remember_block(self, block: _Block, given: Mask, turn: Turn) -> None:
        """Record the steps of a block; `given` (N, B) are tokens of primers, and `turn` is what the last step made."""
        for step, tokens in enumerate(block.tokens):
            self._recent.append(_Step(block.rows.number, partial(block.get_rows, step), tokens, given[step]))
        self._count += len(block.tokens)
        self._turns.remember(block.rows, self._get_wished(block.rows), turn)

    def _catch_up(self, number: int) -> None:
        """Add the steps of the batch that the trail of a piece lacks; none of them excludes tokens."""
        trail = self._trails[number]
        missing = min(self._count - trail.seen, len(self._recent))
        for step in list(self._recent)[len(self._recent) - missing :]:
            self._add(number, step, None)
        trail.seen = self._count

    def _add(self, number: int, step: _Step, ruled_out: Mask | None) -> None:
        """Add a step to a trail. Pieces never go back before the first token, nor on tokens of a primer."""
        row = step.find_row(number)
        if not step.given[row] and step.get_rows().index[row] > 0:
            self._trails[number].steps.append((step, ruled_out))

    def go_back(self, rows: BatchState, row: int) -> BatchState:
        """Take one row back from its dead end, and return all rows. Raises NothingAllowed."""
        number = int(rows.number[row])
        self._catch_up(number)
        trail = self._trails[number]
        trail.furthest = max(trail.furthest, int(rows.index[row]))
        self._behind.add(number)
        here = rows.gather(np.array([row]))
        context = build_context(self._tokenizer, here)
        context = context.restrict(context.allowed & trail.wished)
        if self._turns.constrain(here, context)[1]:
            trail.why.append(context)
        if (tick := int(context.music.tick[0])) > trail.latest:
            trail.latest, trail.stuck = tick, 0
        trail.stuck += 1
        trail.dead_ends += 1
        if not trail.steps or trail.stuck > MOST_DEAD_ENDS:
            told = (self._explain(one, trail.request) for one in reversed(trail.why))
            raise NothingAllowed(next(filter(None, told), ""))
        far = 1 if trail.stuck % PATIENCE else min(2 ** (trail.stuck // PATIENCE), len(trail.steps))
        for _ in range(far):
            step, before = trail.steps.pop()
        undone = step.find_row(number)
        one = step.get_rows().gather(np.array([undone]))
        excluded = self._mask_excluded(one, int(step.tokens[undone]), before) if far == 1 else before
        self._ruled_out.pop(number, None)
        if excluded is not None:
            self._ruled_out[number] = excluded
        return rows.replace_row(row, one)

    def _mask_excluded(self, one: BatchState, token: int, before: Mask | None) -> Mask:
        """Mask (V,) an undone token, those excluded before it, and all others that lead to a dead end at once.

        Constraints with memory do not count here: theirs is known only for the token that was drawn.
        """
        context, _ = self.constrain(one, build_context(self._tokenizer, one))
        ruled_out = np.zeros_like(context.allowed[0]) if before is None else before.copy()
        ruled_out[token] = True
        others = np.flatnonzero(context.allowed[0] & ~ruled_out)
        many = one.gather(np.zeros(len(others), dtype=np.int64))
        many = many.advance(self._tokenizer, others)
        following = self._ahead.constrain(many, build_context(self._tokenizer, many))[0].allowed
        ruled_out[others[~following.any(axis=1) & (others != EOS)]] = True
        return ruled_out

    def _explain(self, context: Context, request: Request) -> str:
        """Name the bar and the constraints that together allow nothing; empty if they still allow something."""
        constraints = list_firm(self._constraints)
        masks = [constraint.mask(context)[0] & context.allowed[0] for constraint in constraints]
        if not masks or np.all(masks, axis=0).any():
            return ""  # the tokens left are excluded after dead ends
        titles = [name_sampler(constraints[number], request) for number in find_conflict(masks)]
        what = "one of them" if len(titles) > 1 else "it"
        where = f"in bar {get_bar_number(context.music, 0)}"
        return f"{where} {begin_sentence(titles)} nothing that could be written; loosen {what}."
