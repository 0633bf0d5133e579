"""Beam search: the likeliest piece that a bounded search finds, without chance.

For each piece the search keeps N beginnings, its beams. All their next tokens compete, and the N likeliest go on. The
likelihood is that of the whole chain, within grammar and constraints. One beam is greedy: it takes the likeliest
token. Ties go to the earlier beam, then to the lower token. A beam without an allowed token is dropped.

Beginnings that have reached unlike beats are not comparable: the shorter ones are likelier. So one that reaches a beat
waits for the others, and each beat keeps the N likeliest that reach it, as word-synchronous search does for parsers
(Stern, Fried and Klein, arXiv:1707.08976, 2017).

Pieces of a fixed number of bars are compared by their likelihood, and the search ends when no open beam can win. If the
model decides the length, the likeliest piece would be the shortest (Murray and Chiang, arXiv:1808.10006, 2018). So
these are compared by likelihood a token (as in Boulanger-Lewandowski et al., ISMIR 2013; Wu et al., arXiv:1609.08144,
2016), and the search ends when N have ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from composer.errors import OF_ONE_PIECE, ComposerError, NothingAllowed
from composer.request import Request
from composer.sampling.batch_state import (
    BatchState,
    begin,
    build_context,
    concatenate,
    run_step,
    select_rows,
)
from composer.sampling.distribution import Chain, Choice, check_sound, choose
from composer.sampling.feasibility import (
    ConditionKey,
    begin_sentence,
    check_request,
    find_conflict,
    get_bar_number,
    name_sampler,
)
from composer.sampling.hypotheses import ENDED, Hypotheses, begin_hypotheses, find_slowest, join_hypotheses
from composer.sampling.loop import SampledPiece, Source
from composer.sampling.turns import Turns
from composer.tokens.yielding import list_firm
from composer.types import Context, Sampler, Step, Tokenizer

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

Found = SampledPiece | ComposerError


def search_each(
    step: Step, tokenizer: Tokenizer, samplers: Sequence[Sampler], more: Source, most: int
) -> Iterator[tuple[int, Found]]:
    """Yield the likeliest piece for each request with its number, or its error; at most `most` are found side by side.

    The requests have a number of `beams`. No piece depends on the others. Its error is NothingAllowed if all beams meet
    a dead end, BadOption for conditions that contradict each other.
    """
    first = 0
    while requests := more(most):
        found = _Search(step, tokenizer, samplers, requests).run()
        yield from ((first + number, found[number]) for number in range(len(requests)))
        first += len(requests)


class _Search:
    """The search for some pieces side by side, numbered by their requests."""

    def __init__(
        self, step: Step, tokenizer: Tokenizer, samplers: Sequence[Sampler], requests: Sequence[Request]
    ) -> None:
        self._step, self._tokenizer, self._requests = step, tokenizer, requests
        self._chain = Chain.build(samplers, tokenizer.token_info)
        self._turns = Turns(tokenizer, self._chain.constraints)
        self._beams = np.array([request.beams or 1 for request in requests])
        self._found: dict[int, Found] = {}
        self._dead_ends = np.zeros(len(requests), dtype=np.int64)
        self._why: dict[int, str] = {}  # of the last dead end of each piece
        self._wished = np.ones((len(requests), len(tokenizer.vocabulary)), dtype=bool)
        self._open = self._begin(samplers)

    def _begin(self, samplers: Sequence[Sampler]) -> Hypotheses | None:
        rows: BatchState | None = None
        known: dict[ConditionKey, Mask] = {}
        for number, request in enumerate(self._requests):
            try:
                row = begin(self._tokenizer, samplers, [request], number)
                self._wished[number] = check_request(self._tokenizer, self._chain.constraints, request, known)
            except OF_ONE_PIECE as error:
                self._found[number] = error
                continue
            rows = row if rows is None else concatenate(rows, row)
        return None if rows is None else begin_hypotheses(self._tokenizer, rows)

    def run(self) -> dict[int, Found]:
        """Search until every piece is found or lost."""
        while self._open is not None:
            self._open = self._extend(self._open)
            self._open = self._settle(self._prune(self._open))
        return self._found

    def _extend(self, begun: Hypotheses) -> Hypotheses:
        """Extend the beams at the slowest beat of each piece by their likeliest tokens; the others wait."""
        active = begun.reached == find_slowest(begun, len(self._requests))[begun.piece]
        writing, waiting = begun.select(np.flatnonzero(active)), begun.select(np.flatnonzero(~active))
        logits, state = run_step(self._step, self._tokenizer, writing.rows)
        given = writing.rows.get_primer_tokens()
        plain = build_context(self._tokenizer, writing.rows)
        context, _ = self._turns.constrain(writing.rows, plain, self._wished[writing.piece])
        choice = choose(self._chain.links, logits, context, plain.allowed if self._chain.constraints else None)
        dead = ~context.allowed.any(axis=1) & (given < 0)
        check_sound(choice.model, dead | (given >= 0))
        if choice.emptied is not None:
            dead |= (choice.emptied >= 0) & (given < 0)
        self._report_dead(writing, context, choice, dead)
        parents, tokens = self._choose_tokens(writing, choice, given, dead)
        primed = given[parents] >= 0
        costs = np.where(primed[:, None], 0.0, choice.compute_costs(tokens, parents))
        memory = self._chain.update_memory(select_rows(context, parents), tokens, costs, primed)
        going = replace(writing, rows=replace(writing.rows, state=state)).select(parents)
        going = replace(going, rows=replace(going.rows, memory=memory), weight=going.weight - costs[:, 1])
        if not len(parents):
            return waiting
        after = going.advance(self._tokenizer, tokens, costs)
        return join_hypotheses(waiting, after) if len(waiting.piece) else after

    def _choose_tokens(self, writing: Hypotheses, choice: Choice, given: Ints, dead: Mask) -> tuple[Ints, Ints]:
        """Choose the beams that go on: (K,) their rows and (K,) their tokens, by piece and then the likeliest first."""
        with np.errstate(invalid="ignore"):  # -inf less -inf, at a dead end
            scores = writing.weight[:, None] + choice.chain.logits - choice.chain.log_mass[:, None]
        scores[dead | (given >= 0)] = -np.inf
        primed = np.flatnonzero(given >= 0)
        scores[primed, given[primed]] = writing.weight[primed]
        width = scores.shape[1]
        parents, tokens = [], []
        for piece in np.unique(writing.piece):
            rows = np.flatnonzero(writing.piece == piece)
            flat = scores[rows].ravel()
            best = np.argsort(-flat, kind="stable")[: self._beams[piece]]
            best = best[flat[best] > -np.inf]
            parents.append(rows[best // width])
            tokens.append(best % width)
        return np.concatenate(parents), np.concatenate(tokens)

    def _prune(self, begun: Hypotheses) -> Hypotheses:
        """Keep the N best of each beat of each piece, in their order."""
        order = np.lexsort((-self._compute_values(begun), begun.reached, begun.piece))
        where = np.stack([begun.piece, begun.reached], axis=1)[order]
        first = np.ones(len(order), dtype=bool)
        first[1:] = (where[1:] != where[:-1]).any(axis=1)
        rank = np.arange(len(order)) - np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
        return begun.select(np.sort(order[rank < self._beams[where[:, 0]]]))

    def _compute_values(self, begun: Hypotheses) -> Floats:
        """Compute (R,) by what beams are compared: log-likelihood, or that of a token for pieces that end by choice."""
        by_choice = np.array([request.bars is None for request in self._requests])
        primers = np.array([len(request.primer) for request in self._requests])
        count = np.maximum(begun.rows.index - primers[begun.piece], 1)
        mean = by_choice[begun.piece] & (begun.reached == ENDED)
        return np.where(mean, begun.weight / count, begun.weight)

    def _settle(self, begun: Hypotheses) -> Hypotheses | None:
        """Take out the pieces that are found, and those without a beam left."""
        values, ended = self._compute_values(begun), begun.reached == ENDED
        for number, request in enumerate(self._requests):
            if number in self._found:
                continue
            own = begun.piece == number
            done, going = np.flatnonzero(own & ended), np.flatnonzero(own & ~ended)
            if not own.any():
                self._found[number] = NothingAllowed(self._why[number])
            elif len(done) and self._is_found(request, values[done], begun.weight[going]):
                self._found[number] = self._make_piece(begun, int(done[values[done].argmax()]))
        going = np.flatnonzero(~np.isin(begun.piece, list(self._found)))
        return begun.select(going) if len(going) else None

    def _is_found(self, request: Request, ended: Floats, going: Floats) -> bool:
        """Tell whether no beam that goes on can win, or, if the length is open, whether enough have ended."""
        if request.bars is None:
            return len(ended) >= (request.beams or 1) or not len(going)
        return bool(ended.max() >= going.max(initial=-np.inf))

    def _make_piece(self, begun: Hypotheses, row: int) -> SampledPiece:
        model, chain, constraints = begun.rows.nats[row].tolist()
        dead_ends = int(self._dead_ends[begun.piece[row]])
        return SampledPiece(begun.get_tokens(row), model, chain, constraints, dead_ends)

    def _report_dead(self, writing: Hypotheses, context: Context, choice: Choice, dead: Mask) -> None:
        """Count the beams at a dead end, and keep what a piece would say if all were."""
        for row in np.flatnonzero(dead).tolist():
            number = int(writing.piece[row])
            self._dead_ends[number] += 1
            if not (writing.piece[~dead] == number).any():
                link = -1 if choice.emptied is None else int(choice.emptied[row])
                self._why[number] = self._explain(writing.rows.gather(np.array([row])), context, row, link)

    def _explain(self, one: BatchState, context: Context, row: int, link: int) -> str:
        """Name the bar, and the samplers that leave nothing."""
        request, bar = self._requests[int(one.number[0])], get_bar_number(context.music, row)
        if context.allowed[row].any():
            titles = [name_sampler(self._chain.links[link], request)]
        else:
            plain = build_context(self._tokenizer, one)
            firm = list_firm(self._chain.constraints)
            masks = [(constraint.mask(plain) & plain.allowed)[0] for constraint in firm]
            titles = [name_sampler(firm[n], request) for n in find_conflict(masks)]
        many = "the only beam" if request.beams == 1 else f"any of the {request.beams} beams"
        what = "one of them" if len(titles) > 1 else "it"
        text = f"in bar {bar} {begin_sentence(titles)} nothing that could be written on {many}"
        return f"{text}; loosen {what}, take more beams, or sample."
