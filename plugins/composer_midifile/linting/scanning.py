"""A MIDI file's bytes as events, with what is wrong in their structure; it knows no music.

It is a parser of its own: it shares no code with the exporter, which it is to find fault with, nor with the reader, and
it goes on where those refuse. Source: Standard MIDI Files 1.0, RP-001, MIDI Manufacturers Association 1996.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from composer_midifile.linting.rules import Log

MOST_EVENTS = 1_000_000
"""What comes after so many is not looked at."""

META_SIZES = {0x20: 1, 0x21: 1, 0x2F: 0, 0x51: 3, 0x54: 5, 0x58: 4, 0x59: 2}
"""Bytes of the meta events whose size is fixed."""

_PLAIN = re.compile(rb"([\x80-\xff]?)([\x00-\x7f])([\x80-\xbf\xe0-\xef]?)([\x00-\x7f]{2})")

_DEEPEST_HEADER = 256  # where wrappers (RIFF: 20 bytes, MacBinary: 128) put it at the latest


class Event(NamedTuple):
    """A message or a meta event (status FF hex, of a `kind`) at a tick of the file."""

    tick: int
    status: int
    data: bytes
    kind: int = -1


@dataclass(frozen=True)
class Track:
    """The events of a track, counted from 1, where it ends, and whether these are all that it holds."""

    number: int
    events: list[Event]
    end: int
    is_whole: bool = True


@dataclass(frozen=True)
class File:
    """What a header says, and the tracks; `division` is in ticks to a quarter note, or 0 where it is in seconds."""

    kind: int
    division: int
    tracks: list[Track]


class _Broken(Exception):
    """The rest of a track cannot be told: the rule, and a sentence."""


def scan(data: bytes, log: Log) -> File | None:
    """The events of a file as far as they can be told; None if it has no header."""
    at = data.find(b"MThd", 0, _DEEPEST_HEADER + 4)
    if at < 0 or at + 14 > len(data):
        what = "is empty" if not data else "is not a MIDI file: it has no whole header chunk 'MThd'"
        log.add("no-header", f"The file {what}.")
        return None
    length, kind, promised, division = struct.unpack_from(">IHHH", data, at + 4)
    if at:
        log.add("junk-before-header", f"There are {at} bytes before the header, and most programs refuse such a file.")
    if length < 6:
        log.add("header-length", f"The header has {length} bytes where there are 6.")
    elif length > 6:
        log.add("long-header", f"The header has {length} bytes where 6 are known.")
    chunks = list(_chunks(data, at + 8 + max(length, 6), log))
    _check_header(kind, promised, len(chunks), log)
    tracks: list[Track] = []
    left = MOST_EVENTS
    for number, (start, end) in enumerate(chunks, 1):
        tracks.append(_track(data, start, end, number, left, log))
        left -= len(tracks[-1].events)
    return File(kind, _ticks_to_a_quarter(division, log), tracks)


def _chunks(data: bytes, at: int, log: Log) -> Iterator[tuple[int, int]]:
    """Where the events of each track lie."""
    while at + 8 <= len(data):
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "big")
        start, at = at + 8, at + 8 + length
        if name == b"MTrk":
            if at > len(data):
                log.add(
                    "chunk-length", f"A track states {length:,} bytes, and the file ends {at - len(data):,} earlier."
                )
            yield start, min(at, len(data))
        elif at <= len(data) and name.isascii() and name.isalnum():
            log.add("alien-chunk", f"There is a chunk '{name.decode()}' that is no track.")
        else:
            at = start - 8
            break
    if at < len(data):
        log.add("trailing-bytes", f"There are {len(data) - at:,} bytes after the last track.")


def _check_header(kind: int, promised: int, found: int, log: Log) -> None:
    if kind > 2:
        log.add("file-type", f"The file is of type {kind}; there are the types 0, 1 and 2.")
    elif kind == 2:
        log.add("independent-sequences", "The file holds independent sequences (type 2), which most programs refuse.")
    elif kind == 0 and found > 1:
        log.add("file-type", f"Type 0 stands for one track, and there are {found:,}.")
    if promised != found:
        log.add("track-count", f"The header promises {promised:,} track(s), and there are {found:,}.")


def _ticks_to_a_quarter(division: int, log: Log) -> int:
    if division & 0x8000:
        frames = 256 - (division >> 8)
        if frames in (24, 25, 29, 30):
            log.add("film-frames", f"Time is counted in film frames ({frames} a second), so that there are no bars.")
        else:
            log.add("division", f"Time is counted in {frames} film frames a second; there are 24, 25, 29 and 30.")
        return 0
    if division == 0:
        log.add("division", "There are 0 ticks to a quarter note, so that no note has a length.")
    elif division < 24:
        log.add("coarse-division", f"There are {division} ticks to a quarter note, too few for most rhythms.")
    return division


def _track(data: bytes, start: int, end: int, number: int, most: int, log: Log) -> Track:
    walk = _Walk(data, start, end, number, log)
    try:
        while walk.at < end and not walk.ended:
            walk.messages(most)
            if len(walk.events) >= most:
                raise _Broken("too-many-events", f"There are {MOST_EVENTS:,} events, and more; the rest was left out.")
            walk.step()
        if not walk.ended:
            log.add("no-end-of-track", "The track has no end mark.", number, walk.tick)
        elif walk.at < end:
            log.add("after-end-of-track", f"There are {end - walk.at:,} bytes after the end mark.", number, walk.tick)
    except _Broken as broken:
        rule, text = broken.args
        log.add(rule, text, number, walk.tick)
        return Track(number, walk.events, walk.tick, is_whole=False)
    return Track(number, walk.events, walk.tick)


@dataclass
class _Walk:
    """A place in a track's bytes."""

    data: bytes
    at: int
    end: int
    number: int
    log: Log
    tick: int = 0
    running: int = 0
    crossed: bool = False  # whether an event came since that cancels running status
    open_sysex: bool = False
    ended: bool = False
    events: list[Event] = field(default_factory=list)

    def messages(self, most: int) -> None:
        """Take in what is plain, messages of two data bytes at short times, until there are so many events.

        `step` would do the same at a third of the speed.
        """
        data, at, tick, running = self.data, self.at, self.tick, 0 if self.crossed else self.running
        events = self.events
        while at + 6 <= self.end and len(events) < most:
            plain = _PLAIN.match(data, at)
            if plain is None or not (status := plain[3][0] if plain[3] else running):
                break
            tick += (plain[1][0] & 0x7F) << 7 | plain[2][0] if plain[1] else plain[2][0]
            events.append(Event(tick, status, plain[4]))
            at, running = plain.end(), status
        if at > self.at:
            self.at, self.tick, self.running, self.crossed = at, tick, running, False

    def step(self) -> None:
        """Take in one event. Raises _Broken."""
        if self.at >= self.end:
            return
        self.tick += self._quantity()
        status = self._byte()
        if status < 0x80:
            status = self._running(status)
        if status < 0xF0:
            self._message(status)
        elif status == 0xFF:
            self._meta()
        elif status in (0xF0, 0xF7):
            self._sysex(status)
        else:
            raise _Broken("system-message", f"At byte {self.at - 1} is {status:02X} hex, which belongs on a cable.")

    def _byte(self) -> int:
        if self.at >= self.end:
            raise _Broken("broken-event", "The track ends in the middle of an event.")
        self.at += 1
        return self.data[self.at - 1]

    def _quantity(self) -> int:
        value = 0
        for _ in range(4):
            byte = self._byte()
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value
        raise _Broken("long-quantity", f"The number before byte {self.at} has more than 4 bytes.")

    def _running(self, data: int) -> int:
        """The status that was left out."""
        if not self.running:
            raise _Broken("running-status", f"The event at byte {self.at - 1} has no status, and none comes before it.")
        if self.crossed:
            text = "An event leaves its status out after a meta or system event, where it must be stated."
            self.log.add("status-across-event", text, self.number, self.tick)
            self.crossed = False
        self.at -= 1
        return self.running

    def _message(self, status: int) -> None:
        self.running, self.crossed = status, False
        after = self.at + (1 if 0xC0 <= status < 0xE0 else 2)
        data = self.data[self.at : min(after, self.end)]
        if not data.isascii():
            raise _Broken(
                "data-byte", f"After byte {self.at - 1} is the value {max(data)}, where there is at most 127."
            )
        if after > self.end:
            raise _Broken("broken-event", "The track ends in the middle of an event.")
        self.at = after
        self.events.append(Event(self.tick, status, data))

    def _payload(self) -> bytes:
        size = self._quantity()
        if self.at + size > self.end:
            raise _Broken(
                "broken-event", f"An event of {size:,} bytes at byte {self.at} runs past the end of its track."
            )
        self.at += size
        return self.data[self.at - size : self.at]

    def _sysex(self, status: int) -> None:
        data = self._payload()
        self.crossed = True
        if status == 0xF0 or self.open_sysex:
            self.open_sysex = not data.endswith(b"\xf7")
        self.events.append(Event(self.tick, status, data))

    def _meta(self) -> None:
        kind, data = self._byte(), self._payload()
        self.crossed = True
        size = META_SIZES.get(kind, len(data))
        if len(data) != size:
            text = f"A meta event {kind:02X} hex has {len(data):,} bytes where there are {size}."
            self.log.add("meta-length", text, self.number, self.tick)
        elif kind == 0x2F:
            self.ended = True
        else:
            self.events.append(Event(self.tick, 0xFF, data, kind))
        if self.ended and self.open_sysex:
            self.log.add("unfinished-sysex", "A system exclusive message has no end.", self.number, self.tick)
