"""The channel messages of a file as columns, decoded without a Python loop over messages.

They are those with two data bytes (notes, controllers, bends): nearly all events of most files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from composer_midifile.walking import TrackData

_Bytes: TypeAlias = NDArray[np.uint8]
_Longs: TypeAlias = NDArray[np.int64]


FEW_TRACKS = 32
"""Lines of so few tracks, with 16 channels of 128 pitches each, fit into 16 bits, which sort faster."""

_HIGH = bytes(range(0x80, 0x100))


@dataclass(frozen=True, eq=False)
class Messages:
    """The messages of all tracks, one track after the other as in the file. Each column is (messages,)."""

    track: NDArray[Any]  # 16 bits wide for few tracks, and so are lines of notes
    tick: _Longs  # of the file, from the beginning of the track
    status: _Bytes
    first: _Bytes
    second: _Bytes
    counts: list[int]  # messages in the first 0, 1… stretches
    reached: list[int]  # ticks of these
    begins: list[int]  # stretches in the first 0, 1… tracks

    def count_before(self, track: int, stretches: int) -> int:
        """Return the number of messages before an event that follows `stretches` stretches of its track."""
        return self.counts[self.begins[track] + stretches]

    def compute_tick(self, track: int, stretches: int, others: int) -> int:
        """Return the tick of an event that follows `stretches` stretches, and other events of `others` ticks."""
        begin = self.begins[track]
        return self.reached[begin + stretches] - self.reached[begin] + others


def read_messages(tracks: Sequence[TrackData]) -> Messages:
    """Decode the messages of these tracks."""
    stretches = [stretch for track in tracks for stretch in track.stretches]
    begins = list(accumulate([len(track.stretches) for track in tracks], initial=0))
    lengths = [count_messages(stretch) for stretch in stretches]
    counts = list(accumulate(lengths, initial=0))
    raw = np.frombuffer(b"".join(stretches), dtype=np.uint8)
    (low,) = (raw < 0x80).nonzero()  # three to a message: the end of its time, and its two data bytes
    columns, before = raw[low].reshape(-1, 3), raw[low - 1].reshape(-1, 3)
    elapsed = _decode_times(raw, low[::3], columns[:, 0], before[:, 0]).cumsum()
    reached = [0, *elapsed[[count - 1 for count in counts[1:]]].tolist()]
    of_track = [number for number, track in enumerate(tracks) for _ in track.stretches]
    others = [ticks for track in tracks for ticks in track.before]
    offset = [ticks - reached[begins[track]] for ticks, track in zip(others, of_track, strict=True)]
    return Messages(
        np.array(of_track, dtype=np.uint16 if len(tracks) <= FEW_TRACKS else np.int64).repeat(lengths),
        elapsed + np.array(offset, dtype=np.int64).repeat(lengths),
        _fill_statuses(before[:, 1]),
        columns[:, 1],
        columns[:, 2],
        counts,
        reached,
        begins,
    )


def count_messages(stretch: bytes) -> int:
    """Count the messages of a stretch."""
    return len(stretch.translate(None, _HIGH)) // 3  # the last byte of a time, and two data bytes


def _decode_times(raw: _Bytes, ends: _Longs, last: _Bytes, before: _Bytes) -> _Longs:
    """Decode the delta time of each message, given its end in `raw`, its last byte, and the byte before that.

    The byte before the first is the last of all, which is a data byte.
    """
    times = last + ((np.maximum(before, 0x80) - 0x80).astype(np.int64) << 7)
    (longer,) = (before >= 0x80).nonzero()
    for place in (2, 3):
        longer = longer[raw[ends[longer] - place] >= 0x80]
        if not len(longer):
            break
        times[longer] += (raw[ends[longer] - place] & 0x7F).astype(np.int64) << 7 * place
    return times


def _fill_statuses(before: _Bytes) -> _Bytes:
    """Return the status of each message with running status filled in, given the byte before its data bytes."""
    (stated,) = (before >= 0x80).nonzero()
    if len(stated) == len(before):
        return before
    lasts = np.empty_like(stated)
    lasts[:-1] = stated[1:] - stated[:-1]
    lasts[-1] = len(before) - stated[-1]
    return before[stated].repeat(lasts)
