"""Form: pieces in sections, such as AABA; it knows scores and gaps in them, and no token.

from composer.generation.form import compose
from composer.generation.form_spec import Form
from composer.generation.composer import open_model
from composer.request import Request

tunes = open_model("tunes")
piece = compose(tunes, [Form.of(Request(seed=7, bars=8), "AABA'")])[0]

How a form is written. The first section is the piece that its request gives without a form. Then comes each new name,
in the order of the form, at its first place: the model has heard all that stands before, and what follows there, if it
is known already, is given, so that the new section leads to it (`composer.generation.infilling`). A section that
nothing known follows, or that is also the last of the form, is written as the end of a piece. `A'` keeps the first half
of `A` (of an odd number of bars the larger part), and its second half is written anew. A section that came out silent
or as another one is drawn again, and so is one with which the piece, as far as it is written, copies more bars than the
request allows and more than it did before. Each section draws from a stream of its own.

Where a section ends. With an upbeat, every section begins with its own, in the bar before its first whole one: a
section is `bars` bars long from there on, and a note that would sound beyond is cut, before a new section as well. Only
the last section of a piece goes on to the end of its last bar, if it has something there. All have the time signature
and the key of the first.

Constraints hold for what is new in every section, and count bars through the piece, as `chords` does: a section is
written on the chords of its first place. `ending` holds where a section is written as the end of a piece, and so at the
end of the whole.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from typing import Any

from composer.errors import OF_ONE_PIECE, ComposerError, NothingAllowed, RequestWarning
from composer.generation import generator, infilling
from composer.generation.degeneration import REDRAWS
from composer.generation.form_spec import Form
from composer.generation.generator import BATCH, Generator, failed, make_samplers, whole
from composer.generation.infilling import ALWAYS, Fill
from composer.music.score import END, Score, Text, TimeSignature, bars, parse_time_signature
from composer.music.sections import joined, section
from composer.request import Request
from composer.sampling.feasibility import check_gaps
from composer.sampling.random_streams import uniforms
from composer.types import Constraint, Piece, Span

DRAWS = 8
"""How often a section is drawn at most, if it comes out silent or as another one."""

FOLLOWING = 8
"""Bars of known music after a new section that are given at least: sooner, models are told of a coming end."""


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


# --- a piece of which some sections are written -----------------------------------------------------------------------


@dataclass(frozen=True)
class Draft:
    """A piece of which some sections are written.

    Each is a score that begins with its upbeat; beyond `ticks`, its length, it may have what only an end has.
    """

    form: Form
    ticks: int
    known: Mapping[str, Score]
    nats: Mapping[str, float]  # of all sections together
    made_by: Mapping[str, Any]
    loops: Mapping[str, str]  # of the sections that are degenerate still, what comes again too often
    copied: float = 0.0  # bars of the longest passage that it shares with what the model learnt, if that is asked


def begun(form: Form, piece: Piece) -> Draft:
    """The draft of which a piece is the first section."""
    score = piece.score
    metre = (score.time_signatures or (TimeSignature(0, 4, 4),))[0]
    ticks = form.bars * metre.bar_ticks
    first = section(score, 0, ticks + score.upbeat)
    request, name = Request.from_json(piece.provenance["request"]), form.sections[0]
    request = replace(request, max_copied_bars=form.request.max_copied_bars)
    loops = {name: piece.provenance["degenerate"]} if "degenerate" in piece.provenance else {}
    nats = piece.provenance["nats"]
    return Draft(replace(form, request=request), ticks, {name: first}, nats, piece.provenance, loops)


def unfit(draft: Draft, name: str) -> bool:
    """Whether a section is silent, or strikes the same notes as another."""
    own = onsets(draft.known[name], draft.ticks)
    return not own or any(onsets(other, draft.ticks) == own for key, other in draft.known.items() if key != name)


def copies(draft: Draft, before: float = 0.0) -> bool:
    """Whether it copies more bars than its request allows, and than it did before."""
    most = draft.form.request.max_copied_bars
    return most is not None and draft.copied > max(most, before)


def warn_of_copies(draft: Draft) -> None:
    """Tell by RequestWarning that it is kept although it copies more than its request allows."""
    if copies(draft):
        request = draft.form.request
        found = f"has {draft.copied:.1f} bars copied after {times_redrawn(draft)} redraws, and is kept."
        warnings.warn(f"piece {request.index} of seed {request.seed} {found}", RequestWarning, stacklevel=2)


def times_redrawn(draft: Draft) -> int:
    """How often one of its sections was drawn anew."""
    return draft.form.request.attempt + sum(attempt for _, attempt in draft.form.attempts)


def onsets(score: Score, ticks: int) -> set[tuple[int, int, int]]:
    """(track, start, pitch) of the notes of a section."""
    return {
        (number, start, pitch)
        for number, track in enumerate(score.tracks)
        for start, _, pitch, _ in track.notes.tolist()
        if start < ticks
    }


def piece_of(draft: Draft) -> Piece:
    """The whole, with a marker at each section."""
    sections = draft.form.sections
    score = joined([draft.known[name] for name in sections], draft.ticks)
    markers = [Text(score.upbeat + n * draft.ticks, name) for n, name in enumerate(sections)]
    if len(bars(score).signatures) - (score.upbeat > 0) < len(sections) * draft.form.bars:
        markers.append(Text(len(sections) * draft.ticks, END))  # the last bar is silent
    written = sum(len(onsets(one, draft.ticks)) for one in draft.known.values())
    made_by = {**draft.made_by, **draft.form.to_json(), "nats": dict(draft.nats), "written_notes": written}
    made_by |= {"redrawn": redrawn} if (redrawn := times_redrawn(draft)) else {}
    made_by |= {"degenerate": ", ".join(draft.loops.values())} if draft.loops else {}
    return Piece(replace(score, markers=tuple(markers)), made_by)


# --- a section to be written, as a gap in what is known ---------------------------------------------------------------


@dataclass(frozen=True)
class Gap:
    """A section to be written: what is asked of the model, and where the section stands in that."""

    wanted: Fill
    start: int
    end: int


def gap_of(draft: Draft, name: str, draw: int) -> Gap:
    """What is asked of the model for a section, at its first place in the form."""
    form = draft.form
    place = form.sections.index(name)
    following = _following(draft, name, place)
    # What stands in the gap is not heard: any section fills it, and that which is varied gives its head.
    around = [draft.known[key] for key in (*form.sections[:place], name[0] if name != name[0] else form.sections[0])]
    around += [draft.known[key] for key in following]
    score = joined(around, draft.ticks)
    start, end = place * draft.ticks, (place + 1) * draft.ticks if following else ALWAYS
    head = _head(draft) if name != name[0] else 0
    spans = [Span(0, start + head), *([Span(end, ALWAYS)] if following else [])]
    request = replace(
        form.request,
        seed=_seed(form.request, name),
        attempt=draw,
        bars=len(around) * form.bars,
        time_signature=str(score.time_signatures[0]) if score.time_signatures else None,
        key=str(score.key_signatures[0].key) if score.key_signatures else None,
    )
    particles = form.particles if following or _constrained(request) else 1
    return Gap(Fill(request, score, tuple(spans), particles, form.look_ahead), start, end)


def with_section(player: Generator, draft: Draft, name: str, gap: Gap, piece: Piece) -> Draft:
    """The draft with the section that a piece brings in its gap."""
    end = min(gap.end, gap.start + draft.ticks + piece.score.upbeat)
    written = section(piece.score, gap.start, end, sustains=player.tokenizer.meaning.sustains)
    form, attempt = draft.form, gap.wanted.request.attempt
    attempts = (*((n, a) for n, a in form.attempts if n != name), *([(name, attempt)] if attempt else []))
    own = {kind: value for kind, value in piece.provenance["nats"].items() if kind != "given"}
    nats = {kind: round(draft.nats.get(kind, 0) + own.get(kind, 0), 6) for kind in {**draft.nats, **own}}
    loops = {**draft.loops, name: piece.provenance["degenerate"]} if "degenerate" in piece.provenance else draft.loops
    known = {**draft.known, name: written}
    return replace(draft, form=replace(form, attempts=attempts), known=known, nats=nats, loops=loops)


def _following(draft: Draft, name: str, place: int) -> tuple[str, ...]:
    """The known sections that follow at once, as far as they are heard; none where the section is to end the piece."""
    form = draft.form
    if name == form.sections[-1]:
        return ()
    after = form.sections[place + 1 :]
    known = next((n for n, other in enumerate(after) if other not in draft.known), len(after))
    heard = -(-max(form.look_ahead, FOLLOWING) // form.bars)
    return after[: min(known, heard)]


def _head(draft: Draft) -> int:
    """Ticks of a section that its variations keep."""
    count = draft.form.bars
    return draft.ticks // count * (count - count // 2)


def _seed(request: Request, name: str) -> int:
    """Of a section's own stream."""
    own = uniforms(request.seed, request.index, request.attempt, 0, f"section {name}")
    return int(own[0] * 2**53)


def _constrained(request: Request) -> bool:
    """Whether a beginning may come to where nothing is allowed: then several are needed, though nothing follows."""
    return any(isinstance(sampler, Constraint) for sampler in make_samplers(request.samplers))
