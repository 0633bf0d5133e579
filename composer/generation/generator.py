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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from composer import __version__
from composer.errors import OF_ONE_PIECE, BadOption, ComposerError, NothingAllowed, RequestWarning, printable
from composer.fitting import check_grammar
from composer.generation import degeneration
from composer.generation.backends import Backends
from composer.generation.defaults import describe_unmet
from composer.generation.finishing import BROKEN
from composer.model import Model
from composer.music.keys import parse_key
from composer.music.score import (
    END,
    TICKS_PER_QUARTER,
    Labels,
    Score,
    Tempo,
    Text,
    TimeSignature,
    compute_bars,
    parse_time_signature,
)
from composer.plugins.registry import registry
from composer.request import EDITION, WHOLE, Request, SamplerSpec
from composer.sampling import loop
from composer.sampling.feasibility import check_request
from composer.sampling.loop import SampledPiece
from composer.tokens.conditions import check_wanted, settle, split_conditions
from composer.tokens.jit import compile_grammar
from composer.tokens.vocabulary import EOS
from composer.types import Constraint, Piece, Sampler, Span, Step, SupportsBlocks, Tokenizer

if TYPE_CHECKING:
    from composer.data.corpus import Report
    from composer.originality.index import Music
    from composer.sampling import beams

PieceResult: TypeAlias = Piece | ComposerError
"""A piece, or the error that explains its failure."""

Results: TypeAlias = Iterator[tuple[int, PieceResult]]
"""Pieces with their indices, each as it ends."""

PROGRAMS = "programs"
"""The constraint on programs, and its option."""

BATCH_SIZE = 64
"""Size of a batch at most."""

BEAMS = 512
"""Beams of all pieces of a batch together, at most, unless one piece has more."""

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
        """The tokenizer with a compiled grammar, where this machine can compile; for sampling loops.

        Raises BadModelFile for a grammar whose arrays do not fit its features or the vocabulary.
        """
        grammar = self.tokenizer.grammar
        check_grammar(grammar, grammar.start(Request(), 1), len(self.tokenizer.vocabulary))
        return compile_grammar(self.tokenizer)

    def quantise(self, score: Score) -> Score:
        """Encode and decode a score: on the model's grid, in its voices. Raises CannotExpress."""
        return self.tokenizer.decode(self.tokenizer.encode(score))

    def resolve(self, request: Request) -> Request:
        """Resolve a request: choose its backend, so that it can be repeated on any machine, and state each condition.

        A primer states its own. Raises UnknownName or BadOption for a missing backend, precision or device, and
        BadOption for an invalid primer, and for an unknown condition or value, with the nearest match. Warns with
        RequestWarning of a time signature that the model was not trained on, according to its card.
        """
        self._warn_of_time_signature(request.time_signature)
        if (request.primer, request.primer_ticks) not in self._primers:
            self._check_primer(request.primer, request.primer_ticks)
            self._primers.add((request.primer, request.primer_ticks))
        known = split_conditions(self.tokenizer)[1]
        stated = check_wanted(known, request.conditions)
        told = stated if request.primer else settle(known, stated)
        return self._backends.resolve(replace(self._keep_to_learnt(request), conditions=told))

    def _keep_to_learnt(self, request: Request) -> Request:
        """Add the constraint that only programs of the training music, and of the primer, are written.

        The others have a probability as well, which no music has ever lowered.
        """
        learnt = self.model.card.get("programs")
        if not isinstance(learnt, list) or not learnt or any(link.name == PROGRAMS for link in request.samplers):
            return request
        info = self.tokenizer.token_info
        tokens = np.flatnonzero(info.kind == "Program").tolist()
        begun = [name for token, name in zip(tokens, info.programs, strict=True) if token in request.primer]
        text = ",".join(dict.fromkeys([*map(str, learnt), *begun]))
        return replace(request, samplers=(SamplerSpec(PROGRAMS, {PROGRAMS: text}), *request.samplers))

    @cached_property
    def _primers(self) -> set[tuple[tuple[int, ...], int]]:
        return {((), 0)}

    def _check_primer(self, primer: tuple[int, ...], ticks: int) -> None:
        """Refuse tokens that the grammar does not allow, and an end unlike their own: such a piece might never end."""
        grammar = self.writing.grammar
        state = grammar.start(WHOLE, 1)
        for token in primer:
            if token == EOS or token >= len(self.tokenizer.vocabulary) or not grammar.mask(state)[0, token]:
                raise BadOption("this model cannot read the primer's tokens.")
            state = grammar.advance(state, np.array([token]))
        begun = self.tokenizer.decode(np.array(primer, dtype=np.int64))
        last = max((int(track.notes["start"].max()) for track in begun.tracks if len(track.notes)), default=0)
        if not last < ticks <= last + LONGEST:
            raise BadOption(f"the primer's last note begins at tick {last}, and cannot end at {ticks}.")

    def _warn_of_time_signature(self, metre: str | None) -> None:
        known = self.model.card.get("metres")
        written = metre is not None and self.tokenizer.token_info.states_time_signature(
            metre
        )  # otherwise it is refused
        if not written or not isinstance(known, Mapping) or not known or metre in known:
            return
        shown = printable(", ".join(map(str, known)))
        text = f"the model was trained on no music in {metre}, and may not keep it; it knows {shown}."
        warnings.warn(text, RequestWarning, stacklevel=2)

    @cached_property
    def _backends(self) -> Backends:
        return Backends(self.model)

    def get_step(self, request: Request) -> Step:
        """Return the step of a resolved request's backend, made once."""
        return self._backends.get_step(request)

    @cached_property
    def limits(self) -> degeneration.Limits:
        """Limits of repetition in its pieces. Raises BadModelFile for a card with invalid ones."""
        return degeneration.read_limits(self.model.card)

    def load_training_music(self, report: Report | None = None) -> Music:
        """Index the model's training music, once. Raises BadModelFile if that is not here."""
        from composer.originality.held_out import index_training_music

        if not self._learnt:
            self._learnt.append(index_training_music(self.model, self.tokenizer, report))
        return self._learnt[0]

    @cached_property
    def _learnt(self) -> list[Music]:
        return []

    @property
    def suggested(self) -> Request:
        """The request that the model's card suggests."""
        return Request.from_json(self.model.card.get("suggested", {}))


def make_samplers(links: Sequence[SamplerSpec]) -> list[Sampler]:
    """Make the chain of samplers from names and options."""
    return [registry().make("samplers", link.name, **link.options) for link in links]


def make_constraints(request: Request) -> list[Constraint]:
    """Make the constraints of a request, without its other samplers."""
    return [sampler for sampler in make_samplers(request.samplers) if isinstance(sampler, Constraint)]


def apply_samplers(request: Request, links: Sequence[SamplerSpec]) -> Request:
    """Put `links` in place of the samplers of a request, all but its constraints; constraints alone are added to them.

    A sampler of the request that `links` name as well is replaced in any case.
    """
    names = {link.name for link in links}
    own = [spec for spec in request.samplers if spec.name not in names]
    if _are_constraints(links):
        return replace(request, samplers=(*links, *own))
    return replace(request, samplers=(*(spec for spec in own if _are_constraints([spec])), *links))


def _are_constraints(links: Sequence[SamplerSpec]) -> bool:
    return all(isinstance(sampler, Constraint) for sampler in make_samplers(links))


def state_edition(generator: Generator, request: Request) -> Request:
    """State the edition of a new request, where its tempo or key would have meant something else before."""
    told = generator.tokenizer.token_info
    metres = told.time_signatures if request.time_signature is None else [request.time_signature]
    beats = {parse_time_signature(metre).pulse_ticks for metre in metres}
    is_counted = request.tempo is not None and bool(beats - {TICKS_PER_QUARTER})
    is_spelled = request.key is not None and parse_key(request.key).signature is not None
    return replace(request, edition=EDITION) if is_counted or is_spelled else request


def check(generator: Generator, request: Request) -> None:
    """Find, without a step of the model, errors of a resolved request.

    Raises BadOption, CannotExpress, UnknownName. Warns with RequestWarning of conditions that can be met in part only.
    """
    generator.tokenizer.grammar.start(request, 1)
    if constraints := make_constraints(request):
        check_request(generator.writing, constraints, request)


def generate(generator: Generator, requests: Sequence[Request], *, redraws: int = degeneration.RETRIES) -> list[Piece]:
    """Generate a piece for each request; neither their order nor their number changes any of them.

    Pieces are as they were drawn; `composer.generation.tasks.make` also applies the transforms and rules of requests.
    Raises BadOption, NothingAllowed at the first piece that fails; `generate_each` goes on with the others.
    """
    return collect_pieces(generate_each(generator, requests, redraws=redraws))


def collect_pieces(made: Iterable[tuple[int, PieceResult]]) -> list[Piece]:
    """List the pieces in order of their indices. Raises the first error among them."""
    found: dict[int, Piece] = {}
    for number, piece in made:
        if isinstance(piece, ComposerError):
            raise piece
        found[number] = piece
    return [found[number] for number in range(len(found))]


def generate_each(generator: Generator, requests: Iterable[Request], *, redraws: int = degeneration.RETRIES) -> Results:
    """Yield each piece with its index among the requests as it ends, or its error.

    A piece is retried, up to the attempt `redraws`, if it meets a dead end, is degenerate
    (`composer.generation.degeneration`), or copies more bars than its request allows (`composer.originality`). The last
    attempt is kept as it is. Its provenance has the attempt in its request, and loops under `describe_loops`. Copied
    bars lead to a RequestWarning, and stay out of the provenance: the piece can be made again without the training
    music.
    """
    waiting = iter(enumerate(requests))
    while block := list(islice(waiting, BLOCK)):
        resolved: dict[int, Request] = {}
        for number, request in block:
            try:
                resolved[number] = generator.resolve(request)
            except OF_ONE_PIECE as error:
                yield number, error
        for together in group_alike(resolved):
            yield from _generate_together(generator, {number: resolved[number] for number in together}, redraws)


def _generate_together(generator: Generator, requests: Mapping[int, Request], redraws: int) -> Results:
    """Generate the pieces of resolved requests that can run side by side."""
    waiting = deque(requests.items())
    begun: list[tuple[int, Request]] = []

    def take(room: int) -> list[Request]:
        taken = [waiting.popleft() for _ in range(min(room, len(waiting)))]
        begun.extend(taken)
        return [request for _, request in taken]

    first = next(iter(requests.values()))
    samplers = make_samplers(first.samplers)
    step = generator.get_step(first)
    draw, most = _choose_method(first, step)
    for place, result in draw(step, generator.writing, samplers, take, most):
        number, request = begun[place]
        made = result if isinstance(result, ComposerError) else _make_piece(generator, request, result)
        if _decide_retry(generator, request, made, redraws):
            waiting.appendleft((number, replace(request, attempt=request.attempt + 1)))
        else:
            yield number, made


def _choose_method(request: Request, step: Step) -> tuple[Callable[..., Iterator[tuple[int, beams.Found]]], int]:
    """Choose between the sampling loop and beam search, with the number of pieces side by side at most."""
    if request.beams is None:
        return loop.sample_each, step.most if isinstance(step, SupportsBlocks) and step.block > 1 else BATCH_SIZE
    from composer.sampling import beams  # few want them

    return beams.search_each, max(BEAMS // request.beams, 1)


def _decide_retry(generator: Generator, request: Request, made: PieceResult, redraws: int) -> bool:
    """Tell whether to retry a piece. Warns with RequestWarning of a piece that copies and is kept.

    Beams are never retried: they would find the same piece.
    """
    if request.beams is None and should_retry(made, request.attempt, redraws):
        return True
    last, most = request.beams is not None or request.attempt >= redraws, request.max_copied_bars
    if most is None or not redraws or isinstance(made, ComposerError):
        return False
    from composer.originality.held_out import describe_copy

    found = describe_copy(made.score, generator.load_training_music(), most, request.primer_ticks)
    if found and last:
        text = f"piece {request.index} of seed {request.seed} has {found} after {request.attempt} retries, and is kept."
        warnings.warn(text, RequestWarning, stacklevel=2)
    return bool(found) and not last


def should_retry(made: PieceResult, attempt: int, redraws: int) -> bool:
    """Tell whether to retry a dead end, or a piece that is degenerate or not what a sampler is for.

    `redraws` is the last attempt.
    """
    faulty = isinstance(made, Piece) and bool(made.provenance.keys() & {"degenerate", BROKEN})
    return (faulty or isinstance(made, NothingAllowed)) and attempt < redraws


def group_alike(requests: Mapping[int, Request]) -> list[list[int]]:
    """Group the keys of requests that can run side by side: with one chain, backend, precision, device and search."""
    found: dict[Any, list[int]] = {}
    for number, request in requests.items():
        chain = repr(request.samplers)
        key = (chain, request.backend, request.precision, request.device, request.beams)
        found.setdefault(key, []).append(number)
    return list(found.values())


def _make_piece(generator: Generator, request: Request, result: SampledPiece) -> Piece:
    score = _mark_end(generator.tokenizer.decode(result.tokens), request)
    loops = degeneration.describe_loops(score, generator.limits, [Span(0, request.primer_ticks)])
    found = loops or degeneration.describe_silence(score)
    score = _apply_heading(score, request)
    task = {"request": request.to_json()}
    made_by = build_provenance(generator, task, round_nats(result), request.attempt, found, score.labels)
    return Piece(score, made_by | judge(score, request))


def judge(score: Score, request: Request) -> dict[str, Any]:
    """Return what a piece did not become, as its provenance has it; nothing if it is what its samplers are for."""
    unmet = describe_unmet(score, request.samplers)
    return {BROKEN: unmet} if unmet else {}


def _apply_heading(score: Score, request: Request) -> Score:
    """Apply the tempo of a request, and from edition 2 on the spelling of its key."""
    if request.tempo is not None:
        metre = (score.time_signatures or (TimeSignature(0, 4, 4),))[0]
        beats = metre.pulse_ticks / TICKS_PER_QUARTER if request.edition > 1 else 1
        score = replace(score, tempos=(Tempo(0, request.tempo * beats),))
    if request.key is not None and request.edition > 1:
        key = parse_key(request.key)
        same = (replace(one, key=key) if one.key == key else one for one in score.key_signatures)
        score = replace(score, key_signatures=tuple(same))
    return score


def build_provenance(
    generator: Generator, task: Mapping[str, Any], nats: Mapping[str, float], attempt: int, loops: str, labels: Labels
) -> dict[str, Any]:
    """Build the provenance of a piece from its task as JSON, its nats, a description of its loops, and its labels."""
    return {
        "composer": __version__,
        "model": generator.name,
        "model_hash": generator.model.hash,
        **task,
        **({"labels": dict(labels)} if labels else {}),
        "nats": nats,
        **({"redrawn": attempt} if attempt else {}),
        **({"degenerate": loops} if loops else {}),
        "licence": generator.model.card.get("licence", ""),
    }


def _mark_end(score: Score, request: Request) -> Score:
    """Add an END marker if requested bars at the end are silent; a file would lose them."""
    if request.bars is None or request.primer or not score.note_count:
        return score
    found = compute_bars(score)
    missing = request.bars - (len(found.signatures) - (score.upbeat > 0))
    if missing <= 0:
        return score
    end = int(found.starts[-1]) + missing * int(found.starts[-1] - found.nominal[-1])
    if score.length >= end:
        return score
    return replace(score, markers=(*score.markers, Text(end, END)))


def round_nats(result: SampledPiece) -> dict[str, float | int]:
    """Return the nats of a piece by kind; those of constraints, and the dead ends, only if there are any."""
    nats: dict[str, float | int] = {"model": round(result.model_nats, 6), "chain": round(result.chain_nats, 6)}
    nats |= {"constraints": round(result.constraint_nats, 6)} if result.constraint_nats else {}
    return nats | ({"dead_ends": result.dead_ends} if result.dead_ends else {})
