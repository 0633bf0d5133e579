"""Phrases as events: what the model has written is played, and remembered for it to read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from composer.generation.streaming import Event
from composer_live.writing import PLAYED, PartNote, Phrase

if TYPE_CHECKING:
    from composer_live.session import Session


def list_events(notes: Iterable[PartNote], begin: int, until: int, *, ends: bool) -> list[Event]:
    """List the note-ons and note-offs from `begin` up to `until`; with `ends`, all notes end there."""
    found = []
    for note in notes:
        program, is_drum, track = note.part
        if begin <= note.start < until:
            found.append(Event(note.start, note.velocity, note.pitch, program, is_drum, track))
        end = min(note.end, until) if ends else note.end
        if note.start < until and begin <= end and (end < until or ends):
            found.append(Event(end, 0, note.pitch, program, is_drum, track))
    return sorted(found)


def shift_notes(notes: Iterable[PartNote], ticks: int) -> list[PartNote]:
    """Move notes in time."""
    return [replace(note, start=note.start + ticks, end=note.end + ticks) for note in notes]


def cut_notes(notes: Iterable[PartNote], begin: int, end: int) -> list[PartNote]:
    """List the notes that begin between two ticks, cut at the second."""
    return [replace(note, end=min(note.end, end)) for note in notes if begin <= note.start < end]


@dataclass
class Performance:
    """A phrase that is written a bar ahead, and moved by some ticks when it is played."""

    session: Session
    phrase: Phrase
    written: int  # tick up to which it is written, of the phrase
    moved: int = 0

    def write_bar(self, until: int, *, ends: bool) -> None:
        """Write up to a tick of the phrase, add the events, and remember the notes."""
        notes = self.phrase.extend(until)
        begin, self.written = self.written, until
        self.add(notes, begin, until, ends=ends)

    def add(self, notes: Sequence[PartNote], begin: int, until: int, *, ends: bool) -> None:
        """Add the events of notes, and remember those that are heard by the model again."""
        session, moved = self.session, self.moved
        session.add(list_events(shift_notes(notes, moved), begin + moved, until + moved, ends=ends))
        session.memory.notes = [
            n for n in session.memory.notes if n.part == PLAYED or n.start < self.phrase.first + moved
        ]
        session.memory.notes += shift_notes(cut_notes(notes, self.phrase.first, until), moved)
