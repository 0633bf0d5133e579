"""New parts beside given ones: voices to a melody, a piano to a song.

A plan is a `Fill` of whole tracks: what is given is fixed in its track from beginning to end, and all other tracks of
the model are new. A tokenizer may place given music in a way of its own (`composer.types.PlacesGiven`).
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np

from composer.errors import BadOption, RequestWarning
from composer.generation.generator import Generator
from composer.generation.infilling import (
    ALWAYS,
    LOOK_AHEAD,
    PARTICLES,
    Fill,
    build_request,
    check_and_warn,
    choose_fill_samplers,
    quantise,
)
from composer.generation.primers import apply_request
from composer.generation.readings import PLAIN, Reading, choose_bars, choose_beats, find_grid, name_grid
from composer.music.parts import find_voice, select_melody, warn_of_range
from composer.music.score import Score, concatenate_notes
from composer.request import Request
from composer.tokens.conditions import split_conditions
from composer.types import PlacesGiven, Span

SLOWEST, FASTEST = 5.0, 1000.0
"""The bounds of a request's tempo."""


def plan_parts(
    generator: Generator,
    given: Score,
    request: Request,
    *,
    voice: str | None = None,
    particles: int = PARTICLES,
    look_ahead: int | None = LOOK_AHEAD,
    own_track: bool = True,
    track: str | None = None,
    transpose: int = 0,
    grid: int | None = None,
) -> Fill:
    """Make the fill that adds the model's other parts to a given one, which stays in the named part, or in the first.

    The piece has the length, pickup, time signature and key of what is given, and ends with it. Where it states none,
    it takes those of the request; a key stated nowhere is estimated. With `own_track`, it keeps its program, and its
    name if it has one; without, it takes those of the model's part. `track` chooses one of several tracks. The model
    reads it `transpose` semitones higher, and on a `grid` in ticks (None: if it is played, 0: never); what it writes is
    moved back. Raises BadOption for several tracks, a time signature or key unlike the stated one, a missing part, or a
    model with one part; CannotExpress. Warns with RequestWarning of music out of the part's range.
    """
    own, _ = split_conditions(generator.tokenizer)
    if track is not None or not isinstance(own, PlacesGiven):
        given = select_melody(given, track)
    given = _apply_stated(given, request, transpose)
    if isinstance(own, PlacesGiven):
        reading = _choose_own_bars(generator, given)
        placed, fixed = own.place_given(reading.apply(given))
        score = replace(placed, time_signatures=given.time_signatures, upbeat=given.upbeat)
        quantised = quantise(generator, placed)
    else:
        reading = _read_given(generator, given, transpose, grid)
        score, spans = _place_part(generator, given, reading, voice, own_track=own_track)
        quantised = quantise(generator, reading.apply(score))
        fixed = (*spans, Span(reading.hear(score, quantised).end, ALWAYS))
    request = replace(build_request(request, quantised), tempo=find_tempo(generator, score, reading))
    wanted = Fill(request, score, fixed, particles, look_ahead, reading)
    return check_and_warn(generator, choose_fill_samplers(generator, wanted, quantised, is_whole=True), quantised)


def plan_chords(
    generator: Generator,
    melody: Score,
    request: Request,
    *,
    particles: int = PARTICLES,
    look_ahead: int | None = LOOK_AHEAD,
    own_track: bool = True,
    track: str | None = None,
    transpose: int = 0,
    grid: int | None = None,
) -> Fill:
    """Make the fill that adds chord symbols to a melody, which stays.

    For the arguments, see `plan_parts`. Raises BadOption for music in several parts, a time signature or key unlike the
    melody's, or a model without chord symbols; CannotExpress. Warns with RequestWarning of symbols that are there,
    which are left out.
    """
    if not generator.tokenizer.token_info.has_chords:
        raise BadOption("this model writes no chord symbols; choose one that does by --model.")
    melody = _apply_stated(_drop_symbols(select_melody(melody, track)), request, transpose)
    reading = _read_given(generator, melody, transpose, grid)
    quantised = quantise(generator, reading.apply(melody))
    score = _place_track(melody, quantised, 0, own_track=own_track)
    spans = (Span(0, ALWAYS, 0), Span(reading.hear(score, quantised).end, ALWAYS))
    wanted = Fill(build_request(request, quantised), score, spans, particles, look_ahead, reading)
    return check_and_warn(generator, choose_fill_samplers(generator, wanted, quantised, is_whole=True), quantised)


def _apply_stated(given: Score, request: Request, transpose: int) -> Score:
    """Return given music with the time signature and the key of the request."""
    if request.time_signature is None and request.key is None and not transpose:
        return given
    return apply_request(given, request, "the melody")


def _place_track(given: Score, quantised: Score, place: int, *, own_track: bool) -> Score:
    """Return a score of the model's tracks, as `quantised` has them, with that of `given` at a place and others empty.

    With `own_track`, it keeps its program.
    """
    own, like = given.tracks[0], quantised.tracks[place]
    tracks = [replace(track, notes=own.notes[:0]) for track in quantised.tracks]
    tracks[place] = replace(own, name=own.name or like.name, program=own.program if own_track else like.program)
    times, keys = given.time_signatures or quantised.time_signatures, given.key_signatures or quantised.key_signatures
    return replace(given, tracks=tuple(tracks), time_signatures=times, key_signatures=keys)


def _drop_symbols(melody: Score) -> Score:
    """Return a melody without chord symbols. Warns with RequestWarning of any."""
    if not melody.chords:
        return melody
    count = f"{len(melody.chords)} chord symbols" if len(melody.chords) > 1 else "a chord symbol"
    text = f"the melody has {count} already; new ones take their place."
    warnings.warn(text, RequestWarning, stacklevel=3)
    return replace(melody, chords=())


def _choose_own_bars(generator: Generator, given: Score) -> Reading:
    """Choose the bars in which a tokenizer with a grid of its own reads given music: 2/2 and 2/4 as 4/4."""
    reading = choose_beats(given, generator.model.card.get("metres", {}))
    return reading if reading.stretch == 1 else PLAIN


def _read_given(generator: Generator, given: Score, transpose: int, grid: int | None) -> Reading:
    """Choose how the model reads given music. Warns with RequestWarning of a played melody."""
    found = find_grid(concatenate_notes([track.notes for track in given.tracks])) if grid is None else grid
    if grid is None and found:
        text = f"the melody is played freely: the model reads it in notes of {name_grid(found)}, and it stays as it is."
        warnings.warn(text, RequestWarning, stacklevel=3)
    return replace(choose_bars(given, generator.model.card.get("metres", {})), semitones=transpose, grid=found)


def find_tempo(generator: Generator, score: Score, reading: Reading) -> float | None:
    """Find the tempo that the model is to write in, in quarter notes as it reads them; None if it writes no tempos."""
    is_written = bool(np.any(generator.tokenizer.token_info.kind == "Tempo"))
    if not is_written or not score.tempos:
        return None
    return min(max(score.tempos[0].bpm * float(reading.stretch), SLOWEST), FASTEST)


def _place_part(
    generator: Generator, given: Score, reading: Reading, voice: str | None, *, own_track: bool
) -> tuple[Score, tuple[Span, ...]]:
    """Place the one track of `given` among the tracks of the model: a score of them all, and the span that is fixed.

    Raises BadOption.
    """
    [own], quantised = given.tracks, quantise(generator, reading.apply(given))
    if len(quantised.tracks) < 2 and len(generator.tokenizer.token_info.voices) > 1:
        return given, (Span(0, ALWAYS, 0),)  # tracks are added, by program
    if len(quantised.tracks) < 2:
        hint = "; `composer chords` writes chord symbols to it" if generator.tokenizer.token_info.has_chords else ""
        raise BadOption(f"this model does not write in several voices; it cannot write others to a melody{hint}.")
    if np.count_nonzero([len(track.notes) for track in quantised.tracks]) > 1:
        raise BadOption("a melody is a single line, and there are chords in it.")
    place = 0 if voice is None else find_voice(quantised, voice)
    warn_of_range(quantised.tracks[place].name, own, reading.semitones)
    return _place_track(given, quantised, place, own_track=own_track), (Span(0, ALWAYS, place),)
