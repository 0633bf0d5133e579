"""Symbols on finished pieces: what the samplers of a request asked for, such as chords, where the notes are new."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from composer.errors import BadOption
from composer.generation.generator import make_samplers
from composer.generation.readings import PLAIN, Reading
from composer.music.score import ChordSymbol, Score, TimeSignature
from composer.request import Request, SamplerSpec
from composer.types import Annotates, Piece

if TYPE_CHECKING:
    from composer.generation.form_spec import Form

ALWAYS = 2**40
"""Later than the end of any piece."""


@dataclass(frozen=True)
class Stretch:
    """A stretch of a piece, and the symbols that it takes: those at `source` of the old or the new ones."""

    start: int
    end: int
    source: int
    is_new: bool = True


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
    chords = tuple(_select_symbols(stretches, piece.score.chords, score.chords))
    return replace(piece, score=replace(score, chords=chords))


def _annotate(sampler: Annotates, score: Score, reading: Reading) -> Score:
    """Let a sampler write onto a score as the model reads it."""
    read = reading.apply(score)
    written = sampler.annotate(read)
    if written is read:
        return score
    return written if reading.is_plain else replace(score, chords=reading.undo(written).chords)


def check_comp(request: Request) -> None:
    """Raise BadOption unless there will be chords to play."""
    if not find_annotating(request.samplers):
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
        yield from _alternate(spans)
    else:
        yield from _alternate([(0, request.primer_ticks)] if request.primer_ticks else [])


def _alternate(spans: Sequence[tuple[int, int]]) -> Iterator[Stretch]:
    """Yield fixed spans, and what is new between them."""
    place = 0
    for start, end in spans:
        if place < start:
            yield Stretch(place, start, place)
        if place < end:
            yield Stretch(max(place, start), end, max(place, start), is_new=False)
        place = max(place, end)
    if place < ALWAYS:
        yield Stretch(place, ALWAYS, place)


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


def _select_symbols(
    stretches: Sequence[Stretch], old: Sequence[ChordSymbol], new: Sequence[ChordSymbol]
) -> Iterator[ChordSymbol]:
    """Yield the symbols of all stretches; the one in force at the beginning of a stretch is stated there."""
    last = ""
    for one in stretches:
        symbols = new if one.is_new else old
        before = [symbol.text for symbol in symbols if symbol.tick <= one.source]
        inside = [symbol for symbol in symbols if one.source < symbol.tick < one.source + one.end - one.start]
        begins = any(symbol.tick == one.source for symbol in symbols)
        if before and (begins or before[-1] != last):
            yield ChordSymbol(one.start, before[-1])
        yield from (replace(symbol, tick=symbol.tick - one.source + one.start) for symbol in inside)
        last = inside[-1].text if inside else before[-1] if before else last
