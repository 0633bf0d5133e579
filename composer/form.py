"""Form: pieces in sections, such as AABA; it knows scores and gaps in them, and no token.

from composer import form, generation
from composer.form import Form
from composer.repetition import REDRAWS
from composer.request import Request

tunes = generation.open_model("tunes")
piece = form.compose(tunes, [Form.of(Request(seed=7, bars=8), "AABA'")])[0]

How a form is written. The first section is the piece that its request gives without a form. Then comes each new name,
in the order of the form, at its first place: the model has heard all that stands before, and what follows there, if it
is known already, is given, so that the new section leads to it (`composer.filling`). A section that nothing known
follows, or that is also the last of the form, is written as the end of a piece. `A'` keeps the first half of `A` (of an
odd number of bars the larger part), and its second half is written anew. A section that came out silent or as another
one is drawn again, and so is one with which the piece, as far as it is written, copies more bars than the request
allows and more than it did before. Each section draws from a stream of its own.

Where a section ends. With an upbeat, every section begins with its own, in the bar before its first whole one: a
section is `bars` bars long from there on, and a note that would sound beyond is cut, before a new section as well. Only
the last section of a piece goes on to the end of its last bar, if it has something there. All have the time signature
and the key of the first.

Constraints hold for what is new in every section, and count bars through the piece, as `chords` does: a section is
written on the chords of its first place. `ending` holds where a section is written as the end of a piece, and so at the
end of the whole.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from typing import Any

from composer import filling, generation
from composer.contradictions import check_gaps
from composer.errors import OF_ONE_PIECE, BadOption, ComposerError, NothingAllowed, RequestWarning, printable
from composer.filling import ALWAYS, LOOK_AHEAD, Fill
from composer.generation import BATCH, Player, failed, make_samplers, whole
from composer.repetition import REDRAWS
from composer.request import Request
from composer.score import (
    END,
    Score,
    Text,
    TimeSignature,
    bars,
    parse_time_signature,
)
from composer.sections import joined, section
from composer.streams import uniforms
from composer.types import Constraint, Piece, Span

BARS = 8
"""Of each section, unless another number is asked for."""

MOST_SECTIONS = 64

MOST_BARS = 4096
"""In all sections together."""

PARTICLES = 32
"""Beginnings of a new section that are tried side by side, unless another number is asked for."""

FOLLOWING = 8
"""Bars of known music after a new section that are given at least: sooner, models are told of a coming end."""

DRAWS = 8
"""How often a section is drawn at most, if it comes out silent or as another one."""

_FORM = re.compile(r"\s*(?:[A-Za-z]'*\s*)+")
_SECTION = re.compile(r"[A-Z]'*")
_PRIMES = str.maketrans("’′", "''")


@dataclass(frozen=True)
class Form:
    """One piece in sections, asked for; with the model it is all that the piece depends on.

    `request` is that of the first section, and its `bars` are those of each. Raises BadOption for what is no form.
    """

    request: Request
    sections: tuple[str, ...]  # "A", "A", "B", "A'"
    particles: int = PARTICLES
    look_ahead: int = LOOK_AHEAD  # bars after a new section that have a say in it
    attempts: tuple[tuple[str, int], ...] = ()  # at which sections after the first are begun, if not at 0

    def __post_init__(self) -> None:
        """Check every value by itself, and the request for what no form goes with."""
        if parse_form("".join(self.sections)) != self.sections:
            raise BadOption(f"'{printable(' '.join(self.sections))}' are no sections such as A, B and A'.")
        if self.request.primer:
            raise BadOption("a piece in sections begins with its first one, not with a primer; leave one of them out.")
        count, each = len(self.sections), self.request.bars
        if each is None:
            raise BadOption("a form needs the number of bars of a section.")
        if count * each > MOST_BARS:
            raise BadOption(f"{count} sections of {each} bars are {count * each} bars; a form has {MOST_BARS} at most.")
        if each < 2 and (varied := [name for name in self.sections if "'" in name]):
            raise BadOption(f"{varied[0]} keeps the first half of {varied[0][0]}; ask for sections of 2 bars or more.")
        Fill(self.request, Score(), (), self.particles, self.look_ahead)  # checks these two
        if self.look_ahead is None:
            raise BadOption("'look_ahead' is None, and must be 0 bars or more.")

    @property
    def bars(self) -> int:
        """Of each section."""
        return self.request.bars or BARS

    def attempt_of(self, name: str) -> int:
        """The attempt at which a section is begun."""
        return dict(self.attempts).get(name, 0)

    @staticmethod
    def of(request: Request, text: str) -> Form:
        """The form that `text` writes (see `parse_form`), of `BARS` bars a section unless the request says how many."""
        return Form(request if request.bars is not None else replace(request, bars=BARS), parse_form(text))

    def to_json(self) -> dict[str, Any]:
        """Plain values: what a file carries under `request` and under `form`."""
        form = {"sections": " ".join(self.sections), "particles": self.particles, "look_ahead": self.look_ahead}
        attempts = {"attempts": dict(self.attempts)} if self.attempts else {}
        return {"request": self.request.to_json(), "form": {**form, **attempts}}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Form:
        """The reverse of `to_json`; BadOption for what is none."""
        try:
            request, form = Request.from_json(values["request"]), values["form"]
            attempts = tuple((str(name), int(count)) for name, count in form.get("attempts", {}).items())
            return Form(request, parse_form(form["sections"]), form["particles"], form["look_ahead"], attempts)
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise BadOption(f"this is no form: {printable(str(error))}.") from None


def parse_form(text: str) -> tuple[str, ...]:
    """The sections of `AABA'`: letters, each with as many primes as it has; spaces do not matter. Raises BadOption.

    Small letters are read as capitals, and the typographic primes ’ and ′ as '.
    """
    plain = text.translate(_PRIMES)
    if not plain.strip():
        raise BadOption("a form has a section at least, such as AABA.")
    if not _FORM.fullmatch(plain):
        raise BadOption(
            f"'{printable(text)}' is no form such as AABA or A B A': letters alone, with ' for a variation."
        )
    sections = tuple(_SECTION.findall(plain.upper()))
    if len(sections) > MOST_SECTIONS:
        raise BadOption(f"a form has {MOST_SECTIONS} sections at most, and here are {len(sections)}.")
    for place, name in enumerate(sections):
        if name[0] not in sections[:place] and name != name[0]:
            raise BadOption(f"in '{printable(text)}', {name} comes before the {name[0]} that it varies.")
    return sections


# --- composing --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Draft:
    """A piece of which some sections are written.

    Each is a score that begins with its upbeat; beyond `ticks`, its length, it may have what only an end has.
    """

    form: Form
    ticks: int
    known: Mapping[str, Score]
    nats: Mapping[str, float]  # of all sections together
    made_by: Mapping[str, Any]
    loops: Mapping[str, str]  # of the sections that are degenerate still, what comes again too often
    copied: float = 0.0  # bars of the longest passage that it shares with what the model learnt, if that is asked


def compose(player: Player, forms: Sequence[Form], *, redraws: int = REDRAWS) -> list[Piece]:
    """One piece for each form; their order and company change nothing in any of them.

    Raises CannotExpress, BadOption, NothingAllowed for the first piece that is found not to be made; `pieces` makes the
    others.
    """
    return whole(pieces(player, forms, redraws=redraws))


def pieces(
    player: Player, forms: Iterable[Form], *, redraws: int = REDRAWS
) -> Iterator[tuple[int, Piece | ComposerError]]:
    """Each piece with its place among the forms, or why it cannot be made; a piece is made when all beside it are.

    A section that comes to a dead end or is degenerate is drawn anew (see `generation.pieces`); a piece carries the
    request of the first one that was kept, and the attempts of the others. Of one that copies too much after all
    redraws, RequestWarning tells.
    """
    waiting = iter(enumerate(forms))
    while block := dict(islice(waiting, BATCH)):
        yield from _composed(player, block, redraws)


def _composed(player: Player, forms: Mapping[int, Form], redraws: int) -> Iterator[tuple[int, Piece | ComposerError]]:
    drafts: dict[int, _Draft] = {}
    found = _begun(player, forms, redraws)
    while found:
        for n, draft in found.items():
            if isinstance(draft, ComposerError):
                yield n, draft
                drafts.pop(n, None)
            else:
                drafts[n] = draft
        names = {n: name for n, draft in drafts.items() if (name := _next(draft)) is not None}
        found = _with_sections(player, {n: drafts[n] for n in names}, names, redraws)
    for n, draft in drafts.items():
        _warn_of_copies(draft)
        yield n, _piece(draft)


def check(player: Player, form: Form) -> None:
    """Refuse, before the first section, constraints that contradict each other in a later one. Raises BadOption."""
    constraints = [sampler for sampler in make_samplers(form.request.samplers) if isinstance(sampler, Constraint)]
    names, metre = form.sections, parse_time_signature(form.request.time_signature or "4/4")
    ticks = form.bars * metre.bar_ticks
    again = [Span(n * ticks, (n + 1) * ticks) for n, name in enumerate(names) if name in names[:n]]
    check_gaps(player.tokenizer, constraints, replace(form.request, bars=len(names) * form.bars), again, 0)


def _next(draft: _Draft) -> str | None:
    return next((name for name in draft.form.sections if name not in draft.known), None)


def _begun(player: Player, forms: Mapping[int, Form], redraws: int) -> dict[int, _Draft | ComposerError]:
    """The first section of each, in one time signature."""
    found: dict[int, _Draft | ComposerError] = {}
    requests: dict[int, Request] = {}
    for n, form in forms.items():
        try:
            check(player, form)
            requests[n] = form.request
        except OF_ONE_PIECE as error:
            found[n] = error
    for _ in range(DRAWS + redraws):
        alone = [replace(request, max_copied_bars=None) for request in requests.values()]  # that is asked of the whole
        drawn = generation.pieces(player, alone, redraws=redraws)
        made = dict(zip(requests, (piece for _, piece in sorted(drawn, key=_place)), strict=True))
        found |= _drafts(player, forms, made, redraws)
        again = {n: _anew(found[n], redraws) for n in requests}
        requests = {n: request for n, request in again.items() if request is not None}
    silent = "the first section came out without a note; another seed may do better."
    return found | {n: NothingAllowed(silent) for n in requests}


def _place(pair: tuple[int, Any]) -> int:
    return pair[0]


def _drafts(
    player: Player, forms: Mapping[int, Form], made: Mapping[int, Piece | ComposerError], redraws: int
) -> dict[int, _Draft | ComposerError]:
    return {
        n: one if isinstance(one, ComposerError) else _compared(player, _draft(forms[n], one), redraws)
        for n, one in made.items()
    }


def _anew(draft: _Draft | ComposerError, redraws: int) -> Request | None:
    """What is asked for instead where a first section changes its metre, is silent, or copies too much."""
    if isinstance(draft, ComposerError):
        return None
    request, first = draft.form.request, draft.known[draft.form.sections[0]]
    if len({str(metre) for metre in first.time_signatures}) > 1:
        return replace(request, time_signature=str(first.time_signatures[0]))
    if _onsets(first, draft.ticks) and not (request.attempt < redraws and _copies(draft)):
        return None
    return replace(request, attempt=request.attempt + 1)


def _draft(form: Form, piece: Piece) -> _Draft:
    score = piece.score
    metre = (score.time_signatures or (TimeSignature(0, 4, 4),))[0]
    ticks = form.bars * metre.bar_ticks
    first = section(score, 0, ticks + score.upbeat)
    request, name = Request.from_json(piece.provenance["request"]), form.sections[0]
    request = replace(request, max_copied_bars=form.request.max_copied_bars)
    loops = {name: piece.provenance["degenerate"]} if "degenerate" in piece.provenance else {}
    nats = piece.provenance["nats"]
    return _Draft(replace(form, request=request), ticks, {name: first}, nats, piece.provenance, loops)


def _with_sections(
    player: Player, drafts: Mapping[int, _Draft], names: Mapping[int, str], redraws: int
) -> dict[int, _Draft | ComposerError]:
    """Each draft with the section of that name; one that came to nothing, is silent or as another is drawn again."""
    found: dict[int, _Draft | ComposerError] = {}
    left = {n: drafts[n].form.attempt_of(name) for n, name in names.items()}
    while left:
        gaps = {n: _gap(drafts[n], names[n], attempt) for n, attempt in left.items()}
        made = dict(filling.pieces(player, [gap.wanted for gap in gaps.values()], redraws=0))
        again = {}
        for place, (n, gap) in enumerate(gaps.items()):
            piece = made[place]
            if isinstance(piece, ComposerError):
                found[n] = piece
            else:
                found[n] = _compared(player, _with(player, drafts[n], names[n], gap, piece), redraws)
            if _is_drawn_again(piece, found[n], drafts[n], names[n], left[n], redraws):
                again[n] = left[n] + 1
        left = again
    return found


def _is_drawn_again(
    piece: Piece | ComposerError, draft: _Draft | ComposerError, before: _Draft, name: str, attempt: int, redraws: int
) -> bool:
    if attempt < redraws and failed(piece):
        return True
    if isinstance(draft, ComposerError):
        return False
    return (attempt < DRAWS - 1 and _unfit(draft, name)) or (attempt < redraws and _copies(draft, before.copied))


def _with(player: Player, draft: _Draft, name: str, gap: _Gap, piece: Piece) -> _Draft:
    """The draft with a section more."""
    end = min(gap.end, gap.start + draft.ticks + piece.score.upbeat)
    written = section(piece.score, gap.start, end, sustains=player.tokenizer.meaning.sustains)
    form, attempt = draft.form, gap.wanted.request.attempt
    attempts = (*((n, a) for n, a in form.attempts if n != name), *([(name, attempt)] if attempt else []))
    own = {kind: value for kind, value in piece.provenance["nats"].items() if kind != "given"}
    nats = {kind: round(draft.nats.get(kind, 0) + own.get(kind, 0), 6) for kind in {**draft.nats, **own}}
    loops = {**draft.loops, name: piece.provenance["degenerate"]} if "degenerate" in piece.provenance else draft.loops
    known = {**draft.known, name: written}
    return replace(draft, form=replace(form, attempts=attempts), known=known, nats=nats, loops=loops)


def _unfit(draft: _Draft, name: str) -> bool:
    """Whether a section is silent, or strikes the same notes as another."""
    own = _onsets(draft.known[name], draft.ticks)
    return not own or any(_onsets(other, draft.ticks) == own for key, other in draft.known.items() if key != name)


def _compared(player: Player, draft: _Draft, redraws: int) -> _Draft:
    """The draft with what it copies, as far as it goes on without a gap; unless nothing is drawn anew for that."""
    if draft.form.request.max_copied_bars is None or not redraws:
        return draft
    from composer.originality.passages import compare

    written = takewhile(draft.known.__contains__, draft.form.sections)
    score = joined([draft.known[name] for name in written], draft.ticks)
    return replace(draft, copied=compare(score, player.learnt()).copied_bars)


def _copies(draft: _Draft, before: float = 0.0) -> bool:
    """Whether it copies more bars than its request allows, and than it did before."""
    most = draft.form.request.max_copied_bars
    return most is not None and draft.copied > max(most, before)


def _warn_of_copies(draft: _Draft) -> None:
    if _copies(draft):
        request, redrawn = draft.form.request, _redrawn(draft)
        found = f"has {draft.copied:.1f} bars copied after {redrawn} redraws, and is kept."
        warnings.warn(f"piece {request.index} of seed {request.seed} {found}", RequestWarning, stacklevel=2)


def _redrawn(draft: _Draft) -> int:
    """How often one of its sections was drawn anew."""
    return draft.form.request.attempt + sum(attempt for _, attempt in draft.form.attempts)


def _onsets(score: Score, ticks: int) -> set[tuple[int, int, int]]:
    """(track, start, pitch) of the notes of a section."""
    return {
        (number, start, pitch)
        for number, track in enumerate(score.tracks)
        for start, _, pitch, _ in track.notes.tolist()
        if start < ticks
    }


# --- one section ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Gap:
    """A section to be written: what is asked of the model, and where the section stands in that."""

    wanted: Fill
    start: int
    end: int


def _gap(draft: _Draft, name: str, draw: int) -> _Gap:
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
    return _Gap(Fill(request, score, tuple(spans), particles, form.look_ahead), start, end)


def _following(draft: _Draft, name: str, place: int) -> tuple[str, ...]:
    """The known sections that follow at once, as far as they are heard; none where the section is to end the piece."""
    form = draft.form
    if name == form.sections[-1]:
        return ()
    after = form.sections[place + 1 :]
    known = next((n for n, other in enumerate(after) if other not in draft.known), len(after))
    heard = -(-max(form.look_ahead, FOLLOWING) // form.bars)
    return after[: min(known, heard)]


def _head(draft: _Draft) -> int:
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


def _piece(draft: _Draft) -> Piece:
    sections = draft.form.sections
    score = joined([draft.known[name] for name in sections], draft.ticks)
    markers = [Text(score.upbeat + n * draft.ticks, name) for n, name in enumerate(sections)]
    if len(bars(score).signatures) - (score.upbeat > 0) < len(sections) * draft.form.bars:
        markers.append(Text(len(sections) * draft.ticks, END))  # the last bar is silent
    written = sum(len(_onsets(one, draft.ticks)) for one in draft.known.values())
    made_by = {**draft.made_by, **draft.form.to_json(), "nats": dict(draft.nats), "written_notes": written}
    made_by |= {"redrawn": redrawn} if (redrawn := _redrawn(draft)) else {}
    made_by |= {"degenerate": ", ".join(draft.loops.values())} if draft.loops else {}
    return Piece(replace(score, markers=tuple(markers)), made_by)
