"""A piece of which some sections are written: what it is so far, and what is wrong with it; it knows no model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from composer.errors import RequestWarning
from composer.generation.form.asked import Form
from composer.music.score import END, Score, Text, TimeSignature, bars
from composer.music.sections import joined, section
from composer.request import Request
from composer.types import Piece


@dataclass(frozen=True)
class Draft:
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


def begun(form: Form, piece: Piece) -> Draft:
    """The draft of which a piece is the first section."""
    score = piece.score
    metre = (score.time_signatures or (TimeSignature(0, 4, 4),))[0]
    ticks = form.bars * metre.bar_ticks
    first = section(score, 0, ticks + score.upbeat)
    request, name = Request.from_json(piece.provenance["request"]), form.sections[0]
    request = replace(request, max_copied_bars=form.request.max_copied_bars)
    loops = {name: piece.provenance["degenerate"]} if "degenerate" in piece.provenance else {}
    nats = piece.provenance["nats"]
    return Draft(replace(form, request=request), ticks, {name: first}, nats, piece.provenance, loops)


def unfit(draft: Draft, name: str) -> bool:
    """Whether a section is silent, or strikes the same notes as another."""
    own = onsets(draft.known[name], draft.ticks)
    return not own or any(onsets(other, draft.ticks) == own for key, other in draft.known.items() if key != name)


def copies(draft: Draft, before: float = 0.0) -> bool:
    """Whether it copies more bars than its request allows, and than it did before."""
    most = draft.form.request.max_copied_bars
    return most is not None and draft.copied > max(most, before)


def warn_of_copies(draft: Draft) -> None:
    """Tell by RequestWarning that it is kept although it copies more than its request allows."""
    if copies(draft):
        request = draft.form.request
        found = f"has {draft.copied:.1f} bars copied after {times_redrawn(draft)} redraws, and is kept."
        warnings.warn(f"piece {request.index} of seed {request.seed} {found}", RequestWarning, stacklevel=2)


def times_redrawn(draft: Draft) -> int:
    """How often one of its sections was drawn anew."""
    return draft.form.request.attempt + sum(attempt for _, attempt in draft.form.attempts)


def onsets(score: Score, ticks: int) -> set[tuple[int, int, int]]:
    """(track, start, pitch) of the notes of a section."""
    return {
        (number, start, pitch)
        for number, track in enumerate(score.tracks)
        for start, _, pitch, _ in track.notes.tolist()
        if start < ticks
    }


def piece_of(draft: Draft) -> Piece:
    """The whole, with a marker at each section."""
    sections = draft.form.sections
    score = joined([draft.known[name] for name in sections], draft.ticks)
    markers = [Text(score.upbeat + n * draft.ticks, name) for n, name in enumerate(sections)]
    if len(bars(score).signatures) - (score.upbeat > 0) < len(sections) * draft.form.bars:
        markers.append(Text(len(sections) * draft.ticks, END))  # the last bar is silent
    written = sum(len(onsets(one, draft.ticks)) for one in draft.known.values())
    made_by = {**draft.made_by, **draft.form.to_json(), "nats": dict(draft.nats), "written_notes": written}
    made_by |= {"redrawn": redrawn} if (redrawn := times_redrawn(draft)) else {}
    made_by |= {"degenerate": ", ".join(draft.loops.values())} if draft.loops else {}
    return Piece(replace(score, markers=tuple(markers)), made_by)
