"""Generation: pieces from a model and requests.

from composer.generation.composer import open_model
from composer.generation.generator import generate
from composer.request import Request

chorales = open_model("chorales")
piece = generate(chorales, [Request(seed=7, bars=16)])[0]
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from composer import __version__
from composer.errors import (
    OF_ONE_PIECE,
    BadOption,
    CannotExpress,
    ComposerError,
    NothingAllowed,
    RequestWarning,
    printable,
)
from composer.generation import degeneration
from composer.generation.primers import as_asked
from composer.model import Model
from composer.music.score import END, Score, Tempo, Text, bars
from composer.plugins.registry import registry
from composer.request import Link, Request
from composer.sampling import loop
from composer.sampling.feasibility import check_wishes
from composer.sampling.kept import warn_of_primer
from composer.sampling.loop import Sampled
from composer.tokens.jit import compiled
from composer.tokens.vocabulary import EOS
from composer.types import Constraint, Piece, Sampler, Span, Stepper, StepperMaker, Tokenizer

if TYPE_CHECKING:
    from composer.data.corpus import Report
    from composer.originality.index import Music

BATCH = 64
"""Size of a batch at most."""

LONGEST = 2**20
"""Duration of the last note of a primer at most, in ticks."""

BLOCK = 4096
"""Requests read ahead, to find those that can run side by side."""


@dataclass(frozen=True, eq=False)
class Generator:
    """A model ready to generate: its tokenizer, and its backends, made at their first use."""

    model: Model
    name: str = ""

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        return self.model.make_tokenizer()

    @cached_property
    def writing(self) -> Tokenizer:
        """The tokenizer with a compiled grammar, where this machine can compile; for sampling loops."""
        return compiled(self.tokenizer)

    def resolved(self, request: Request) -> Request:
        """Resolve a request: choose its backend, so that it can be repeated on any machine.

        Raises UnknownName or BadOption for a missing backend, precision or device, and BadOption for an invalid primer.
        Warns with RequestWarning of a time signature that the model was not trained on, according to its card.
        """
        self._warn_of_metre(request.time_signature)
        if (request.primer, request.primer_ticks) not in self._primers:
            self._check_primer(request.primer, request.primer_ticks)
            self._primers.add((request.primer, request.primer_ticks))
        if request.stepper == "auto":
            return replace(request, stepper=self._fastest(request.device, request.precision))
        chosen = request.stepper, request.device, request.precision
        if chosen not in self._fitting:
            maker = self._maker(request.stepper)
            if not maker.suits(self.model, request.device):
                raise BadOption(f"the stepper '{request.stepper}' cannot run this model on '{request.device}'.")
            _check_precision(request.precision, maker.tolerances, f"in the stepper '{request.stepper}'")
            self._fitting.add(chosen)
        return request

    @cached_property
    def _primers(self) -> set[tuple[tuple[int, ...], int]]:
        return {((), 0)}

    def _check_primer(self, primer: tuple[int, ...], ticks: int) -> None:
        """Refuse tokens that the grammar does not allow, and an end unlike their own: such a piece might never end."""
        grammar = self.writing.grammar
        state = grammar.start(Request(), 1)
        for token in primer:
            if token == EOS or token >= len(self.tokenizer.vocabulary) or not grammar.allowed(state)[0, token]:
                raise BadOption("this model cannot read the primer's tokens.")
            state = grammar.advance(state, np.array([token]))
        begun = self.tokenizer.decode(np.array(primer, dtype=np.int64))
        last = max((int(track.notes["start"].max()) for track in begun.tracks if len(track.notes)), default=0)
        if not last < ticks <= last + LONGEST:
            raise BadOption(f"the primer's last note begins at tick {last}, and cannot end at {ticks}.")

    @cached_property
    def _fitting(self) -> set[tuple[str, str, str]]:
        return set()

    def _warn_of_metre(self, metre: str | None) -> None:
        known = self.model.card.get("metres")
        written = f"TimeSignature_{metre}" in self.tokenizer.vocabulary  # otherwise it is refused
        if not written or not isinstance(known, Mapping) or not known or metre in known:
            return
        shown = printable(", ".join(map(str, known)))
        text = f"the model was trained on no music in {metre}, and may not keep it; it knows {shown}."
        warnings.warn(text, RequestWarning, stacklevel=2)

    def _fastest(self, device: str, precision: str) -> str:
        if (device, precision) not in self._found:
            self._found[device, precision] = self._find_fastest(device, precision)
        return self._found[device, precision]

    @cached_property
    def _found(self) -> dict[tuple[str, str], str]:
        return {}

    def _find_fastest(self, device: str, precision: str) -> str:
        makers = {name: self._maker(name) for name in registry().names("steppers")}
        suiting = {name: maker for name, maker in makers.items() if maker.suits(self.model, device)}
        if not suiting:
            raise BadOption(f"no plugin offers a stepper for this model on '{device}'.")
        _check_precision(precision, {p for maker in suiting.values() for p in maker.tolerances}, "for this model here")
        having = [name for name, maker in suiting.items() if precision in maker.tolerances]
        return max(having, key=lambda name: suiting[name].speed)

    def _maker(self, name: str) -> StepperMaker:
        maker: StepperMaker = registry().make("steppers", name)
        return maker

    def stepper(self, request: Request) -> Stepper:
        """Return the backend of a resolved request, made once."""
        chosen = request.stepper, request.device, request.precision
        if chosen not in self._steppers:
            self._steppers[chosen] = self._maker(request.stepper).make(self.model, request.device, request.precision)
        return self._steppers[chosen]

    @cached_property
    def _steppers(self) -> dict[tuple[str, str, str], Stepper]:
        return {}

    @cached_property
    def limits(self) -> degeneration.Limits:
        """Limits of repetition in its pieces. Raises BadModelFile for a card with invalid ones."""
        return degeneration.limits_of(self.model.card)

    def learnt(self, report: Report | None = None) -> Music:
        """Index the model's training music, once. Raises BadModelFile if that is not here."""
        from composer.originality.training_music import learnt

        if not self._learnt:
            self._learnt.append(learnt(self.model, self.tokenizer, report))
        return self._learnt[0]

    @cached_property
    def _learnt(self) -> list[Music]:
        return []

    @property
    def suggested(self) -> Request:
        """The request that the model's card suggests."""
        return Request.from_json(self.model.card.get("suggested", {}))


def _check_precision(precision: str, known: Collection[str], where: str) -> None:
    if precision not in known:
        raise BadOption(f"unknown precision '{printable(precision)}' {where}; choose from {', '.join(sorted(known))}.")


def make_samplers(links: Sequence[Link]) -> list[Sampler]:
    """Make the chain of samplers from names and options."""
    return [registry().make("samplers", link.name, **link.options) for link in links]


def chained(request: Request, links: Sequence[Link]) -> Request:
    """Replace the samplers of a request; constraints alone come before the request's own samplers instead."""
    samplers = make_samplers(links)
    if all(isinstance(sampler, Constraint) for sampler in samplers):
        return replace(request, samplers=(*links, *request.samplers))
    return replace(request, samplers=tuple(links))


def check(player: Generator, request: Request) -> None:
    """Find, without a step of the model, errors of a resolved request.

    Raises BadOption, CannotExpress, UnknownName. Warns with RequestWarning of conditions that can be met in part only.
    """
    constraints = [sampler for sampler in make_samplers(request.samplers) if isinstance(sampler, Constraint)]
    player.tokenizer.grammar.start(request, 1)
    if constraints:
        check_wishes(player.tokenizer, constraints, request)


def generate(player: Generator, requests: Sequence[Request], *, redraws: int = degeneration.REDRAWS) -> list[Piece]:
    """Generate a piece for each request; neither their order nor their number changes any of them.

    Raises BadOption, NothingAllowed at the first piece that fails; `pieces` goes on with the others.
    """
    return whole(pieces(player, requests, redraws=redraws))


def whole(made: Iterable[tuple[int, Piece | ComposerError]]) -> list[Piece]:
    """List the pieces in order of their indices. Raises the first error among them."""
    found: dict[int, Piece] = {}
    for number, piece in made:
        if isinstance(piece, ComposerError):
            raise piece
        found[number] = piece
    return [found[number] for number in range(len(found))]


def pieces(
    player: Generator, requests: Iterable[Request], *, redraws: int = degeneration.REDRAWS
) -> Iterator[tuple[int, Piece | ComposerError]]:
    """Yield each piece with its index among the requests as it ends, or its error.

    A piece is retried, up to the attempt `redraws`, if it meets a dead end, is degenerate
    (`composer.generation.degeneration`), or copies more bars than its request allows (`composer.originality`). The last
    attempt is kept as it is. Its provenance has the attempt in its request, and loops under `degenerate`. Copied bars
    lead to a RequestWarning, and stay out of the provenance: the piece can be made again without the training music.
    """
    waiting = iter(enumerate(requests))
    while block := list(islice(waiting, BLOCK)):
        asked: dict[int, Request] = {}
        for number, request in block:
            try:
                asked[number] = player.resolved(request)
            except OF_ONE_PIECE as error:
                yield number, error
        for together in alike(asked):
            yield from _drawn(player, {number: asked[number] for number in together}, redraws)


def _drawn(
    player: Generator, asked: Mapping[int, Request], redraws: int
) -> Iterator[tuple[int, Piece | ComposerError]]:
    """Generate the pieces of resolved requests that can run side by side."""
    waiting = deque(asked.items())
    begun: list[tuple[int, Request]] = []

    def more(room: int) -> list[Request]:
        taken = [waiting.popleft() for _ in range(min(room, len(waiting)))]
        begun.extend(taken)
        return [request for _, request in taken]

    first = next(iter(asked.values()))
    samplers = make_samplers(first.samplers)
    for place, result in loop.pieces(player.stepper(first), player.writing, samplers, more, BATCH):
        number, request = begun[place]
        made = result if isinstance(result, ComposerError) else _piece(player, request, result)
        if _is_redrawn(player, request, made, redraws):
            waiting.appendleft((number, replace(request, attempt=request.attempt + 1)))
        else:
            yield number, made


def _is_redrawn(player: Generator, request: Request, made: Piece | ComposerError, redraws: int) -> bool:
    """Tell whether to retry a piece. Warns with RequestWarning of a piece that copies and is kept."""
    last, most = request.attempt >= redraws, request.max_copied_bars
    if not last and failed(made):
        return True
    if most is None or not redraws or isinstance(made, ComposerError):
        return False
    from composer.originality.training_music import copied

    found = copied(made.score, player.learnt(), most, request.primer_ticks)
    if found and last:
        text = f"piece {request.index} of seed {request.seed} has {found} after {request.attempt} retries, and is kept."
        warnings.warn(text, RequestWarning, stacklevel=2)
    return bool(found) and not last


def failed(made: Piece | ComposerError) -> bool:
    """Tell whether another attempt may do better: after a dead end, or for a degenerate piece."""
    return isinstance(made, NothingAllowed) or (isinstance(made, Piece) and "degenerate" in made.provenance)


def alike(asked: Mapping[int, Request]) -> list[list[int]]:
    """Group the keys of requests that can run side by side: with the same chain, backend, precision and device."""
    found: dict[Any, list[int]] = {}
    for number, request in asked.items():
        chain = repr(request.samplers)
        found.setdefault((chain, request.stepper, request.precision, request.device), []).append(number)
    return list(found.values())


def _piece(player: Generator, request: Request, result: Sampled) -> Piece:
    score = _to_its_end(player.tokenizer.decode(result.tokens), request)
    found = degeneration.degenerate(score, player.limits, [Span(0, request.primer_ticks)])
    if request.tempo is not None:
        score = replace(score, tempos=(Tempo(0, request.tempo),))
    return Piece(
        score,
        {
            "composer": __version__,
            "model": player.name,
            "model_hash": player.model.hash,
            "request": request.to_json(),
            "nats": nats_of(result),
            **({"redrawn": request.attempt} if request.attempt else {}),
            **({"degenerate": found} if found else {}),
            "licence": player.model.card.get("licence", ""),
        },
    )


def _to_its_end(score: Score, request: Request) -> Score:
    """Add an END marker if requested bars at the end are silent; a file would lose them."""
    if request.bars is None or request.primer or not score.note_count:
        return score
    found = bars(score)
    missing = request.bars - (len(found.signatures) - (score.upbeat > 0))
    if missing <= 0:
        return score
    end = int(found.starts[-1]) + missing * int(found.starts[-1] - found.nominal[-1])
    if score.length >= end:
        return score
    return replace(score, markers=(*score.markers, Text(end, END)))


def nats_of(result: Sampled) -> dict[str, float | int]:
    """Return the nats of a piece by kind; those of constraints, and the dead ends, only if there are any."""
    nats: dict[str, float | int] = {"model": round(result.model_nats, 6), "chain": round(result.chain_nats, 6)}
    nats |= {"constraints": round(result.constraint_nats, 6)} if result.constraint_nats else {}
    return nats | ({"dead_ends": result.dead_ends} if result.dead_ends else {})


def with_primer(player: Generator, request: Request, score: Score) -> Request:
    """Make the request that continues `score`, in its last time signature.

    A score without a time signature or key takes those of the request. Raises BadOption if it has others,
    CannotExpress if the model has no tokens for it. Warns with RequestWarning of constraints that it breaks.
    """
    primer, tokenizer = as_asked(score, request), player.tokenizer
    tokens, ticks = primer_of(player, primer)
    metres = [metre for metre in map(str, primer.time_signatures) if f"TimeSignature_{metre}" in tokenizer.vocabulary]
    metre = metres[-1] if metres else request.time_signature
    request = replace(request, primer=tokens, primer_ticks=ticks, time_signature=metre)
    warn_of_primer(tokenizer, make_samplers(request.samplers), request)
    return request


def primer_of(player: Generator, score: Score) -> tuple[tuple[int, ...], int]:
    """Encode `score` as `primer` and `primer_ticks` of a request. Raises CannotExpress."""
    try:
        tokens = player.tokenizer.encode(score, ends=False)
        heard = player.tokenizer.decode(player.tokenizer.encode(score))  # on the model's grid
    except CannotExpress as error:
        raise CannotExpress(f"the model cannot go on from this primer: {error}") from error
    return tuple(tokens.tolist()), _onward(heard)


def _onward(heard: Score) -> int:
    """Find the begin of new music: the end, or the next beat if less than a quarter of a beat is missing."""
    found = bars(heard)
    beat = found.signatures[-1].beat_ticks
    missing = -(heard.end - int(found.nominal[-1])) % beat
    return heard.end + missing if 4 * missing < beat else heard.end
