"""Symbols on finished pieces: what the samplers of a request asked for, such as chords, where the notes are new."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from composer.errors import BadOption
from composer.generation.generator import make_samplers
from composer.generation.readings import PLAIN, Reading
from composer.music.score import Score, TimeSignature
from composer.music.stretches import Stretch, alternate, select_symbols
from composer.request import Request, SamplerSpec
from composer.types import Annotates, Piece, TokenInfo

if TYPE_CHECKING:
    from composer.generation.form_spec import Form


def annotate_piece(task: object, request: Request, piece: Piece) -> Piece:
    """Write what the samplers of a request ask for onto its piece, wherever the notes are new."""
    annotating = find_annotating(request.samplers)
    if not annotating:
        return piece
    from composer.generation.infilling import Fill

    score, reading = piece.score, task.reading if isinstance(task, Fill) else PLAIN
    for sampler in annotating:
        score = _annotate(sampler, score, reading)
    if score is piece.score:
        return piece
    stretches = list(_list_stretches(task, request, score))
    chords = tuple(select_symbols(stretches, piece.score.chords, score.chords))
    return replace(piece, score=replace(score, chords=chords))


def _annotate(sampler: Annotates, score: Score, reading: Reading) -> Score:
    """Let a sampler write onto a score as the model reads it."""
    read = reading.apply(score)
    written = sampler.annotate(read)
    if written is read:
        return score
    return written if reading.is_plain else replace(score, chords=reading.undo(written).chords)


def check_comp(token_info: TokenInfo, request: Request) -> None:
    """Raise BadOption unless there will be chords to play: asked for, or written by the model."""
    if not token_info.has_chords and not find_annotating(request.samplers):
        raise BadOption("--comp plays the chords that --chords asks for; give both.")


def find_annotating(specs: Sequence[SamplerSpec]) -> list[Annotates]:
    """Make those of some samplers that write onto pieces."""
    return [sampler for sampler in make_samplers(specs) if isinstance(sampler, Annotates)]


def _list_stretches(task: object, request: Request, score: Score) -> Iterator[Stretch]:
    """Yield the stretches of a piece in order: fixed ones keep their symbols, repeated sections repeat theirs."""
    from composer.generation.form_spec import Form
    from composer.generation.infilling import Fill

    if isinstance(task, Form):
        yield from _list_sections(task, score)
    elif isinstance(task, Fill):
        spans = sorted((span.start, span.end) for span in task.fixed if span.track is None)
        yield from alternate(spans)
    else:
        yield from alternate([(0, request.primer_ticks)] if request.primer_ticks else [])


def _list_sections(form: Form, score: Score) -> Iterator[Stretch]:
    """Yield the sections of a form, each with the symbols of its first position; a variation begins as its model."""
    metre = (score.time_signatures or (TimeSignature(0, 4, 4),))[0]
    ticks, head = form.bars * metre.bar_ticks, (form.bars - form.bars // 2) * metre.bar_ticks
    yield Stretch(0, score.upbeat, 0)
    for place, name in enumerate(form.sections):
        start = score.upbeat + place * ticks
        end = start + ticks
        first, model = (score.upbeat + form.sections.index(each) * ticks for each in (name, name[0]))
        if name != name[0]:
            yield Stretch(start, start + head, model)
            yield Stretch(start + head, end, first + head)
        else:
            yield Stretch(start, end, first)
