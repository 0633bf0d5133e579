"""A MIDI file's bytes, looked at before any parser sees them, and written clean; it builds no Score.

Source: Standard MIDI Files 1.0, RP-001, MIDI Manufacturers Association 1996.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from composer.score import TICKS_PER_QUARTER
from composer_midifile.chunks import Chunks, Damaged, find_chunks
from composer_midifile.events import CleanTrack, clean_track
from composer_midifile.stretches import count_messages, count_notes, most_ticks, ticks

MOST_BYTES = 16 * 2**20
"""A larger file is refused: no piece of music is that long."""

MOST_NOTES = 1_000_000
MOST_OTHER_EVENTS = 100_000
"""Texts, tempos, programs… of all tracks together."""

MOST_TICKS = 2**31 - 1
"""Of the file's own, and of a Score's."""


@dataclass(frozen=True)
class Inspected:
    """A MIDI file that any parser can read, and what is known of it already."""

    clean: bytes
    division: int
    stretches: bytes  # of all tracks, where the notes are
    title: str  # the name of a first track that has no notes
    own_text: bytes
    remarks: Counter[str]  # what was dropped or mended, and how often

    def unfinished(self, notes: int, others: int) -> int:
        """How many notes never end, where a parser found so many that do, and controllers and bends beside them."""
        if count_messages(self.stretches) == 2 * notes + others:  # a note takes two, so there is nothing else
            return 0
        return count_notes(self.stretches) - notes


def inspect(data: bytes) -> Inspected:
    """The same music in clean bytes. Raises Damaged if it cannot be told from these, or is too much of it."""
    chunks = find_chunks(data)
    tracks = _clean_tracks(data, chunks)
    stretches = b"".join([track.stretches for track in tracks])
    if count_messages(stretches) > MOST_NOTES and (notes := count_notes(stretches)) > MOST_NOTES:
        raise Damaged(f"holds {notes:,} notes; at most {MOST_NOTES:,} are read. Split it.")
    _check_length(tracks, most_ticks(stretches), chunks.division)
    first = tracks[0] if tracks else None
    return Inspected(
        _joined(chunks.division, tracks),
        chunks.division,
        stretches,
        title=first.name if first and first.name and not count_notes(first.stretches) else "",
        own_text=first.own_text if first else b"",
        remarks=Counter([*chunks.remarks, *(remark for track in tracks for remark in track.remarks)]),
    )


def _clean_tracks(data: bytes, chunks: Chunks) -> list[CleanTrack]:
    tracks: list[CleanTrack] = []
    left, last = MOST_OTHER_EVENTS, len(chunks.tracks) - 1
    for i, (start, end) in enumerate(chunks.tracks):
        tracks.append(clean_track(data, start, end, left, broken_off=chunks.broken_off and i == last))
        left -= tracks[-1].others
    return tracks


def _check_length(tracks: Sequence[CleanTrack], bound: int, division: int) -> None:
    """Raise Damaged for too long a track; `bound` is more than the stretches of all of them last together."""
    most = min(MOST_TICKS, MOST_TICKS * division // TICKS_PER_QUARTER)
    if bound + sum(track.ticks for track in tracks) <= most:
        return
    longest = max(ticks(track.stretches) + track.ticks for track in tracks)
    if longest > most:
        raise Damaged(f"lasts {longest // division:,} quarter notes, which is too long; split it, or cut its rests.")


def _joined(division: int, tracks: Sequence[CleanTrack]) -> bytes:
    header = struct.pack(">4sIHHH", b"MThd", 6, 1, len(tracks), division)
    return b"".join([header, *(struct.pack(">4sI", b"MTrk", len(track.data)) + track.data for track in tracks)])
