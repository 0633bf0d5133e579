"""Ties: notes that are written apart and sound as one, over splits and joins of columns or from one to another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from composer_notation.kern.measures import Measure
from composer_notation.kern.spines import Spine, Time


class PlayedNote(NamedTuple):
    """A note as it is played, counted from the start of the piece. `begins` and `continues`: its ties."""

    spine: Spine
    start: Time
    length: Time
    pitch: int
    voice: int
    begins: bool
    continues: bool


def mend_ties(measures: Iterable[Measure]) -> int:
    """Mend ties that are written at their first note alone, if the next note fits, and count them.

    The next note must follow at once, in the same voice and of that pitch. No other tie may end there.
    """
    written = [(measure, index, note) for measure in measures for index, note in enumerate(measure.notes)]
    ended = {(note.spine, note.pitch, measure.start + note.start) for measure, _, note in written if note.continues}
    waiting: set[tuple[Spine, int, int, Time]] = set()
    count = 0
    for measure, index, note in written:
        start = measure.start + note.start
        is_due = (note.spine, note.voice, note.pitch, start) in waiting
        if is_due and (note.spine, note.pitch, start) not in ended:
            measure.notes[index] = note._replace(continues=True)
            count += 1
        if note.begins:
            waiting.add((note.spine, note.voice, note.pitch, start + note.length))
    return count


def join_ties(columns: Mapping[Spine, Sequence[PlayedNote]]) -> dict[Spine, list[PlayedNote]]:
    """Join tied notes in each column, and then those whose ties lead from one column to another.

    A tie holds where both its ends are written, and the one note ends where the other begins. Else both are onsets.
    """
    joined = [note for notes in columns.values() for note in _join(notes)]
    open_ended = [note for note in joined if note.begins or note.continues]
    found: dict[Spine, list[PlayedNote]] = {spine: [] for spine in columns}
    for note in (*(note for note in joined if not (note.begins or note.continues)), *_join(open_ended)):
        found[note.spine].append(note)
    return found


def _join(notes: Iterable[PlayedNote]) -> list[PlayedNote]:
    found: list[PlayedNote] = []
    waiting: dict[tuple[int, Time], list[int]] = {}
    for note in sorted(notes, key=lambda note: note.start):
        earlier = _take_earlier(waiting.get((note.pitch, note.start), []), note, found) if note.continues else None
        index = len(found) if earlier is None else earlier
        if earlier is None:
            found.append(note)
        else:
            length = note.start + note.length - found[index].start
            found[index] = found[index]._replace(length=length, begins=note.begins)
        if note.begins:
            waiting.setdefault((note.pitch, note.start + note.length), []).append(index)
    return found


def _take_earlier(indices: list[int], note: PlayedNote, found: Sequence[PlayedNote]) -> int | None:
    """Take the note that is tied to this one: that of its own voice, if several wait."""
    if not indices:
        return None
    own = next((at for at, index in enumerate(indices) if found[index].voice == note.voice), 0)
    return indices.pop(own)
