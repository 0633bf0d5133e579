"""Form: pieces in sections, such as AABA.

from composer.generation.composer import open_model
from composer.generation.form_spec import Form
from composer.generation.tasks import make
from composer.request import Request, SamplerSpec

tunes = open_model("tunes")
piece = make(tunes, [Form.of(Request(seed=7, bars=8), "AABA'")])[0]

Order of generation. The first section is the piece of the same request without a form. Then each new name follows, in
the order of the form, at its first position. The model reads all music before; known music right after the section is
fixed, so that the new section leads to it (`composer.generation.infilling`). A section without known music after it, or
one that is also the last of the form, is generated as the end of a piece. `A'` keeps the first half of `A` (of an odd
number of bars the larger part), and its second half is new. A section is retried if it is silent, or hardly differs
from another. The retry repeats no figure of the music before: a model that recalls would copy it again. It is also
retried if the piece so far copies more bars than the request allows, and more than before. Each section
draws from a stream of its own.

Lengths. With a pickup, every section begins with its own, in the bar before its first whole one: a section has `bars`
bars from there on, and longer notes are cut, also before a new section. Only the last section extends to the end of its
last bar, if it has notes there. All sections have the time signature and the key of the first.

Constraints hold for the new notes of every section. They count bars through the whole piece, as `chords` does: a
section has the chords of its first position. `ending` holds where a section is generated as the end of a piece, and so
at the end of the whole.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from operator import itemgetter
from typing import Any

from composer.errors import OF_ONE_PIECE, ComposerError, NothingAllowed, RequestWarning
from composer.generation import infilling
from composer.generation.degeneration import RETRIES
from composer.generation.form_spec import Form
from composer.generation.generator import BATCH_SIZE, Generator, PieceResult, Results, make_constraints, should_retry
from composer.generation.generator import generate_each as generate_requests
from composer.generation.infilling import ALWAYS, Fill
from composer.music.score import END, Score, Text, TimeSignature, compute_bars, parse_time_signature
from composer.music.sections import cut_section, join_sections
from composer.request import Request, SamplerSpec
from composer.sampling.feasibility import check_gaps
from composer.sampling.random_streams import draw_uniforms
from composer.tokens.yielding import list_firm
from composer.types import Piece, Span

ATTEMPTS = 8
"""Attempts at a section at most, if it is silent or hardly differs from another."""

ALIKE = 0.7
"""The share of the onsets of two sections, of one or both, from which on they hardly differ."""

NO_REPEAT = "no-repeat"
"""The constraint that keeps the retry of a section from figures of the music before."""

FIGURE = 6
"""Notes of such a figure."""

WINDOW = 1024
"""Notes before, at most, among which figures are found."""

FOLLOWING = 8
"""Bars of known music fixed after a new section, at least: with fewer, the countdown announces the end."""


def generate_each(generator: Generator, forms: Iterable[Form], *, redraws: int = RETRIES) -> Results:
    """Yield each piece with its index among the forms, or its error, when all pieces of its block are complete.

    A section at a dead end, or degenerate, is retried (see `generator.generate_each`). The provenance holds the request
    of the first section, and the attempts of the others. Warns with RequestWarning of a piece that copies too much
    after all retries.
    """
    waiting = iter(enumerate(forms))
    while block := dict(islice(waiting, BATCH_SIZE)):
        yield from _compose_block(generator, block, redraws)


def _compose_block(generator: Generator, forms: Mapping[int, Form], redraws: int) -> Results:
    drafts: dict[int, Draft] = {}
    found = _begin_drafts(generator, forms, redraws)
    while found:
        for n, draft in found.items():
            if isinstance(draft, ComposerError):
                yield n, draft
                drafts.pop(n, None)
            else:
                drafts[n] = draft
        names = {n: name for n, draft in drafts.items() if (name := _find_next_section(draft)) is not None}
        found = _add_sections(generator, {n: drafts[n] for n in names}, names, redraws)
    for n, draft in drafts.items():
        warn_of_copies(draft)
        yield n, join_draft(draft)


def check(generator: Generator, form: Form) -> None:
    """Refuse constraints that contradict each other in a later section. Raises BadOption."""
    names, metre = form.sections, parse_time_signature(form.request.time_signature or "4/4")
    ticks = form.bars * metre.bar_ticks
    again = [Span(n * ticks, (n + 1) * ticks) for n, name in enumerate(names) if name in names[:n]]
    request = replace(form.request, bars=len(names) * form.bars)
    check_gaps(generator.tokenizer, make_constraints(request), request, again, 0)


def _find_next_section(draft: Draft) -> str | None:
    return next((name for name in draft.form.sections if name not in draft.known), None)


def _begin_drafts(generator: Generator, forms: Mapping[int, Form], redraws: int) -> dict[int, Draft | ComposerError]:
    """Generate the first section of each form, in one time signature."""
    found: dict[int, Draft | ComposerError] = {}
    requests: dict[int, Request] = {}
    for n, form in forms.items():
        try:
            check(generator, form)
            requests[n] = form.request
        except OF_ONE_PIECE as error:
            found[n] = error
    for _ in range(ATTEMPTS + redraws):
        # The limit of copied bars is for the whole piece.
        alone = [replace(request, max_copied_bars=None) for request in requests.values()]
        drawn = generate_requests(generator, alone, redraws=redraws)
        made = dict(zip(requests, (piece for _, piece in sorted(drawn, key=itemgetter(0))), strict=True))
        found |= _make_drafts(generator, forms, made, redraws)
        again = {n: _plan_retry(found[n], redraws) for n in requests}
        requests = {n: request for n, request in again.items() if request is not None}
    silent = "the first section came out without a note; another seed may do better."
    return found | {n: NothingAllowed(silent) for n in requests}


def _make_drafts(
    generator: Generator, forms: Mapping[int, Form], made: Mapping[int, PieceResult], redraws: int
) -> dict[int, Draft | ComposerError]:
    return {
        n: one if isinstance(one, ComposerError) else _measure_copies(generator, begin_draft(forms[n], one), redraws)
        for n, one in made.items()
    }


def _plan_retry(draft: Draft | ComposerError, redraws: int) -> Request | None:
    """Return the request of a retry, if a first section changes its time signature, is silent, or copies too much."""
    if isinstance(draft, ComposerError):
        return None
    request, first = draft.form.request, draft.known[draft.form.sections[0]]
    if len({str(metre) for metre in first.time_signatures}) > 1:
        return replace(request, time_signature=str(first.time_signatures[0]))
    if list_onsets(first, draft.ticks) and not (request.attempt < redraws and is_copying(draft)):
        return None
    return replace(request, attempt=request.attempt + 1)


def _add_sections(
    generator: Generator, drafts: Mapping[int, Draft], names: Mapping[int, str], redraws: int
) -> dict[int, Draft | ComposerError]:
    """Add the section of that name to each draft; retry one that fails, is silent, or equals another."""
    found: dict[int, Draft | ComposerError] = {}
    left = {n: drafts[n].form.get_attempt(name) for n, name in names.items()}
    while left:
        gaps = {n: make_gap(drafts[n], names[n], attempt) for n, attempt in left.items()}
        made = dict(infilling.generate_each(generator, [gap.wanted for gap in gaps.values()], redraws=0))
        again = {}
        for place, (n, gap) in enumerate(gaps.items()):
            piece = made[place]
            if isinstance(piece, ComposerError):
                found[n] = piece
            else:
                found[n] = _measure_copies(generator, add_section(generator, drafts[n], names[n], gap, piece), redraws)
            if _should_retry(piece, found[n], drafts[n], names[n], left[n], redraws):
                again[n] = left[n] + 1
        left = again
    return found


def _should_retry(
    piece: PieceResult, draft: Draft | ComposerError, before: Draft, name: str, attempt: int, redraws: int
) -> bool:
    if should_retry(piece, attempt, redraws):
        return True
    if isinstance(draft, ComposerError):
        return False
    return (attempt < ATTEMPTS - 1 and is_unfit(draft, name)) or (
        attempt < redraws and is_copying(draft, before.copied)
    )


def _measure_copies(generator: Generator, draft: Draft, redraws: int) -> Draft:
    """Measure the copied bars of a draft, up to its first gap, if its request limits them."""
    if draft.form.request.max_copied_bars is None or not redraws:
        return draft
    from composer.originality.passages import compare

    written = takewhile(draft.known.__contains__, draft.form.sections)
    score = join_sections([draft.known[name] for name in written], draft.ticks)
    return replace(draft, copied=compare(score, generator.load_training_music()).copied_bars)


# --- a piece with some of its sections --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Draft:
    """A piece with some of its sections.

    Each is a score that begins with its pickup. Music beyond `ticks`, its length, is used only at the end of the piece.
    """

    form: Form
    ticks: int
    known: Mapping[str, Score]
    nats: Mapping[str, float]  # of all sections together
    made_by: Mapping[str, Any]
    loops: Mapping[str, str]  # the loops of degenerate sections, in words
    copied: float = 0.0  # bars of the longest passage shared with the training music, if the request limits it


def begin_draft(form: Form, piece: Piece) -> Draft:
    """Make a draft of a piece, its first section."""
    score = piece.score
    metre = (score.time_signatures or (TimeSignature(0, 4, 4),))[0]
    ticks = form.bars * metre.bar_ticks
    first = cut_section(score, 0, ticks + score.upbeat)
    request, name = Request.from_json(piece.provenance["request"]), form.sections[0]
    request = replace(request, max_copied_bars=form.request.max_copied_bars)
    loops = {name: piece.provenance["degenerate"]} if "degenerate" in piece.provenance else {}
    nats = piece.provenance["nats"]
    return Draft(replace(form, request=request), ticks, {name: first}, nats, piece.provenance, loops)


def is_unfit(draft: Draft, name: str) -> bool:
    """Tell whether a section is silent, or has the onsets of another; in forms that contrast, nearly all of them."""
    own = list_onsets(draft.known[name], draft.ticks)
    others = [list_onsets(other, draft.ticks) for key, other in draft.known.items() if key != name]
    if not own or not draft.form.contrasts:
        return not own or own in others
    head = _measure_head(draft) if name != name[0] else 0
    return any(_measure_likeness(own, other, head) > ALIKE for other in others)


def _measure_likeness(onsets: set[tuple[int, int, int]], others: set[tuple[int, int, int]], start: int) -> float:
    """Measure the share of common onsets, from a tick on, 1 for silence in both."""
    a, b = ({onset for onset in found if onset[1] >= start} for found in (onsets, others))
    return len(a & b) / len(a | b) if a | b else 1


def is_copying(draft: Draft, before: float = 0.0) -> bool:
    """Tell whether a draft copies more bars than its request allows, and more than `before`."""
    most = draft.form.request.max_copied_bars
    return most is not None and draft.copied > max(most, before)


def warn_of_copies(draft: Draft) -> None:
    """Warn with RequestWarning of a draft that copies more than its request allows, and is kept."""
    if is_copying(draft):
        request = draft.form.request
        found = f"has {draft.copied:.1f} bars copied after {count_retries(draft)} retries, and is kept."
        warnings.warn(f"piece {request.index} of seed {request.seed} {found}", RequestWarning, stacklevel=2)


def count_retries(draft: Draft) -> int:
    """Count the retries of all sections."""
    return draft.form.request.attempt + sum(attempt for _, attempt in draft.form.attempts)


def list_onsets(score: Score, ticks: int) -> set[tuple[int, int, int]]:
    """List (track, start, pitch) of the notes of a section."""
    return {
        (number, start, pitch)
        for number, track in enumerate(score.tracks)
        for start, _, pitch, _ in track.notes.tolist()
        if start < ticks
    }


def join_draft(draft: Draft) -> Piece:
    """Join the sections to the whole piece, with a marker at each."""
    sections = draft.form.sections
    score = join_sections([draft.known[name] for name in sections], draft.ticks)
    titles = draft.form.titles or sections
    markers = [Text(score.upbeat + n * draft.ticks, title) for n, title in enumerate(titles)]
    if len(compute_bars(score).signatures) - (score.upbeat > 0) < len(sections) * draft.form.bars:
        markers.append(Text(len(sections) * draft.ticks, END))  # the last bar is silent
    written = sum(len(list_onsets(one, draft.ticks)) for one in draft.known.values())
    made_by = {**draft.made_by, **draft.form.to_json(), "nats": dict(draft.nats), "written_notes": written}
    made_by |= {"redrawn": redrawn} if (redrawn := count_retries(draft)) else {}
    made_by |= {"degenerate": ", ".join(draft.loops.values())} if draft.loops else {}
    return Piece(replace(score, markers=tuple(markers)), made_by)


# --- a new section, as a gap in known music ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Gap:
    """A section to be generated: its fill, and the position of the section in that."""

    wanted: Fill
    start: int
    end: int


def make_gap(draft: Draft, name: str, draw: int) -> Gap:
    """Make the fill of a section, at its first position in the form."""
    form = draft.form
    place = form.sections.index(name)
    following = _find_following(draft, name, place)
    # The music in the gap is ignored: any section fills it; a variation takes the section that it varies, for its head.
    around = [draft.known[key] for key in (*form.sections[:place], name[0] if name != name[0] else form.sections[0])]
    around += [draft.known[key] for key in following]
    score = join_sections(around, draft.ticks)
    begins = (score.upbeat + n * draft.ticks for n in range(len(around)))
    score = replace(score, markers=tuple(Text(tick, mark) for tick, mark in zip(begins, form.sections, strict=False)))
    start, end = place * draft.ticks, (place + 1) * draft.ticks if following else ALWAYS
    head = _measure_head(draft) if name != name[0] else 0
    spans = [Span(0, start + head), *([Span(end, ALWAYS)] if following else [])]
    request = replace(
        form.request,
        seed=_draw_seed(form.request, name),
        attempt=draw,
        bars=len(around) * form.bars,
        time_signature=str(score.time_signatures[0]) if score.time_signatures else None,
        key=str(score.key_signatures[0].key) if score.key_signatures else None,
    )
    if form.contrasts and draw > 0:
        request = replace(request, samplers=(*request.samplers, _forbid_figures(draft)))
    # Even if nothing follows, particles may meet the dead ends of constraints; not of those that yield.
    constraints = make_constraints(request)
    particles = form.particles if following or (list_firm(constraints) if form.contrasts else constraints) else 1
    return Gap(Fill(request, score, tuple(spans), particles, form.look_ahead), start, end)


def add_section(generator: Generator, draft: Draft, name: str, gap: Gap, piece: Piece) -> Draft:
    """Add a generated section to a draft."""
    end = min(gap.end, gap.start + draft.ticks + piece.score.upbeat)
    written = cut_section(piece.score, gap.start, end, sustains=generator.tokenizer.token_info.sustains)
    form, attempt = draft.form, gap.wanted.request.attempt
    attempts = (*((n, a) for n, a in form.attempts if n != name), *([(name, attempt)] if attempt else []))
    own = {kind: value for kind, value in piece.provenance["nats"].items() if kind != "given"}
    nats = {kind: round(draft.nats.get(kind, 0) + own.get(kind, 0), 6) for kind in {**draft.nats, **own}}
    loops = {**draft.loops, name: piece.provenance["degenerate"]} if "degenerate" in piece.provenance else draft.loops
    known = {**draft.known, name: written}
    return replace(draft, form=replace(form, attempts=attempts), known=known, nats=nats, loops=loops)


def _forbid_figures(draft: Draft) -> SamplerSpec:
    """Forbid the figures of the music that is there, as far as other notes are left."""
    count = sum(draft.known[name].note_count for name in draft.form.sections if name in draft.known)
    return SamplerSpec(NO_REPEAT, {"n": FIGURE, "window": min(max(2 * count, FIGURE), WINDOW), "yields": True})


def _find_following(draft: Draft, name: str, place: int) -> tuple[str, ...]:
    """List the known sections right after one, as far as the look-ahead; none if the section ends the piece."""
    form = draft.form
    if name == form.sections[-1]:
        return ()
    after = form.sections[place + 1 :]
    known = next((n for n, other in enumerate(after) if other not in draft.known), len(after))
    heard = -(-max(form.look_ahead, FOLLOWING) // form.bars)
    return after[: min(known, heard)]


def _measure_head(draft: Draft) -> int:
    """Return the ticks of a section that its variations keep."""
    count = draft.form.bars
    return draft.ticks // count * (count - count // 2)


def _draw_seed(request: Request, name: str) -> int:
    """Return the seed of a section's own stream."""
    own = draw_uniforms(request.seed, request.index, request.attempt, 0, f"section {name}")
    return int(own[0] * 2**53)
