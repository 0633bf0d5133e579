"""The sampling loop, the same for every model.

Each step computes the distributions of all rows (`composer.sampling.distribution`), and draws a token for each row with
its piece's own uniform. A piece at a dead end goes back some tokens (`composer.sampling.backtracking`); if that does
not help, this piece alone fails. When a piece ends, its row takes the next request at once.

A block of steps may be taken at once, on the device of a backend (`composer.sampling.blocks`) or in C
(`composer.sampling.compiled_blocks`); rows of pieces that end in it take the next requests after it. The pieces are the
same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from composer.errors import OF_ONE_PIECE, ComposerError, NothingAllowed
from composer.request import Request
from composer.sampling.backtracking import Backtracker
from composer.sampling.batch_state import BatchState, begin, build_context, concatenate, run_step
from composer.sampling.blocks import make_blocks, record_step
from composer.sampling.compiled_blocks import make_compiled_blocks
from composer.sampling.distribution import Chain
from composer.sampling.drawing import make_draw
from composer.sampling.feasibility import get_bar_number, name_sampler
from composer.sampling.random_streams import Streams
from composer.sampling.watching import EVERY, report_bar
from composer.tokens.vocabulary import EOS
from composer.types import Context, MusicalState, Sampler, Step, Tokenizer, Tokens

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

Source = Callable[[int], Sequence[Request]]
"""The next requests, at most as many as asked for; fewer if no more are ready. Pieces are numbered in this order."""


@dataclass(frozen=True)
class SampledPiece:
    """One piece in tokens, with those of the primer.

    `model_nats` is minus the log-probability of the drawn tokens under the model, within grammar and constraints.
    `chain_nats` is the same under the whole chain. `constraint_nats` is minus the log of the model's probability,
    within the grammar, of all tokens that the constraints admit, summed over the steps. Primers do not count.
    """

    tokens: Tokens
    model_nats: float
    chain_nats: float
    constraint_nats: float = 0.0
    dead_ends: int = 0  # how often the piece went back from one


@dataclass(frozen=True)
class DrawnStep:
    """One step of the loop: a token for each of the B running pieces."""

    number: Ints  # (B,) the piece, ascending
    index: Ints  # (B,) the token's index in the piece; smaller than before after backtracking
    token: Ints  # (B,)
    nats: NDArray[np.float64]  # (B, kinds) costs of the piece so far, by `composer.sampling.distribution.KINDS`
    dead_ends: Mapping[int, int]  # by piece, where there were any
    lost: Mapping[int, ComposerError]  # failed pieces and their errors; their tokens here mean nothing

    @cached_property
    def ended(self) -> Ints:
        """The rows of pieces that have ended."""
        return np.flatnonzero(self.token == EOS)


def make_source(requests: Iterable[Request]) -> Source:
    """Make a source of these requests, in order."""
    waiting = iter(requests)
    return lambda room: list(islice(waiting, room))


def sample(
    step: Step, tokenizer: Tokenizer, samplers: Sequence[Sampler], requests: Sequence[Request]
) -> list[SampledPiece]:
    """Sample one piece for each request, side by side; none depends on the others.

    Raises NothingAllowed if a piece cannot leave a dead end, BadOption for conditions that contradict each other.
    """
    found: dict[int, SampledPiece] = {}
    for number, made in sample_each(step, tokenizer, samplers, make_source(requests), len(requests)):
        if isinstance(made, ComposerError):
            raise made
        found[number] = made
    return [found[number] for number in range(len(requests))]


def sample_each(
    step: Step, tokenizer: Tokenizer, samplers: Sequence[Sampler], more: Source, most: int
) -> Iterator[tuple[int, SampledPiece | ComposerError]]:
    """Yield each piece with its number when it ends, or its error; at most `most` run side by side."""
    numbers, tokens = np.zeros(0, dtype=np.int64), np.zeros((0, 256), dtype=np.int64)
    places, room = np.arange(0), 0  # the rows, and for how many steps at least there is room in `tokens`
    for drawn in run_steps(step, tokenizer, samplers, more, most):
        if numbers is not drawn.number:  # the batch has changed
            going = tokens[np.isin(numbers, drawn.number)]
            begun = np.zeros((len(drawn.number) - len(going), tokens.shape[1]), dtype=np.int64)
            numbers, tokens = drawn.number, np.concatenate([going, begun])
            places = np.arange(len(numbers))
        if room <= 0 and (room := tokens.shape[1] - int(drawn.index.max(initial=0))) <= 0:
            room += tokens.shape[1]
            tokens = np.concatenate([tokens, np.zeros_like(tokens)], axis=1)
        tokens[places, drawn.index] = drawn.token
        room -= 1
        yield from drawn.lost.items()
        for row in drawn.ended.tolist():
            number, length = int(numbers[row]), int(drawn.index[row]) + 1
            if number not in drawn.lost:
                model, chain, constraints = drawn.nats[row].tolist()
                dead_ends = drawn.dead_ends.get(number, 0)
                yield number, SampledPiece(tokens[row, :length].copy(), model, chain, constraints, dead_ends)


def run_steps(
    step: Step, tokenizer: Tokenizer, samplers: Sequence[Sampler], more: Source, most: int = 1
) -> Iterator[DrawnStep]:
    """Run the loop until every piece has ended, and yield each step. Memory does not grow with a piece's length."""
    batch = _Batch(step, tokenizer, samplers)
    while True:
        lost = batch.begin(more(most - batch.size)) if batch.size < most else {}
        if not (batch.size or lost):
            return
        for drawn in batch.draw(lost):
            yield drawn
            batch.remove_finished(drawn)


class _Batch:
    """The batch of running pieces."""

    def __init__(self, step: Step, tokenizer: Tokenizer, samplers: Sequence[Sampler]) -> None:
        self._step, self._tokenizer, self._samplers = step, tokenizer, samplers
        self._chain, self._streams = Chain.build(samplers, tokenizer.token_info), Streams()
        self._draw = make_draw(self._chain.links)
        self._backtracker = Backtracker(tokenizer, self._chain.constraints) if self._chain.constraints else None
        self._blocks = make_blocks(step, tokenizer, self._chain) or make_compiled_blocks(
            step, tokenizer, self._chain, self._backtracker
        )
        self._rows: BatchState | None = None
        self._requests: dict[int, Request] = {}
        self._begun = 0

    @property
    def size(self) -> int:
        return len(self._requests)

    def begin(self, requests: Sequence[Request]) -> dict[int, ComposerError]:
        """Add pieces to the batch, and return the errors of those that cannot begin."""
        lost: dict[int, ComposerError] = {}
        self._keep_running()
        for request in requests:
            number, self._begun = self._begun, self._begun + 1
            try:
                rows = begin(self._tokenizer, self._samplers, [request], number)
                if self._backtracker is not None:
                    self._backtracker.begin(number, request)
            except OF_ONE_PIECE as error:
                lost[number] = error
                continue
            self._rows = rows if self._rows is None else concatenate(self._rows, rows)
            self._requests[number] = request
            self._streams.add([(request.seed, request.index, request.attempt)])
        return lost

    def draw(self, lost: dict[int, ComposerError]) -> Iterator[DrawnStep]:
        """Draw tokens for each piece: one, or a block of them where the backend takes many steps at once.

        Errors of single pieces are added to `lost`.
        """
        self._keep_running()
        rows = self._rows
        block = None if rows is None or self._blocks is None else self._blocks.run(rows, self._streams)
        if rows is None or block is None:
            yield _make_empty_step(lost) if rows is None else self._draw_one(rows, lost)
            return
        report_bar(lambda: build_context(self._tokenizer, rows).music, EVERY)
        self._rows, dead_ends = block.rows, self._backtracker.dead_ends if self._backtracker is not None else {}
        for number, (pieces, index, tokens, nats) in enumerate(block.list_steps()):
            yield DrawnStep(pieces, index, tokens, nats, dead_ends, {} if number else lost)

    def _draw_one(self, begun: BatchState, lost: dict[int, ComposerError]) -> DrawnStep:
        """Draw one token for each piece."""
        rows, context, legal, given = self._leave_dead_ends(begun, lost)
        report_bar(lambda: context.music)
        logits, state = run_step(self._step, self._tokenizer, rows)
        uniforms = self._streams.draw(rows.index)
        if self._backtracker is not None:
            uniforms = self._backtracker.replace_uniforms(rows, uniforms)
        drawn = self._draw(logits, context, legal, uniforms, given)
        if drawn.emptied is not None:
            self._report_emptied(rows, drawn.emptied, context.music, given, lost)
        if self._backtracker is not None:
            self._backtracker.remember(rows, drawn.tokens, given)
        stepped, dead_ends = record_step(self._chain, rows, context, state, drawn, given), {}
        if self._backtracker is None:
            self._rows = rows.advance(self._tokenizer, drawn.tokens, context.music, stepped)
        else:
            self._rows = self._backtracker.advance(rows, drawn.tokens, context.music, stepped)
            dead_ends = self._backtracker.dead_ends
        return DrawnStep(rows.number, rows.index, drawn.tokens, self._rows.nats, dead_ends, lost)

    def _leave_dead_ends(
        self, rows: BatchState, lost: dict[int, ComposerError]
    ) -> tuple[BatchState, Context, Mask | None, Ints]:
        """Take rows back from dead ends; return the rows, their context, the grammar's mask and the primers' tokens.

        Constraints do not apply to the primer. A failed piece takes any legal token for this step.
        """
        given = rows.get_primer_tokens()
        plain = context = build_context(self._tokenizer, rows)
        while self._backtracker is not None:
            context, is_dead = self._backtracker.constrain(rows, plain)
            stuck = np.flatnonzero(~context.allowed.any(axis=1) & (given < 0)) if is_dead else ()
            if not len(stuck):
                return rows, context, plain.allowed, given
            for row in map(int, stuck):
                try:
                    rows = self._backtracker.go_back(rows, row)
                except NothingAllowed as error:
                    lost[int(rows.number[row])] = error
                    given[row] = plain.allowed[row].argmax()
            plain = build_context(self._tokenizer, rows)
        return rows, context, None, given

    def _report_emptied(
        self, rows: BatchState, emptied: Ints, music: MusicalState, given: Ints, lost: dict[int, ComposerError]
    ) -> None:
        """Report pieces for which a logits processor leaves nothing; for this step, it is ignored there."""
        for row in np.flatnonzero((emptied >= 0) & (given < 0)).tolist():
            number, link = int(rows.number[row]), self._chain.links[emptied[row]]
            bar, name = get_bar_number(music, row), name_sampler(link, self._requests[number])
            lost[number] = NothingAllowed(
                f"in bar {bar} the sampler {name} leaves nothing that could be written; loosen it."
            )

    def remove_finished(self, drawn: DrawnStep) -> None:
        """Remove the pieces that have ended or failed."""
        if not (drawn.lost or len(drawn.ended)):
            return
        leaving = drawn.token == EOS
        if drawn.lost:
            leaving |= np.isin(drawn.number, list(drawn.lost))
        for number in drawn.number[leaving].tolist():
            del self._requests[number]
            if self._backtracker is not None:
                self._backtracker.end(number)

    def _keep_running(self) -> None:
        """Keep the rows of the pieces that still run: once before the next step, whenever the others have ended."""
        if self._rows is None or len(self._rows.number) == self.size:
            return
        going = np.flatnonzero(np.isin(self._rows.number, list(self._requests)))
        self._rows = self._rows.gather(going) if len(going) else None
        self._streams.keep(going)


def _make_empty_step(lost: Mapping[int, ComposerError]) -> DrawnStep:
    """Make a step without a piece."""
    none = np.zeros(0, dtype=np.int64)
    return DrawnStep(none, none, none, np.zeros((0, 0)), {}, lost)
