"""Infilling: new music around fixed notes.

from composer.generation import infilling, tasks
from composer.generation.composer import open_model
from composer.request import Request

chorales = open_model("chorales")
wanted = infilling.gap(chorales, score, Request(seed=7), bars=(5, 8))
piece = tasks.make(chorales, [wanted])[0]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.errors import OF_ONE_PIECE, BadOption, CannotExpress, NothingAllowed, printable
from composer.generation.defaults import choose_samplers
from composer.generation.degeneration import RETRIES, describe_loops
from composer.generation.finishing import check_fixed
from composer.generation.generator import (
    Generator,
    PieceResult,
    Results,
    build_provenance,
    group_alike,
    judge,
    make_constraints,
    make_samplers,
    round_nats,
    should_retry,
)
from composer.generation.readings import PLAIN, Reading, choose_bars
from composer.music.merging import LATEST, check_start, is_fixed, splice
from composer.music.parts import find_voice, warn_of_symbols
from composer.music.score import NOTE, Bars, Score, Track, compute_bars, make_labels
from composer.music.score_json import score_from_json, score_to_json
from composer.request import Request
from composer.sampling.feasibility import check_gaps
from composer.sampling.kept import warn_of_fixed_notes
from composer.sampling.random_streams import BLOCK, draw_uniforms
from composer.sampling.smc import Condition, ConditionedPiece, sample_conditioned
from composer.tokens.conditions import split_conditions
from composer.types import CHORDS, Annotates, Humanizes, Occasion, Piece, Span

PARTICLES = 64
"""Particles of a piece by default."""

LOOK_AHEAD = 2
"""Bars after a gap whose fixed notes guide it, by default."""

ROWS = 1024
"""Particles side by side, at most."""

ALWAYS = LATEST
"""The end of a span that goes on to the end of the piece."""


@dataclass(frozen=True)
class Fill:
    """The request for one piece around fixed notes. With the model, it determines the piece.

    `given` are the fixed spans of `score`, by tracks of the model's tokenizer; everything else is new. With a
    `strength` no note is, and loudness and timing are (`humanizing.py`). Raises BadOption for a value that no model
    could follow.
    """

    request: Request
    score: Score
    fixed: tuple[Span, ...]
    particles: int = PARTICLES
    look_ahead: int | None = LOOK_AHEAD  # bars after a gap; None: to the end of the piece
    reading: Reading = PLAIN  # how the model reads the score
    strength: float | None = None  # from 0, notes as they are on the grid, to 1, as the model plays them

    @property
    def read_spans(self) -> tuple[Span, ...]:
        """The fixed spans as the model reads them."""
        return self.reading.apply_to_spans(self.fixed)

    def __post_init__(self) -> None:
        """Check every value by itself."""
        if self.request.beams is not None:
            raise BadOption(
                "beams write new music, or continue a primer; around fixed notes and in forms there are particles."
            )
        if not (isinstance(self.particles, int) and 1 <= self.particles <= 100_000):
            raise BadOption(f"'particles' is {printable(str(self.particles))}, and must be from 1 to 100,000.")
        ahead = self.look_ahead
        if not (ahead is None or (isinstance(ahead, int) and 0 <= ahead <= 1_000_000)):
            raise BadOption(f"'look_ahead' is {printable(str(ahead))}, and must be from 0 to 1,000,000 bars.")
        if not (self.strength is None or 0 <= self.strength <= 1):
            raise BadOption(f"'strength' is {self.strength}, and must be from 0 to 1.")

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as in the provenance of a file: `request` and `given`."""
        spans = [[span.start, span.end, span.track] for span in self.fixed]
        score = score_to_json(self.score)
        given = {"score": score, "spans": spans, "particles": self.particles, "look_ahead": self.look_ahead}
        reading = {} if self.reading.is_plain else {"reading": self.reading.to_json()}
        strength = {} if self.strength is None else {"strength": self.strength}
        return {"request": self.request.to_json(), "given": {**given, **reading, **strength}}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Fill:
        """Make a fill from the result of `to_json`. Raises BadOption for anything else."""
        try:
            request, given = Request.from_json(values["request"]), values["given"]
            spans = tuple(Span(int(a), int(b), None if t is None else int(t)) for a, b, t in given["spans"])
            score = score_from_json(given["score"])
            reading = Reading.from_json(given.get("reading", {}))
            strength = None if given.get("strength") is None else float(given["strength"])
            return Fill(request, score, spans, given["particles"], given["look_ahead"], reading, strength)
        except (TypeError, KeyError, ValueError, AttributeError, OverflowError) as error:
            raise BadOption(f"invalid fixed notes: {printable(str(error))}.") from None


# --- making -----------------------------------------------------------------------------------------------------------


def generate_each(generator: Generator, fills: Iterable[Fill], *, redraws: int = RETRIES) -> Results:
    """Yield each piece with its index among the fills, or its error; retries as in `generator.generate_each`.

    Fixed notes stay as in the score, to the tick. A note that begins before a gap keeps its onset. Its end in the gap
    is up to the model, if the tokenizer writes onsets and releases (`voices`). It stays, if the tokenizer writes
    durations (`remi`); where these are too short for it, a note of a single line ends where a new one begins. With
    `voices`, a note sustained across the end of a gap is re-articulated there, unless the new music sustains it
    already. Repetitions of fixed notes are not degenerate.
    """
    waiting: dict[int, _ResolvedFill] = {}
    for number, wanted in enumerate(fills):
        try:
            waiting[number] = _prepare(generator, wanted)
        except OF_ONE_PIECE as error:
            yield number, error
    while waiting:
        again = {}
        for numbers in _split_batches(waiting):
            for number, made in zip(numbers, _fill_together(generator, [waiting[n] for n in numbers]), strict=True):
                attempt = waiting[number].request.attempt
                if should_retry(made, attempt, redraws):
                    again[number] = waiting[number].set_attempt(attempt + 1)
                else:
                    yield number, made
        waiting = again


@dataclass(frozen=True)
class _ResolvedFill:
    """A fill with a resolved request, and its score as the model encodes it."""

    wanted: Fill
    quantised: Score

    @property
    def request(self) -> Request:
        return self.wanted.request

    def set_attempt(self, attempt: int) -> _ResolvedFill:
        return replace(self, wanted=replace(self.wanted, request=replace(self.request, attempt=attempt)))


def _prepare(generator: Generator, wanted: Fill) -> _ResolvedFill:
    """Resolve and check a fill. Raises BadOption, CannotExpress."""
    quantised = quantise(generator, wanted.reading.apply(wanted.score))
    resolved = _ResolvedFill(replace(wanted, request=generator.resolve(wanted.request)), quantised)
    generator.tokenizer.grammar.start(resolved.request, 1)
    _check(generator, resolved.wanted, resolved.quantised)
    return resolved


def _fill_together(generator: Generator, together: Sequence[_ResolvedFill]) -> list[PieceResult]:
    """Generate a piece for each fill, all of one chain and backend."""
    conditions = [_make_condition(generator, one.wanted, one.quantised) for one in together]
    first = together[0].request
    results = sample_conditioned(
        generator.get_step(first), generator.writing, make_samplers(first.samplers), conditions
    )
    pairs = zip(together, results, strict=True)
    return [
        r if isinstance(r, NothingAllowed) else _make_piece(generator, one.wanted, one.quantised, r) for one, r in pairs
    ]


def _check(generator: Generator, wanted: Fill, quantised: Score) -> None:
    """Refuse constraints that contradict each other in the gaps. Raises BadOption."""
    request = wanted.request
    if request.time_signature is not None or len(quantised.time_signatures) < 2:
        check_gaps(generator.tokenizer, make_constraints(request), request, wanted.read_spans, quantised.upbeat)


def quantise(generator: Generator, score: Score) -> Score:
    """Quantise a score as the model does. Raises CannotExpress, also if the tokenizer moves a pickup."""
    try:
        quantised = generator.quantise(score)
        check_start(score, quantised)
    except CannotExpress as error:
        raise CannotExpress(f"the model has no tokens for this piece: {error}") from error
    return quantised


def _split_batches(fills: Mapping[int, _ResolvedFill]) -> Iterator[list[int]]:
    """Yield the keys of fills that can run side by side, with at most `ROWS` particles."""
    for numbers in group_alike({number: one.request for number, one in fills.items()}):
        together: list[int] = []
        for number in numbers:
            if together and sum(fills[n].wanted.particles for n in [*together, number]) > ROWS:
                yield together
                together = []
            together.append(number)
        yield together


def _make_condition(generator: Generator, wanted: Fill, quantised: Score) -> Condition:
    mask = generator.writing.grammar.fix_notes(quantised, wanted.read_spans)
    lines = list_lines(generator, quantised)
    return Condition(wanted.request, mask, wanted.particles, find_settled_bars(wanted, quantised, lines))


def list_lines(generator: Generator, quantised: Score) -> list[int]:
    """List what can be fixed: the tracks of a score as the model encodes it, and the chords, if it writes any."""
    return [*range(len(quantised.tracks)), *([CHORDS] if generator.tokenizer.token_info.has_chords else [])]


def find_settled_bars(wanted: Fill, quantised: Score, lines: Sequence[int] = ()) -> tuple[int, ...]:
    """List the bars at which all gaps so far are settled: `look_ahead` bars after each, if none follows sooner.

    `lines` are the tracks, which they are by default, and `CHORDS` where these may be new.
    """
    if wanted.look_ahead is None:
        return ()
    found = compute_bars(quantised)
    spans = wanted.read_spans
    lines = lines or range(max(len(quantised.tracks), 1))
    free = np.array([not _is_fixed(spans, lines, a, b) for a, b in _pair_bar_lines(found)] + [False])
    last = np.flatnonzero(free[:-1] & ~free[1:])
    after = [int(bar) + 1 + wanted.look_ahead for bar in last]
    return tuple(bar for bar in after if not free[:-1][bar - wanted.look_ahead : bar].any())


def _pair_bar_lines(found: Bars) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for a, b in zip(found.starts[:-1], found.starts[1:], strict=True)]


def _is_fixed(spans: Sequence[Span], lines: Sequence[int], start: int, end: int) -> bool:
    """Tell whether every line is fixed from `start` to `end`."""
    return all(_is_covered([s for s in spans if s.track in (None, line)], start, end) for line in lines)


def _is_covered(spans: Sequence[Span], start: int, end: int) -> bool:
    for span in sorted(spans, key=lambda span: span.start):
        if span.start <= start < span.end:
            start = span.end
    return start >= end


def _make_piece(generator: Generator, wanted: Fill, quantised: Score, result: ConditionedPiece) -> Piece:
    answer = generator.tokenizer.decode(result.tokens)
    is_played, reading = wanted.strength is not None, wanted.reading
    found = "" if is_played else describe_loops(answer, generator.limits, wanted.read_spans)
    if is_played:
        score = _play_notes(generator, wanted, answer)
    else:
        score = splice(wanted.score, reading.hear(wanted.score, quantised), reading.undo(answer), wanted.fixed)
    nats = {**round_nats(result), "given": round(result.fixed_nats, 6)}
    made_by = build_provenance(generator, wanted.to_json(), nats, wanted.request.attempt, found, score.labels)
    return Piece(score, made_by | judge(answer, wanted.request))  # as it was written: players are never together


def _play_notes(generator: Generator, wanted: Fill, answer: Score) -> Score:
    """Play the notes of a score as in `answer`, in its own bars. Raises BadOption for a model that cannot."""
    own, _ = split_conditions(generator.tokenizer)
    if not isinstance(own, Humanizes) or wanted.strength is None:
        raise BadOption("this model writes neither loudness nor timing of its own.")
    played = wanted.reading.undo(own.humanize(wanted.reading.apply(wanted.score), answer, wanted.strength))
    return replace(wanted.score, tracks=played.tracks, labels=make_labels(wanted.score.labels, answer.labels))


# --- asking -----------------------------------------------------------------------------------------------------------


def build_request(request: Request, quantised: Score) -> Request:
    """Make a request of the length, time signature and key of `quantised`, without a primer.

    Labels of `quantised` are its conditions, unless the request has others.
    """
    found = compute_bars(quantised)
    metres = {str(signature) for signature in found.signatures}
    return replace(
        request,
        bars=len(found.signatures) - (quantised.upbeat > 0),
        time_signature=metres.pop() if len(metres) == 1 else None,
        key=str(quantised.key_signatures[0].key) if quantised.key_signatures else None,
        tempo=None,
        edition=1,  # neither the tempo nor the spelling of the key is the request's
        primer=(),
        primer_ticks=0,
        conditions=tuple(sorted({**dict(quantised.labels), **dict(request.conditions)}.items())),
    )


def plan_gap(
    generator: Generator,
    score: Score,
    request: Request,
    *,
    bars: tuple[int, int] | None = None,
    voices: Sequence[str] = (),
    particles: int = PARTICLES,
    look_ahead: int | None = LOOK_AHEAD,
) -> Fill:
    """Make the fill that rewrites a range of bars, some voices, or some voices in these bars.

    Bars are counted as musicians do: bar 1 is the first whole bar, and a pickup is bar 0. Voices go by name, or by
    number from 1; the chord symbols of a model that has them are a voice, too, after the others. Raises BadOption for
    missing bars and voices and for transforms of whole pieces, CannotExpress. Warns with RequestWarning of constraints
    that fixed notes break, as plans of parts and of variations do.
    """
    reading = choose_bars(score, generator.model.card.get("metres", {}))
    quantised = quantise(generator, reading.apply(score))
    if bars is None and not voices:
        raise BadOption("name the bars or the voices to rewrite.")
    start, end = (0, ALWAYS) if bars is None else locate_bars(reading.hear(score, quantised), bars)
    lines = list_lines(generator, quantised)
    free = {_find_line(lines, quantised, name) for name in voices}
    if any(isinstance(sampler, Annotates) for sampler in make_samplers(request.samplers)):
        free.add(CHORDS)  # others are asked for
    around = [Span(0, start), Span(end, ALWAYS)]
    beside = [Span(start, end, line) for line in lines if voices and line not in free]
    given = tuple(span for span in [*around, *beside] if span.start < span.end)
    request = build_request(request, quantised)
    wanted = Fill(request, score, given, particles, look_ahead, reading)
    return check_and_warn(generator, choose_fill_samplers(generator, wanted, quantised), quantised)


def _find_line(lines: Sequence[int], quantised: Score, name: str) -> int:
    """Find the line of a voice by its name, or its number from 1. Raises BadOption."""
    named = [track.name for track in quantised.tracks] + ["Chords"] * (CHORDS in lines)
    nothing = np.zeros(0, dtype=NOTE)
    return lines[find_voice(Score(tuple(Track(nothing, each) for each in named)), name)]


def choose_fill_samplers(generator: Generator, wanted: Fill, quantised: Score, *, is_whole: bool = False) -> Fill:
    """Let the samplers of a fill choose their options, by its fixed notes as the model reads them."""
    tracks = [
        replace(track, notes=track.notes[_mask_fixed(wanted.read_spans, number, track)])
        for number, track in enumerate(quantised.tracks)
    ]
    read = wanted.reading.apply(replace(wanted.score, tracks=()))
    fixed = replace(quantised, tracks=tuple(tracks), chords=read.chords)
    reading, info = wanted.reading, generator.tokenizer.token_info
    bars = reading.count_bars(wanted.score)
    occasion = Occasion(info, wanted.request, fixed, is_whole, reading.stretch, bars, reading.semitones)
    return replace(wanted, request=choose_samplers(occasion))


def _mask_fixed(spans: Sequence[Span], number: int, track: Track) -> NDArray[np.bool_]:
    return np.array([is_fixed(spans, number, start) for start in track.notes["start"].tolist()], dtype=bool)


def check_and_warn(generator: Generator, wanted: Fill, quantised: Score) -> Fill:
    """Check a fill, warn of constraints that its fixed notes break, and return it."""
    check_fixed(wanted.request)
    if generator.tokenizer.token_info.has_chords:
        warn_of_symbols(wanted.score)
    _check(generator, wanted, quantised)
    warn_of_fixed_notes(
        generator.tokenizer, make_samplers(wanted.request.samplers), wanted.request, quantised, wanted.read_spans
    )
    return wanted


def plan_variation(
    generator: Generator,
    score: Score,
    request: Request,
    *,
    keep: float,
    particles: int = PARTICLES,
    look_ahead: int | None = LOOK_AHEAD,
) -> Fill:
    """Make the fill that rewrites a part of a piece, chosen by its own stream: another part for each index.

    The parts are single bars of single voices. `keep` is the share of these to fix, rounded; at least one is rewritten.
    Raises BadOption, CannotExpress.
    """
    if not 0 <= keep < 1:
        raise BadOption(f"'keep' is {keep}, and must be from 0 up to, but not, 1.")
    reading = choose_bars(score, generator.model.card.get("metres", {}))
    quantised = quantise(generator, reading.apply(score))
    heard = reading.hear(score, quantised)
    every = list_lines(generator, quantised)
    lines = [n for n in every if len(quantised.chords if n == CHORDS else quantised.tracks[n].notes)]
    cells = [(track, a, b) for track in lines for a, b in _pair_bar_lines(compute_bars(heard))]
    kept = _choose_parts(request, len(cells), min(round(keep * len(cells)), len(cells) - 1))
    silent = [Span(0, ALWAYS, track) for track in every if track not in lines]
    end = heard.end
    given = [
        Span(a, ALWAYS if b >= end else b, track) for (track, a, b), keep_it in zip(cells, kept, strict=True) if keep_it
    ]
    wanted = Fill(build_request(request, quantised), score, (*silent, *given), particles, look_ahead, reading)
    wanted = choose_fill_samplers(generator, wanted, quantised)
    return check_and_warn(generator, wanted, quantised) if request.index == 0 else wanted  # once for all variations


def _choose_parts(request: Request, count: int, most: int) -> NDArray[np.bool_]:
    """Mask (count,) `most` random values, by the piece's own stream."""
    blocks = [draw_uniforms(request.seed, request.index, request.attempt, b, "vary") for b in range(-(-count // BLOCK))]
    chosen = np.zeros(count, dtype=bool)
    chosen[np.argsort(np.concatenate(blocks)[:count], kind="stable")[:most]] = True
    return chosen


def locate_bars(score: Score, wanted: tuple[int, int]) -> tuple[int, int]:
    """Return the begin and end of a range of bars, in ticks; bar 1 is the first whole bar. Raises BadOption."""
    found, upbeat = compute_bars(score), score.upbeat > 0
    first, last = wanted
    least, most = 1 - upbeat, len(found.signatures) - upbeat
    shown = f"bar {first}" if first == last else f"bars {first}-{last}"
    if first > last:
        raise BadOption(f"there are no {shown}: the first is after the last.")
    if first < least or last > most:
        before = " and an upbeat, bar 0" if upbeat else ""
        raise BadOption(f"{shown} asked for, and the piece has bars 1 to {most}{before}.")
    end = int(found.starts[last + upbeat])
    return int(found.starts[first - 1 + upbeat]), ALWAYS if last == most else end
