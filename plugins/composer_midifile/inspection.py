"""A MIDI file's bytes as the events of its tracks, for the reader."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from composer_midifile.events import Chunks, TrackEvents, find_chunks, read_events

MOST_BYTES = 16 * 2**20
"""A larger file is refused: no piece of music is that long."""

MOST_OTHER_EVENTS = 100_000
"""Texts, tempos, programs and the like, in all tracks together."""


@dataclass(frozen=True)
class DecodedFile:
    """The events of a MIDI file, all valid."""

    division: int
    tracks: list[TrackEvents]
    remarks: Counter[str]  # on dropped and mended events, with counts

    @property
    def own_text(self) -> bytes:
        """The provenance of the piece, as the first track states it."""
        return self.tracks[0].own_text if self.tracks else b""


def decode_file(data: bytes) -> DecodedFile:
    """Read the events of a file. Raises Damaged if they cannot be decoded."""
    chunks = find_chunks(data)
    tracks = _decode_tracks(data, chunks)
    remarks = Counter([*chunks.remarks, *(remark for track in tracks for remark in track.remarks)])
    return DecodedFile(chunks.division, tracks, remarks)


def _decode_tracks(data: bytes, chunks: Chunks) -> list[TrackEvents]:
    tracks: list[TrackEvents] = []
    left, last = MOST_OTHER_EVENTS, len(chunks.tracks) - 1
    for i, (start, end) in enumerate(chunks.tracks):
        tracks.append(read_events(data, start, end, left, broken_off=chunks.broken_off and i == last))
        left -= tracks[-1].others
    return tracks
