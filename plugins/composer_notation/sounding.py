"""Written notes, and the rows of a Score that they become, ties joined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby
from typing import Any, Protocol, TypeVar

from composer_notation.bargrid import round_to_ticks

Note = TypeVar("Note", bound="HasVoice")

VELOCITY = 80
"""Velocity of a note without dynamics."""

FORTE = 90
"""Velocity that MusicXML counts as `dynamics="100"`."""


@dataclass(frozen=True)
class Sounding:
    """A written note: from `start` for `length` quarter notes, perhaps tied to the next one of its pitch."""

    start: Fraction
    length: Fraction
    pitch: int
    velocity: int = VELOCITY
    is_tied: bool = False
    voice: str = ""


def make_rows(notes: Iterable[Sounding]) -> list[tuple[int, int, int, int]]:
    """Convert notes to (start, duration, pitch, velocity) in ticks, tied ones joined."""
    return [
        (
            round_to_ticks(note.start),
            max(1, round_to_ticks(note.start + note.length) - round_to_ticks(note.start)),
            note.pitch,
            note.velocity,
        )
        for note in join_tied_notes(notes)
    ]


def join_tied_notes(notes: Iterable[Sounding]) -> list[Sounding]:
    """Join tied notes, and sort by start; a tie to nothing or to another pitch is ignored.

    A tie goes on in its own voice if that has the pitch, else in another one.
    """
    found: list[Sounding] = []
    waiting: dict[tuple[int, Fraction], dict[str, int]] = {}  # indices of tied notes, by voice
    for start, together in groupby(sorted(notes, key=lambda note: note.start), key=lambda note: note.start):
        for note in sorted(together, key=lambda note: note.voice not in waiting.get((note.pitch, note.start), ())):
            held = waiting.get((note.pitch, start), {})
            voice = note.voice if note.voice in held else next(iter(held), None)
            if voice is None:
                index = len(found)
                found.append(note)
            else:
                index = held.pop(voice)
                found[index] = replace(found[index], length=start + note.length - found[index].start)
            if note.is_tied:
                waiting.setdefault((note.pitch, start + note.length), {})[note.voice] = index
    return found


class HasVoice(Protocol):
    """A note in a voice, in any unit of time; a false voice is none."""

    @property
    def start(self) -> Any:
        """Its onset."""

    @property
    def length(self) -> Any:
        """Its duration."""

    @property
    def voice(self) -> Any:
        """The label of its voice."""


def split_voices(notes: Sequence[Note]) -> list[list[Note]]:
    """Split notes by voice if voices sound together; notes of no voice go with the first."""
    if not _has_overlap(notes):
        return [list(notes)]
    found: dict[Any, list[Note]] = {name: [] for name in sorted({note.voice for note in notes if note.voice})}
    first = next(iter(found))
    for note in notes:
        found[note.voice or first].append(note)
    return list(found.values())


def _has_overlap(notes: Iterable[HasVoice]) -> bool:
    """Tell whether notes of different voices ever sound together."""
    last = others = 0  # the end of the voice that reaches furthest, and of all others
    furthest = None
    for note in sorted((note for note in notes if note.voice), key=lambda note: note.start):
        if note.start < (others if note.voice == furthest else last):
            return True
        end = note.start + note.length
        if note.voice == furthest:
            last = max(last, end)
        elif end > last:
            last, others, furthest = end, last, note.voice
        else:
            others = max(others, end)
    return False
