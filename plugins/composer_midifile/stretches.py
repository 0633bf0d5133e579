"""Long stretches of channel messages, matched and counted without a loop over events; it knows no track.

A stretch is a run of messages with two data bytes (notes, controllers, bends), which is nearly all of most files.
"""

from __future__ import annotations

import re
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

STRETCH = re.compile(rb"(?:[\x80-\xff]{0,3}+[\x00-\x7f][\x80-\xbf\xe0-\xef]?+[\x00-\x7f]{2}){1,2048}")
"""The time, the status (or none, where it is the one before) and two data bytes, again and again.

It is bounded, since `re` keeps a record of every round.
"""

LONG_STRETCH = 2048 * 3
"""Bytes: a match that is shorter ended for another reason than that bound."""

QUANTITY = re.compile(rb"[\x80-\xff]{0,3}[\x00-\x7f]")
"""A variable-length quantity: ticks since the last event, or a length."""

_HIGH = bytes(byte >> 7 for byte in range(256))

_Places: TypeAlias = NDArray[np.intp]


def quantity(raw: bytes) -> int:
    """The number that a variable-length quantity stands for."""
    value = 0
    for byte in raw:
        value = value << 7 | byte & 0x7F
    return value


def count_messages(stretches: bytes) -> int:
    """How many messages there are in stretches joined."""
    return stretches.translate(_HIGH).count(0) // 3


def count_notes(stretches: bytes) -> int:
    """How many notes begin in stretches joined, each of which states its first status."""
    raw = np.frombuffer(stretches, dtype=np.uint8)
    low = np.flatnonzero(raw < 0x80)  # three to a message: the end of its time, and its two data bytes
    begins = (_statuses(raw, low[1::3]) & 0xF0 == 0x90) & (raw[low[2::3]] > 0)
    return int(np.count_nonzero(begins))


def most_ticks(stretches: bytes) -> int:
    """More ticks than stretches joined last, found at once."""
    high = stretches.translate(_HIGH)
    longest = 2**28 if b"\1\1" in high else 2**14  # two high bytes in a row: a time of three or four
    return longest * (len(stretches) // 3)


def ticks(stretches: bytes) -> int:
    """The ticks that stretches joined last."""
    raw = np.frombuffer(stretches, dtype=np.uint8)
    low = np.flatnonzero(raw < 0x80)
    time, last = low[0::3], low[2::3]
    total = int(raw[time].sum(dtype=np.int64))
    more = time.copy()  # bytes of each time before its last
    more[1:] -= last[:-1] + 1
    for place in range(1, 4):
        total += int((raw[time[more >= place] - place] & 0x7F).sum(dtype=np.int64)) << 7 * place
    return total


def last_status(stretch: bytes) -> int:
    """The status of its last message."""
    raw = np.frombuffer(stretch, dtype=np.uint8)
    return int(_statuses(raw, np.flatnonzero(raw < 0x80)[1::3])[-1])


def _statuses(raw: NDArray[np.uint8], data: _Places) -> NDArray[np.uint8]:
    """The status of each message, the one before where it is left out."""
    before = raw[data - 1]
    stated = before >= 0x80
    if stated.all():
        return before
    return before[np.maximum.accumulate(np.where(stated, np.arange(len(before)), 0))]
