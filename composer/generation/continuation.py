"""Continuation: new music after a primer, which stays note for note.

from composer.generation import continuation, tasks
from composer.generation.composer import open_model
from composer.request import Request

tunes = open_model("tunes")
wanted = continuation.after(tunes, Request(seed=7, bars=8), score)
piece = tasks.make(tunes, [wanted])[0]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from composer.errors import BadOption, CannotExpress, ComposerError, printable
from composer.generation.degeneration import RETRIES
from composer.generation.generator import Generator, Results, make_samplers
from composer.generation.generator import generate_each as generate_requests
from composer.generation.primers import apply_request
from composer.music.merging import append_continuation, check_start, name_voices
from composer.music.score import Score, compute_bars
from composer.music.score_json import score_from_json, score_to_json
from composer.request import Request
from composer.sampling.kept import warn_of_primer
from composer.tokens.conditions import check_wanted, settle, split_conditions
from composer.types import Piece


@dataclass(frozen=True)
class Continuation:
    """The request for one piece that continues a score. With the model, it determines the piece.

    `request` has the tokens of `primer`. Make one with `after`.
    """

    request: Request
    primer: Score

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as in the provenance of a file: `request` and `primer`."""
        return {"request": self.request.to_json(), "primer": score_to_json(self.primer)}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Continuation:
        """Make a continuation from the result of `to_json`. Raises BadOption for anything else."""
        try:
            return Continuation(Request.from_json(values["request"]), score_from_json(values["primer"]))
        except (TypeError, KeyError, ValueError, AttributeError, OverflowError) as error:
            raise BadOption(f"invalid primer: {printable(str(error))}.") from None


def make_continuation(
    generator: Generator, request: Request, score: Score, *, tempo: float | None = None, own_tracks: bool = True
) -> Continuation:
    """Continue `score` in its last time signature, and in its own tempos, if it has any and no `tempo` is given.

    Without `own_tracks`, the notes move to the model's tracks. Raises and warns as `add_primer` does.
    """
    stated = check_wanted(split_conditions(generator.tokenizer)[1], request.conditions)
    primer = apply_request(score, replace(request, conditions=stated))
    if primer.tempos and tempo is None:
        request = replace(request, tempo=None)
    request = add_primer(generator, request, primer)
    quantised = generator.quantise(primer)
    check_start(primer, quantised)
    return Continuation(request, primer if own_tracks else name_voices(primer, quantised))


def generate_each(generator: Generator, wanted: Iterable[Continuation], *, redraws: int = RETRIES) -> Results:
    """Yield each piece with its index as it ends, or its error.

    A piece begins with its primer, note for note, and new notes of a voice continue the primer's track. A tempo of the
    request applies to the whole piece.
    """
    primers: list[Score] = []
    for place, made in generate_requests(generator, _take_requests(generator, wanted, primers), redraws=redraws):
        yield place, made if isinstance(made, ComposerError) else _join_piece(generator, primers[place], made)


def _take_requests(generator: Generator, wanted: Iterable[Continuation], primers: list[Score]) -> Iterator[Request]:
    """Yield the requests, and add their primers to the list. Raises BadOption for a primer with other tokens."""
    for one in wanted:
        if (one.request.primer, one.request.primer_ticks) != encode_primer(generator, one.primer):
            raise BadOption("the primer differs from the request's tokens.")
        primers.append(one.primer)
        yield one.request


def _join_piece(generator: Generator, primer: Score, piece: Piece) -> Piece:
    request = Request.from_json(piece.provenance["request"])
    score = append_continuation(primer, generator.quantise(primer), piece.score, request.primer_ticks)
    tempos = score.tempos if request.tempo is None else piece.score.tempos
    made_by = {**piece.provenance, **Continuation(request, primer).to_json()}
    return Piece(replace(score, tempos=tempos), made_by)


# --- primers in tokens ------------------------------------------------------------------------------------------------


def add_primer(generator: Generator, request: Request, score: Score) -> Request:
    """Make the request that continues `score`, in its last time signature.

    A score without a time signature or key takes those of the request. Raises BadOption if it has others,
    CannotExpress if the model has no tokens for it. Warns with RequestWarning of constraints that it breaks.
    """
    tokenizer = generator.tokenizer
    conditions = split_conditions(tokenizer)[1]
    primer = apply_request(score, replace(request, conditions=check_wanted(conditions, request.conditions)))
    tokens, ticks = encode_primer(generator, primer)
    metres = [str(metre) for metre in primer.time_signatures if tokenizer.token_info.states_time_signature(str(metre))]
    metre = metres[-1] if metres else request.time_signature
    told = settle(conditions, primer.labels)
    request = replace(request, primer=tokens, primer_ticks=ticks, time_signature=metre, conditions=told)
    warn_of_primer(tokenizer, make_samplers(request.samplers), request)
    return request


def encode_primer(generator: Generator, score: Score) -> tuple[tuple[int, ...], int]:
    """Encode `score` as `primer` and `primer_ticks` of a request. Raises CannotExpress."""
    try:
        tokens = generator.tokenizer.encode(score, ends=False)
        quantised = generator.quantise(score)
    except CannotExpress as error:
        raise CannotExpress(f"the model cannot go on from this primer: {error}") from error
    return tuple(tokens.tolist()), _find_begin(quantised)


def _find_begin(quantised: Score) -> int:
    """Find the begin of new music: the end, or the next beat if less than a quarter of a beat is missing."""
    found = compute_bars(quantised)
    beat = found.signatures[-1].beat_ticks
    missing = -(quantised.end - int(found.nominal[-1])) % beat
    return quantised.end + missing if 4 * missing < beat else quantised.end
