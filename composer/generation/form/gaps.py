"""A section to be written, as a gap in what is known of a piece; it writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from composer.generation.form.draft import Draft
from composer.generation.generator import Generator, make_samplers
from composer.generation.infilling import ALWAYS, Fill
from composer.music.sections import joined, section
from composer.request import Request
from composer.sampling.random_streams import uniforms
from composer.types import Constraint, Piece, Span

FOLLOWING = 8
"""Bars of known music after a new section that are given at least: sooner, models are told of a coming end."""


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
