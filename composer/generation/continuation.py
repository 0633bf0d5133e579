"""Continuing: new music after a primer, which stays as it stood; it knows no file and no token.

from composer.generation import continuation
from composer.generation.composer import open_model
from composer.request import Request

tunes = open_model("tunes")
wanted = continuation.after(tunes, Request(seed=7, bars=8), score)
piece = continuation.go_on(tunes, [wanted])[0]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from composer.errors import BadOption, ComposerError, printable
from composer.generation import generator
from composer.generation.degeneration import REDRAWS
from composer.generation.generator import Generator, primer_of, with_primer
from composer.generation.primers import as_asked
from composer.music.merging import check_begins, continued, voiced
from composer.music.score import Score
from composer.music.score_json import score_from_json, score_to_json
from composer.request import Request
from composer.types import Piece


@dataclass(frozen=True)
class Continuation:
    """One piece that goes on from a score, asked for; with the model it is all that the piece depends on.

    `request` has in tokens what the model hears of `primer`. Make one with `after`.
    """

    request: Request
    primer: Score

    def to_json(self) -> dict[str, Any]:
        """Plain values: what a file carries under `request` and under `primer`."""
        return {"request": self.request.to_json(), "primer": score_to_json(self.primer)}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Continuation:
        """The reverse of `to_json`; BadOption for what is none."""
        try:
            return Continuation(Request.from_json(values["request"]), score_from_json(values["primer"]))
        except (TypeError, KeyError, ValueError, AttributeError, OverflowError) as error:
            raise BadOption(f"invalid primer: {printable(str(error))}.") from None


def after(
    player: Generator, request: Request, score: Score, *, tempo: float | None = None, own_tracks: bool = True
) -> Continuation:
    """Go on from `score` in its last metre, and in its tempos unless there is another one or it states none.

    Without `own_tracks`, the notes stand in tracks of the model's. Raises and warns as `generation.with_primer` does.
    """
    primer = as_asked(score, request)
    if primer.tempos and tempo is None:
        request = replace(request, tempo=None)
    request = with_primer(player, request, primer)
    heard = _heard(player, primer)
    check_begins(primer, heard)
    return Continuation(request, primer if own_tracks else voiced(primer, heard))


def go_on(player: Generator, wanted: Sequence[Continuation], *, redraws: int = REDRAWS) -> list[Piece]:
    """One piece for each; their order and company change nothing in any of them.

    A piece begins with its primer, note for note, and in the primer's tracks the new notes of their voices go on. Where
    the request has a tempo, it is that of the whole piece. Raises BadOption, CannotExpress, NothingAllowed for the
    first piece that is found not to be made; `pieces` makes the others.
    """
    return generator.whole(pieces(player, wanted, redraws=redraws))


def pieces(
    player: Generator, wanted: Iterable[Continuation], *, redraws: int = REDRAWS
) -> Iterator[tuple[int, Piece | ComposerError]]:
    """Each piece with its place, as it ends; one that cannot be made is the error that says why."""
    primers: list[Score] = []
    for place, made in generator.pieces(player, _requests(player, wanted, primers), redraws=redraws):
        yield place, made if isinstance(made, ComposerError) else _piece(player, primers[place], made)


def _requests(player: Generator, wanted: Iterable[Continuation], primers: list[Score]) -> Iterator[Request]:
    """The requests, whose primers are added to the list. Raises BadOption for one that is not its request's."""
    for one in wanted:
        if (one.request.primer, one.request.primer_ticks) != primer_of(player, one.primer):
            raise BadOption("the primer is not what the request has in tokens.")
        primers.append(one.primer)
        yield one.request


def _piece(player: Generator, primer: Score, piece: Piece) -> Piece:
    request = Request.from_json(piece.provenance["request"])
    score = continued(primer, _heard(player, primer), piece.score, request.primer_ticks)
    tempos = score.tempos if request.tempo is None else piece.score.tempos
    made_by = {**piece.provenance, **Continuation(request, primer).to_json()}
    return Piece(replace(score, tempos=tempos), made_by)


def _heard(player: Generator, primer: Score) -> Score:
    """The primer on the model's grid, in its voices."""
    return player.tokenizer.decode(player.tokenizer.encode(primer))
