"""A MIDI file's bytes as the events of its tracks; it builds no Score.

Source: Standard MIDI Files 1.0, RP-001, MIDI Manufacturers Association 1996.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from composer_midifile.chunks import Chunks, find_chunks
from composer_midifile.events import TrackEvents, read_events

MOST_BYTES = 16 * 2**20
"""A larger file is refused: no piece of music is that long."""

MOST_OTHER_EVENTS = 100_000
"""Texts, tempos, programs… of all tracks together."""


@dataclass(frozen=True)
class Inspected:
    """A MIDI file, of which every event is known to be what it says."""

    division: int
    tracks: list[TrackEvents]
    remarks: Counter[str]  # what was dropped or mended, and how often

    @property
    def own_text(self) -> bytes:
        """What made the piece, as the first track says."""
        return self.tracks[0].own_text if self.tracks else b""


def inspect(data: bytes) -> Inspected:
    """The events of a file. Raises Damaged if they cannot be told from these bytes."""
    chunks = find_chunks(data)
    tracks = _tracks(data, chunks)
    remarks = Counter([*chunks.remarks, *(remark for track in tracks for remark in track.remarks)])
    return Inspected(chunks.division, tracks, remarks)


def _tracks(data: bytes, chunks: Chunks) -> list[TrackEvents]:
    tracks: list[TrackEvents] = []
    left, last = MOST_OTHER_EVENTS, len(chunks.tracks) - 1
    for i, (start, end) in enumerate(chunks.tracks):
        tracks.append(read_events(data, start, end, left, broken_off=chunks.broken_off and i == last))
        left -= tracks[-1].others
    return tracks
