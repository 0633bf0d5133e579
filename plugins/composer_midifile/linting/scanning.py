"""A MIDI file's bytes as tracks of events, for the linter: structural faults are logged, and decoding goes on."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from composer_midifile.linting.rules import Log
from composer_midifile.messages import Messages, count_messages, read_messages
from composer_midifile.walking import (
    END_OF_TRACK,
    META,
    META_SIZES,
    SYSEX,
    TRACK,
    Fault,
    TrackData,
    TrackWalk,
    decode_quantity,
    find_header,
    walk_chunks,
)

MOST_EVENTS = 1_000_000
"""Later events are ignored."""


class Event(NamedTuple):
    """A message or a meta event (status FF hex, of a `kind`) at a tick of the file."""

    tick: int
    status: int
    data: bytes
    kind: int = -1


@dataclass(frozen=True)
class Track:
    """The events of a track, counted from 1, the tick of its end, and whether all its bytes were decoded."""

    number: int
    events: list[Event]
    end: int
    is_whole: bool = True


@dataclass(frozen=True)
class File:
    """The type, the ticks to a quarter note (0 if time is in seconds), and the tracks."""

    kind: int
    division: int
    tracks: list[Track]


def scan(data: bytes, log: Log) -> File | None:
    """Decode the events of a file as far as possible; None if it has no header."""
    header = find_header(data)
    if header is None:
        what = "is empty" if not data else "is not a MIDI file: it has no whole header chunk 'MThd'"
        log.add("no-header", f"The file {what}.")
        return None
    begin, length, kind, promised, division = header
    if begin:
        text = f"There are {begin} bytes before the header, and most programs refuse such a file."
        log.add("junk-before-header", text)
    if length < 6:
        log.add("header-length", f"The header has {length} bytes where there are 6.")
    elif length > 6:
        log.add("long-header", f"The header has {length} bytes where 6 are known.")
    chunks = list(_find_tracks(data, header.end, log))
    _check_header(kind, promised, len(chunks), log)
    return File(kind, _check_division(division, log), _scan_tracks(data, chunks, log))


def _find_tracks(data: bytes, at: int, log: Log) -> Iterator[tuple[int, int]]:
    """Yield where the events of each track lie."""
    for name, start, at in walk_chunks(data, at):  # noqa: B020  (the end of the last chunk is needed below)
        if name != TRACK:
            log.add("alien-chunk", f"There is a chunk '{name.decode()}' that is no track.")
            continue
        if at > len(data):
            text = f"A track states {at - start:,} bytes, and the file ends {at - len(data):,} earlier."
            log.add("chunk-length", text)
        yield start, min(at, len(data))
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


def _check_division(division: int, log: Log) -> int:
    """Return ticks to a quarter note, 0 for film frames, and log unusual values."""
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


def _scan_tracks(data: bytes, chunks: Sequence[tuple[int, int]], log: Log) -> list[Track]:
    """Decode all tracks, then log their faults at the right ticks."""
    scanned: list[_Scanned] = []
    room = MOST_EVENTS
    for start, end in chunks:
        walk = _LinterWalk(data, start, end, room)
        walk.run()
        scanned.append(walk.found)
        room = walk.room
    messages = read_messages(scanned)
    events = _list_messages(messages)
    tracks = []
    for number, found in enumerate(scanned):
        for rule, text, stretches, ticks in found.faults:
            log.add(rule, text, number + 1, messages.compute_tick(number, stretches, ticks))
        end = messages.compute_tick(number, len(found.stretches), found.end)
        tracks.append(Track(number + 1, _merge(number, found, messages, events), end, found.is_whole))
    return tracks


def _list_messages(messages: Messages) -> list[Event]:
    """Return all messages of two data bytes as events."""
    pairs = np.stack([messages.first, messages.second], axis=1).tobytes()
    data = [pairs[at : at + 2] for at in range(0, len(pairs), 2)]
    return list(map(Event, messages.tick.tolist(), messages.status.tolist(), data))


def _merge(number: int, found: _Scanned, messages: Messages, events: Sequence[Event]) -> list[Event]:
    """Merge the messages of a track with its other events, in the order of the file."""
    merged: list[Event] = []
    done = messages.count_before(number, 0)
    for stretches, (ticks, status, data, kind) in found.events:
        before = messages.count_before(number, stretches)
        merged += events[done:before]
        merged.append(Event(messages.compute_tick(number, stretches, ticks), status, data, kind))
        done = before
    merged += events[done : messages.count_before(number, len(found.stretches))]
    return merged


class _Fault(NamedTuple):
    """A breach of a rule, after so many stretches of the track and ticks of its other events."""

    rule: str
    text: str
    stretches: int
    ticks: int


@dataclass
class _Scanned(TrackData):
    """The events of a track that are not in stretches, each with the number of stretches before it, and faults."""

    events: list[tuple[int, Event]] = field(default_factory=list)  # in ticks of the other events
    faults: list[_Fault] = field(default_factory=list)
    end: int = 0  # ticks of the other events up to the end, or to the fault that ended the walk
    is_whole: bool = True


class _Broken(Exception):
    """The rest of a track cannot be decoded: the rule, a sentence, and ticks of the event that breaks it."""


class _LinterWalk(TrackWalk):
    """The walk of the linter."""

    found: _Scanned

    def __init__(self, data: bytes, start: int, end: int, room: int) -> None:
        super().__init__(data, start, end, most_others=sys.maxsize)
        self.found = _Scanned()
        self.room = room  # events that may still follow
        self.open_sysex = False

    def run(self) -> None:
        """Walk to the end of the track, or to the first fault that hides the rest."""
        ticks = 0
        try:
            while self.at < self.end and not self.ended:
                self._check_room()
                self.step()
            if not self.ended:
                self._log("no-end-of-track", "The track has no end mark.")
            elif self.at < self.end:
                self._log("after-end-of-track", f"There are {self.end - self.at:,} bytes after the end mark.")
        except _Broken as broken:
            rule, text, ticks = broken.args
            self._log(rule, text, ticks)
            self.found.is_whole = False
        self.found.end = self.found.ticks + ticks

    def _log(self, rule: str, text: str, ticks: int = 0) -> None:
        """Keep a fault; `ticks` is the delta time of an event that is not counted yet."""
        self.found.faults.append(_Fault(rule, text, len(self.found.stretches), self.found.ticks + ticks))

    def _add(self, status: int, data: bytes, kind: int = -1) -> None:
        self.found.events.append((len(self.found.stretches), Event(self.found.ticks, status, data, kind)))
        self.room -= 1

    def _check_room(self) -> None:
        if self.room <= 0:
            text = f"There are {MOST_EVENTS:,} events, and more; the rest was left out."
            raise _Broken("too-many-events", text, 0)

    def refuse(self, fault: Fault, at: int, size: int = 0) -> None:
        """Raise _Broken."""
        match fault:
            case Fault.LONG_TIME | Fault.LONG_SIZE:
                rule, text = "long-quantity", f"The number before byte {at + 4} has more than 4 bytes."
            case Fault.NO_STATUS:
                rule, text = "running-status", f"The event at byte {at} has no status, and none comes before it."
            case Fault.DATA_BYTE:
                value = max(self.data[at : min(at + size, self.end)])
                rule, text = "data-byte", f"After byte {at - 1} is the value {value}, where there is at most 127."
            case Fault.OVERRUN:
                text = f"An event of {size:,} bytes at byte {at} runs past the end of its track."
                rule = "broken-event"
            case _:
                rule, text = "broken-event", "The track ends in the middle of an event."
        raise _Broken(rule, text, decode_quantity(self.time))

    def take_crossing(self) -> None:
        """Log it."""
        text = "An event leaves its status out after a meta or system event, where it must be stated."
        self._log("status-across-event", text, decode_quantity(self.time))

    def take_stretch(self, stretch: bytes) -> None:
        """Keep as many messages as there is room for. Raises _Broken if some are left."""
        count = count_messages(stretch)
        if count > self.room:
            low = np.flatnonzero(np.frombuffer(stretch, dtype=np.uint8) < 0x80)  # three to a message
            stretch = stretch[: low[3 * self.room - 1] + 1]
        super().take_stretch(stretch)
        self.room -= count
        if self.room < 0:
            self._check_room()

    def take_short(self, status: int, value: int) -> None:
        """Keep it."""
        self._add(status, bytes([value]))

    def take_system(self, status: int, at: int) -> None:
        """Raise _Broken: what follows depends on its meaning."""
        text = f"At byte {at} is {status:02X} hex, which belongs on a cable."
        raise _Broken("system-message", text, decode_quantity(self.time))

    def take_sysex(self, status: int, content: bytes) -> None:
        """Keep it, and whether another part must follow."""
        if status == SYSEX or self.open_sysex:
            self.open_sysex = not content.endswith(b"\xf7")
        self._add(status, content)

    def take_plain(self, metas: Sequence[tuple[int, bytes]]) -> None:
        """Keep them, while there is room."""
        for kind, content in metas:
            self._check_room()
            self._add(META, content, kind)

    def take_meta(self, kind: int, content: bytes) -> None:
        """Keep it, unless its size is wrong; an end mark ends the walk."""
        size = META_SIZES.get(kind, len(content))
        if len(content) != size:
            text = f"A meta event {kind:02X} hex has {len(content):,} bytes where there are {size}."
            self._log("meta-length", text)
        elif kind == END_OF_TRACK:
            self.ended = True
        else:
            self._add(META, content, kind)
        if self.ended and self.open_sysex:
            self._log("unfinished-sysex", "A system exclusive message has no end.")
