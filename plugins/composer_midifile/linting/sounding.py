"""Notes from note-ons and note-offs, and rules for both."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from composer_midifile.linting.rules import Log
from composer_midifile.linting.scanning import Event, Track
from composer_midifile.walking import NOTE_OFF, NOTE_ON

LOUDEST, FEW = 127, 16
"""The highest velocity, and the fewest notes for a finding if all have it."""

_NAMES = ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B"]

_Key = tuple[int, int]


class Note(NamedTuple):
    """A note of a track, in ticks of the file."""

    start: int
    end: int
    channel: int
    pitch: int
    velocity: int


@dataclass
class _OpenNotes:
    """The sounding notes at a position of a track, by channel and pitch."""

    track: int
    log: Log
    notes: list[Note] = field(default_factory=list)
    sounding: dict[_Key, list[Event]] = field(default_factory=lambda: defaultdict(list))
    rearticulated: dict[_Key, Event] = field(default_factory=dict)  # the note-on that came while the pitch sounded
    ends: int = 0  # note-ons of velocity 0 without a sounding note

    def begin_note(self, key: _Key, event: Event) -> None:
        """Begin a note."""
        held = self.sounding[key]
        if held and held[-1].tick == event.tick:
            text = f"{spell_pitch(key[1])} is struck twice at one tick."
            self.log.add("duplicate-note", text, self.track, event.tick)
        elif held:
            self.settle_overlap(key)
            self.rearticulated[key] = event
        held.append(event)

    def end_note(self, key: _Key, event: Event) -> None:
        """End the first of the sounding notes of a pitch."""
        held = self.sounding[key]
        if not held:
            self.ends += event.status & 0xF0 == NOTE_ON
            text = f"{spell_pitch(key[1])} is ended where it does not sound."
            self.log.add("orphan-note-off", text, self.track, event.tick)
            return
        began = held.pop(0)
        if began.tick == event.tick:
            self.log.add("zero-length-note", f"{spell_pitch(key[1])} has no length.", self.track, event.tick)
        self.settle_overlap(key, event.tick)
        self.notes.append(Note(began.tick, event.tick, key[0], key[1], began.data[1]))

    def settle_overlap(self, key: _Key, released: int = -1) -> None:
        """Log a note-on during a sounding note as an overlap, or as a wrong order at one tick."""
        again = self.rearticulated.pop(key, None)
        if again is None:
            return
        if again.tick == released:
            text = f"{spell_pitch(key[1])} is struck before it ends at the same tick; the end belongs first."
            self.log.add("note-order", text, self.track, again.tick)
        else:
            text = f"{spell_pitch(key[1])} is struck while it sounds on the same channel."
            self.log.add("overlapping-notes", text, self.track, again.tick)

    def finish(self) -> None:
        """Log unfinished notes at the end of the track."""
        for key in list(self.rearticulated):
            self.settle_overlap(key)
        for key, held in self.sounding.items():
            for event in held:
                text = f"{spell_pitch(key[1])} is never ended."
                self.log.add("unclosed-note", text, self.track, event.tick)
        if self.ends and not self.notes:
            self.log.add("silent-notes", "All notes have velocity 0, which is silence.", self.track)


def pair_notes(track: Track, log: Log) -> list[Note]:
    """Pair the notes of a track, in the order of their ends."""
    held = _OpenNotes(track.number, log)
    for event in track.events:
        kind = event.status & 0xF0
        if kind == NOTE_ON and event.data[1]:
            held.begin_note((event.status & 0xF, event.data[0]), event)
        elif kind in (NOTE_OFF, NOTE_ON):
            held.end_note((event.status & 0xF, event.data[0]), event)
    held.finish()
    return held.notes


def spell_pitch(pitch: int) -> str:
    """Spell a MIDI pitch: 60 is C4."""
    return f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"


def check_velocities(notes: Iterable[Note], log: Log) -> None:
    """Log music without dynamics, all at the highest velocity."""
    velocities = [note.velocity for note in notes]
    if len(velocities) >= FEW and min(velocities) == LOUDEST:
        log.add("loud-notes", f"All {len(velocities):,} notes have the greatest velocity, 127.")


def check_copies(notes: Sequence[list[Note]], log: Log) -> None:
    """Log tracks with the same notes as an earlier one."""
    seen: dict[tuple[tuple[int, int, int], ...], int] = {}
    lengths = Counter(map(len, notes))
    for number, its in enumerate(notes, 1):
        if not its or lengths[len(its)] == 1:
            continue
        key = tuple(sorted((note.start, note.end, note.pitch) for note in its))
        first = seen.setdefault(key, number)
        if first != number:
            log.add("duplicate-track", f"The notes are those of track {first}.", number)
