"""A take: a session as a piece, with what made it; and the task that makes it again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from composer.errors import BadOption, printable
from composer.generation.generator import Generator, build_provenance
from composer.generation.streaming import Event
from composer.music.keys import parse_key
from composer.music.score import KeySignature, Score, Tempo, Track, make_labels, make_notes
from composer.request import Request
from composer.types import Piece
from composer_live.session import Session
from composer_live.values import (
    Action,
    Played,
    Setup,
    actions_from_json,
    actions_to_json,
    setup_from_json,
    setup_to_json,
)

COMMAND = "jam"
"""The command that makes takes, as their provenance names it."""


@dataclass(frozen=True)
class Take:
    """All that was played in a session, up to its end. With the model, it determines the piece."""

    setup: Setup
    actions: tuple[Action, ...]
    end: int  # tick

    @property
    def request(self) -> Request:
        """The request of the session."""
        return self.setup.request

    def replace_request(self, request: Request) -> Take:
        """Return the same take with another request."""
        return replace(self, setup=replace(self.setup, request=request))

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as in the provenance of a file."""
        played = {"setup": setup_to_json(self.setup), "actions": actions_to_json(self.actions), "end": self.end}
        return {"request": self.request.to_json(), "command": COMMAND, "played": played}

    def generate(self, generator: Generator) -> Piece:
        """Play the session again, without a clock. Raises BadOption for a model that cannot play it."""
        session = Session(generator, self.setup)
        for action in self.actions:
            session.act(action)
            session.take()
        session.close(self.end)
        return make_piece(session, self)


def read_take(provenance: Mapping[str, Any]) -> Take:
    """Read a take from the provenance of its piece. Raises BadOption for anything else."""
    try:
        played = provenance["played"]
        setup = setup_from_json(played["setup"], Request.from_json(provenance["request"]))
        actions, end = actions_from_json(played["actions"]), played["end"]
        if not isinstance(end, int) or not 0 <= end < 2**40:
            raise ValueError(f"{end} is no tick")
        return Take(setup, actions, end)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise BadOption(f"invalid take: {printable(str(error))}.") from None


def make_piece(session: Session, take: Take) -> Piece:
    """Make the piece of a session that is closed: a track of what was played, and those of the model."""
    tracks = [_make_played_track(take)]
    by_part: dict[tuple[int, bool, str], list[Event]] = {}
    for event in sorted(session.given):
        by_part.setdefault((event.program, event.is_drum, event.track), []).append(event)
    for (program, is_drum, name), events in sorted(by_part.items()):
        rows = pair_notes((e.tick, e.pitch, e.velocity) for e in events)
        tracks.append(Track(make_notes(rows), name or "composer", program, is_drum))
    keys = () if take.request.key is None else (KeySignature(0, parse_key(take.request.key).usual),)
    score = Score(
        tuple(track for track in tracks if len(track.notes)),
        tempos=tuple(Tempo(tick, bpm) for tick, bpm in take.setup.tempos),
        time_signatures=(take.setup.time_signature,),
        key_signatures=keys,
        labels=make_labels((), take.request.conditions),
    )
    return Piece(score, build_provenance(session.generator, take.to_json(), {}, 0, "", score.labels))


def _make_played_track(take: Take) -> Track:
    played = [(a.tick, a.pitch, a.velocity) for a in take.actions if isinstance(a, Played)]
    ends = [(take.end, pitch, 0) for pitch in {pitch for _, pitch, _ in played}]
    return Track(make_notes(pair_notes([*played, *ends])), "played", take.setup.program)


def pair_notes(events: Iterable[tuple[int, int, int]]) -> Sequence[tuple[int, int, int, int]]:
    """Pair note-ons (tick, pitch, velocity) with their note-offs; a note that begins again ends there."""
    rows: list[tuple[int, int, int, int]] = []
    begun: dict[int, tuple[int, int]] = {}
    for tick, pitch, velocity in events:
        if pitch in begun:
            start, loud = begun.pop(pitch)
            rows.append((start, max(tick - start, 1), pitch, loud))
        if velocity:
            begun[pitch] = tick, velocity
    return rows
