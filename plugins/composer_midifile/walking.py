"""The one walk over the bytes of a MIDI file: chunks, delta times, running status, messages and meta events.

The reader and the linter both use it. It finds faults, and leaves it to them to mend, to report or to refuse.

Sources: Standard MIDI Files 1.0, RP-001; MIDI 1.0 Detailed Specification, MIDI Manufacturers Association 1996.
"""

from __future__ import annotations

import re
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

import numpy as np

# --- numbers of the format --------------------------------------------------------------------------------------------


TEXT, NAME, INSTRUMENT, LYRIC, MARKER, CUE = 1, 3, 4, 5, 6, 7
PORT, END_OF_TRACK, TEMPO, SMPTE_OFFSET, TIME_SIGNATURE, KEY_SIGNATURE = 0x21, 0x2F, 0x51, 0x54, 0x58, 0x59

META_SIZES = {0x20: 1, PORT: 1, END_OF_TRACK: 0, TEMPO: 3, SMPTE_OFFSET: 5, TIME_SIGNATURE: 4, KEY_SIGNATURE: 2}
"""Bytes of the meta events of a fixed size."""

NOTE_OFF, NOTE_ON, AFTERTOUCH, CONTROLLER, PROGRAM, BEND = 0x80, 0x90, 0xA0, 0xB0, 0xC0, 0xE0
SYSEX, SYSEX_REST, META = 0xF0, 0xF7, 0xFF


# --- the walk ---------------------------------------------------------------------------------------------------------


HEADER, TRACK = b"MThd", b"MTrk"

DEEPEST_HEADER = 256
"""The last offset of a header; wrappers precede it (RIFF: 20 bytes, MacBinary: 128)."""

STRETCH = re.compile(rb"(?:[\x80-\xff]{0,3}+[\x00-\x7f][\x80-\xbf\xe0-\xef]?+[\x00-\x7f]{2}){1,2048}")
"""Messages of two data bytes in a row: delta time, status (or none, if it is running), and data.

It is bounded, since `re` keeps a record of every round.
"""

LONG_STRETCH = 2048 * 3
"""Bytes: a shorter match did not end by that bound."""

PLAIN = re.compile(rb"(?:\x00\xff(?:\x51\x03[\x00-\xff]{3}|\x58\x04[\x00-\xff]{4}|\x59\x02[\x00-\xff]{2})){1,2048}")
"""Tempos and signatures of the right sizes without a delta time, as they stand together in most files."""

QUANTITY = re.compile(rb"[\x80-\xff]{0,3}[\x00-\x7f]")
"""A variable-length quantity: a delta time, or a length."""

_SYSTEM_DATA = {0xF1: 1, 0xF2: 2, 0xF3: 1}


class Header(NamedTuple):
    """The first chunk, which begins at `begin`."""

    begin: int
    length: int
    kind: int
    tracks: int
    division: int

    @property
    def end(self) -> int:
        """Where the next chunk begins. A header that states fewer than 6 bytes has 6."""
        return self.begin + 8 + max(self.length, 6)


def find_header(data: bytes) -> Header | None:
    """Find the header of a file; None if it has no whole one."""
    begin = data.find(HEADER, 0, DEEPEST_HEADER + len(HEADER))
    if begin < 0 or begin + 14 > len(data):
        return None
    return Header(begin, *struct.unpack_from(">IHHH", data, begin + 4))


def walk_chunks(data: bytes, at: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the chunks from `at` on, up to anything else.

    A last track may be cut short: its stated end is beyond the file.
    """
    while at + 8 <= len(data):
        name, start = data[at : at + 4], at + 8
        at = start + int.from_bytes(data[at + 4 : start], "big")
        if name != TRACK and (at > len(data) or not (name.isascii() and name.isalnum())):
            return
        yield name, start, at


class Fault(Enum):
    """A reason why the rest of a track cannot be decoded."""

    LONG_TIME = auto()  # a delta time of more than four bytes
    LONG_SIZE = auto()  # a length of more than four bytes
    NO_STATUS = auto()  # running status without a message before
    DATA_BYTE = auto()  # a data byte above 127
    CUT_SHORT = auto()  # the track ends within an event
    OVERRUN = auto()  # the stated length of an event exceeds the track
    CROWDED = auto()  # more other events than `most_others`


@dataclass
class TrackData:
    """The messages of a track with two data bytes, in stretches, each of which states its first status.

    All other events are `others`. `before` has, for each stretch, the ticks of the others before it, and `ticks` those
    of all others.
    """

    stretches: list[bytes] = field(default_factory=list)
    before: list[int] = field(default_factory=list)
    others: int = 0
    ticks: int = 0


class TrackWalk(ABC):
    """A walk over `data[at:end]`, the events of a track. Subclasses take the events, and refuse faults."""

    found: TrackData

    def __init__(self, data: bytes, start: int, end: int, most_others: int) -> None:
        self.data, self.at, self.end = data, start, end
        self.most_others = most_others
        self.time = b""  # the delta time of the current event
        self.running = 0  # the running status; 0: none, -1: that of the last message of the last stretch
        self.crossed = False  # whether an event came since that cancels running status
        self.ended = False  # by an end mark

    @abstractmethod
    def take_short(self, status: int, value: int) -> None:
        """Take a message of one data byte."""

    @abstractmethod
    def take_system(self, status: int, at: int) -> None:
        """Take a system message at byte `at`, other than exclusive ones. They belong on a cable, not in a file."""

    @abstractmethod
    def take_sysex(self, status: int, content: bytes) -> None:
        """Take a system exclusive message, or a part of one."""

    @abstractmethod
    def take_meta(self, kind: int, content: bytes) -> None:
        """Take a meta event."""

    @abstractmethod
    def take_plain(self, metas: Sequence[tuple[int, bytes]]) -> None:
        """Take tempos and signatures of the right sizes, all without a delta time."""

    @abstractmethod
    def take_crossing(self) -> None:
        """Take note that the next message uses a running status which was cancelled."""

    @abstractmethod
    def refuse(self, fault: Fault, at: int, size: int = 0) -> None:
        """Raise an exception, or end the walk; `size` is that of the data at byte `at`, if any is concerned."""

    def take_stretch(self, stretch: bytes) -> None:
        """Take messages of two data bytes."""
        found = self.found
        found.stretches.append(stretch)
        found.before.append(found.ticks)

    def step(self) -> None:
        """Decode a stretch of messages of two data bytes, or one event of another kind."""
        if plain := PLAIN.match(self.data, self.at, self.end):
            return self._walk_plain(plain)
        body = self._skip_quantity(self.at)
        if body >= self.end:
            return self._refuse_time(body)
        self.time, status = self.data[self.at : body], self.data[body]
        if status >= 0x80:
            body += 1
        else:
            status = self._recall_status()
            if not status:
                return self.refuse(Fault.NO_STATUS, body)
            if self.crossed:
                self.take_crossing()
        if status == META:
            return self._walk_meta(body)
        if status >= 0xF0:
            return self._walk_system(status, body)
        return self._walk_short(status, body) if 0xC0 <= status < 0xE0 else self._walk_stretch(status, body)

    def _walk_plain(self, match: re.Match[bytes]) -> None:
        self.at, self.crossed, self.time = match.end(), True, b"\x00"
        raw, at, metas = match[0], 2, []
        while at < len(raw):
            after = at + 2 + raw[at + 1]
            metas.append((raw[at], raw[at + 2 : after]))
            at = after + 2
        self.take_plain(metas)
        self.found.others += len(metas)
        self._check_others()

    def _refuse_time(self, body: int) -> None:
        """Refuse an event whose delta time is cut short, too long, or without anything after it."""
        self.time = self.data[self.at : body] if body == self.end else b""
        is_long = body > self.end and self.end - self.at > 3
        self.refuse(Fault.LONG_TIME if is_long else Fault.CUT_SHORT, self.at)

    def _recall_status(self) -> int:
        if self.running < 0:
            self.running = find_last_status(self.found.stretches[-1])
        return self.running

    def _walk_stretch(self, status: int, body: int) -> None:
        reached = self.at
        while match := STRETCH.match(self.data, reached, self.end):
            reached = match.end()
            if reached - match.start() < LONG_STRETCH:
                break
        if reached <= body:
            return self._refuse_data(body, 2)
        self.at, self.running, self.crossed = reached, -1, False
        return self.take_stretch(self.time + bytes([status]) + self.data[body:reached])

    def _walk_short(self, status: int, body: int) -> None:
        if body == self.end or (value := self.data[body]) > 127:
            return self._refuse_data(body, 1)
        self.at, self.running, self.crossed = body + 1, status, False
        self._pass_time()
        return self.take_short(status, value)

    def _refuse_data(self, body: int, size: int) -> None:
        """Refuse data bytes of which one is above 127, or which the track cuts short."""
        is_bad = not self.data[body : min(body + size, self.end)].isascii()
        self.refuse(Fault.DATA_BYTE if is_bad else Fault.CUT_SHORT, body, size)

    def _walk_system(self, status: int, body: int) -> None:
        self.crossed = status < 0xF8
        if status in (SYSEX, SYSEX_REST):
            return self._walk_sysex(status, body)
        self.at = body + _SYSTEM_DATA.get(status, 0)
        self.take_system(status, body - 1)
        return self._pass_time() if self.at <= self.end else self.refuse(Fault.CUT_SHORT, body)

    def _walk_sysex(self, status: int, body: int) -> None:
        content = self._walk_content(body)
        if content is not None:
            self._pass_time()
            self.take_sysex(status, content)

    def _walk_meta(self, body: int) -> None:
        self.crossed = True
        content = self._walk_content(body + 1)
        if content is not None:
            self._pass_time()
            self.take_meta(self.data[body], content)

    def _walk_content(self, at: int) -> bytes | None:
        """Return the bytes after the length at `at`, and step behind them; None if they are refused."""
        begin = self._skip_quantity(at)
        if begin > self.end:
            self.refuse(Fault.LONG_SIZE if self.end - at > 3 else Fault.CUT_SHORT, at)
            return None
        after = begin + decode_quantity(self.data[at:begin])
        if after > self.end:
            self.refuse(Fault.OVERRUN, begin, after - begin)
            return None
        self.at = after
        return self.data[begin:after]

    def _skip_quantity(self, at: int) -> int:
        """Return the end of the variable-length quantity at `at`; a byte beyond the track if it has none."""
        if at < self.end and self.data[at] < 0x80:
            return at + 1
        match = QUANTITY.match(self.data, at, self.end)
        return match.end() if match else self.end + 1

    def _pass_time(self) -> None:
        """Count an event and its delta time."""
        found, time = self.found, self.time
        found.ticks += time[0] if len(time) == 1 else decode_quantity(time)
        found.others += 1
        if found.others > self.most_others:
            self._check_others()

    def _check_others(self) -> None:
        if self.found.others > self.most_others:
            self.refuse(Fault.CROWDED, self.at)


def decode_quantity(raw: bytes) -> int:
    """Decode a variable-length quantity."""
    value = 0
    for byte in raw:
        value = value << 7 | byte & 0x7F
    return value


def find_last_status(stretch: bytes) -> int:
    """Return the status of the last message of a stretch."""
    raw = np.frombuffer(stretch, dtype=np.uint8)
    data = np.flatnonzero(raw < 0x80)[1::3]
    stated = raw[data - 1]
    return int(stated[np.flatnonzero(stated >= 0x80)[-1]])
