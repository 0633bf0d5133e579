"""Pieces in sections, one section after the other; it knows scores and gaps in them, and no token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, takewhile
from typing import Any

from composer.errors import OF_ONE_PIECE, ComposerError, NothingAllowed
from composer.generation import generator, infilling
from composer.generation.degeneration import REDRAWS
from composer.generation.form.asked import Form
from composer.generation.form.draft import Draft, begun, copies, onsets, piece_of, unfit, warn_of_copies
from composer.generation.form.gaps import gap_of, with_section
from composer.generation.generator import BATCH, Generator, failed, make_samplers, whole
from composer.music.score import parse_time_signature
from composer.music.sections import joined
from composer.request import Request
from composer.sampling.feasibility import check_gaps
from composer.types import Constraint, Piece, Span

DRAWS = 8
"""How often a section is drawn at most, if it comes out silent or as another one."""


def compose(player: Generator, forms: Sequence[Form], *, redraws: int = REDRAWS) -> list[Piece]:
    """One piece for each form; their order and company change nothing in any of them.

    Raises CannotExpress, BadOption, NothingAllowed for the first piece that is found not to be made; `pieces` makes the
    others.
    """
    return whole(pieces(player, forms, redraws=redraws))


def pieces(
    player: Generator, forms: Iterable[Form], *, redraws: int = REDRAWS
) -> Iterator[tuple[int, Piece | ComposerError]]:
    """Each piece with its place among the forms, or why it cannot be made; a piece is made when all beside it are.

    A section that comes to a dead end or is degenerate is drawn anew (see `generation.pieces`); a piece carries the
    request of the first one that was kept, and the attempts of the others. Of one that copies too much after all
    redraws, RequestWarning tells.
    """
    waiting = iter(enumerate(forms))
    while block := dict(islice(waiting, BATCH)):
        yield from _composed(player, block, redraws)


def _composed(
    player: Generator, forms: Mapping[int, Form], redraws: int
) -> Iterator[tuple[int, Piece | ComposerError]]:
    drafts: dict[int, Draft] = {}
    found = _begun(player, forms, redraws)
    while found:
        for n, draft in found.items():
            if isinstance(draft, ComposerError):
                yield n, draft
                drafts.pop(n, None)
            else:
                drafts[n] = draft
        names = {n: name for n, draft in drafts.items() if (name := _next(draft)) is not None}
        found = _with_sections(player, {n: drafts[n] for n in names}, names, redraws)
    for n, draft in drafts.items():
        warn_of_copies(draft)
        yield n, piece_of(draft)


def check(player: Generator, form: Form) -> None:
    """Refuse, before the first section, constraints that contradict each other in a later one. Raises BadOption."""
    constraints = [sampler for sampler in make_samplers(form.request.samplers) if isinstance(sampler, Constraint)]
    names, metre = form.sections, parse_time_signature(form.request.time_signature or "4/4")
    ticks = form.bars * metre.bar_ticks
    again = [Span(n * ticks, (n + 1) * ticks) for n, name in enumerate(names) if name in names[:n]]
    check_gaps(player.tokenizer, constraints, replace(form.request, bars=len(names) * form.bars), again, 0)


def _next(draft: Draft) -> str | None:
    return next((name for name in draft.form.sections if name not in draft.known), None)


def _begun(player: Generator, forms: Mapping[int, Form], redraws: int) -> dict[int, Draft | ComposerError]:
    """The first section of each, in one time signature."""
    found: dict[int, Draft | ComposerError] = {}
    requests: dict[int, Request] = {}
    for n, form in forms.items():
        try:
            check(player, form)
            requests[n] = form.request
        except OF_ONE_PIECE as error:
            found[n] = error
    for _ in range(DRAWS + redraws):
        alone = [replace(request, max_copied_bars=None) for request in requests.values()]  # that is asked of the whole
        drawn = generator.pieces(player, alone, redraws=redraws)
        made = dict(zip(requests, (piece for _, piece in sorted(drawn, key=_place)), strict=True))
        found |= _drafts(player, forms, made, redraws)
        again = {n: _anew(found[n], redraws) for n in requests}
        requests = {n: request for n, request in again.items() if request is not None}
    silent = "the first section came out without a note; another seed may do better."
    return found | {n: NothingAllowed(silent) for n in requests}


def _place(pair: tuple[int, Any]) -> int:
    return pair[0]


def _drafts(
    player: Generator, forms: Mapping[int, Form], made: Mapping[int, Piece | ComposerError], redraws: int
) -> dict[int, Draft | ComposerError]:
    return {
        n: one if isinstance(one, ComposerError) else _compared(player, begun(forms[n], one), redraws)
        for n, one in made.items()
    }


def _anew(draft: Draft | ComposerError, redraws: int) -> Request | None:
    """What is asked for instead where a first section changes its metre, is silent, or copies too much."""
    if isinstance(draft, ComposerError):
        return None
    request, first = draft.form.request, draft.known[draft.form.sections[0]]
    if len({str(metre) for metre in first.time_signatures}) > 1:
        return replace(request, time_signature=str(first.time_signatures[0]))
    if onsets(first, draft.ticks) and not (request.attempt < redraws and copies(draft)):
        return None
    return replace(request, attempt=request.attempt + 1)


def _with_sections(
    player: Generator, drafts: Mapping[int, Draft], names: Mapping[int, str], redraws: int
) -> dict[int, Draft | ComposerError]:
    """Each draft with the section of that name; one that came to nothing, is silent or as another is drawn again."""
    found: dict[int, Draft | ComposerError] = {}
    left = {n: drafts[n].form.attempt_of(name) for n, name in names.items()}
    while left:
        gaps = {n: gap_of(drafts[n], names[n], attempt) for n, attempt in left.items()}
        made = dict(infilling.pieces(player, [gap.wanted for gap in gaps.values()], redraws=0))
        again = {}
        for place, (n, gap) in enumerate(gaps.items()):
            piece = made[place]
            if isinstance(piece, ComposerError):
                found[n] = piece
            else:
                found[n] = _compared(player, with_section(player, drafts[n], names[n], gap, piece), redraws)
            if _is_drawn_again(piece, found[n], drafts[n], names[n], left[n], redraws):
                again[n] = left[n] + 1
        left = again
    return found


def _is_drawn_again(
    piece: Piece | ComposerError, draft: Draft | ComposerError, before: Draft, name: str, attempt: int, redraws: int
) -> bool:
    if attempt < redraws and failed(piece):
        return True
    if isinstance(draft, ComposerError):
        return False
    return (attempt < DRAWS - 1 and unfit(draft, name)) or (attempt < redraws and copies(draft, before.copied))


def _compared(player: Generator, draft: Draft, redraws: int) -> Draft:
    """The draft with what it copies, as far as it goes on without a gap; unless nothing is drawn anew for that."""
    if draft.form.request.max_copied_bars is None or not redraws:
        return draft
    from composer.originality.passages import compare

    written = takewhile(draft.known.__contains__, draft.form.sections)
    score = joined([draft.known[name] for name in written], draft.ticks)
    return replace(draft, copied=compare(score, player.learnt()).copied_bars)
