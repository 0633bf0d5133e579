"""The events of one track, checked byte by byte; it knows no note and no file.

What is found is channel messages, names, markers, tempos and signatures of the right sizes, and nothing else: nobody
meets a length that lies, and what is lost has been said.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from composer_midifile.chunks import Damaged

MOST_CHARACTERS = 100
"""Longer names and markers are cut."""

OWN_TEXT = b"composer:"
"""How the text event begins that carries what made a piece."""

TEXT, MARKER, TEMPO, TIME_SIGNATURE, KEY_SIGNATURE, PROGRAM = 1, 6, 0x51, 0x58, 0x59, 0xC0
_NAME, _LYRIC, _CUE, _PORT, _END_OF_TRACK, _SMPTE_OFFSET = 3, 5, 7, 0x21, 0x2F, 0x54
_SIZES = {TEMPO: (3, "tempo"), TIME_SIGNATURE: (4, "time signature"), KEY_SIGNATURE: (2, "key signature")}
_LEFT_OUT = {_LYRIC: "lyrics", _SMPTE_OFFSET: "SMPTE offsets"}

STRETCH = re.compile(rb"(?:[\x80-\xff]{0,3}+[\x00-\x7f][\x80-\xbf\xe0-\xef]?+[\x00-\x7f]{2}){1,2048}")
"""The time, the status (or none, where it is the one before) and two data bytes, again and again.

It is bounded, since `re` keeps a record of every round.
"""

LONG_STRETCH = 2048 * 3
"""Bytes: a match that is shorter ended for another reason than that bound."""

PLAIN = re.compile(rb"(?:\x00\xff(?:\x51\x03[\x00-\xff]{3}|\x58\x04[\x00-\xff]{4}|\x59\x02[\x00-\xff]{2})){1,2048}")
"""Tempos and signatures of the right sizes, at once after what comes before, as they stand together in most files."""

QUANTITY = re.compile(rb"[\x80-\xff]{0,3}[\x00-\x7f]")
"""A variable-length quantity: ticks since the last event, or a length."""

_SYSTEM_DATA = {0xF1: 1, 0xF2: 2, 0xF3: 1}


class Event(NamedTuple):
    """A tempo, signature, text, marker or program, of a `kind` above; a program has its channel in its kind.

    It follows so many `stretches` of its track; the other events before it, and its own time, last `others` ticks.
    """

    stretches: int
    others: int
    kind: int
    content: bytes


@dataclass
class TrackEvents:
    """What a track holds: stretches of messages of two data bytes, each of which states its first status, and the rest.

    `before` says for each stretch how many ticks the other events before it last, and `ticks` what all of them do.
    """

    stretches: list[bytes] = field(default_factory=list)
    before: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    others: int = 0  # how many events are not in the stretches
    ticks: int = 0
    name: str = ""
    port: int = 0
    own_text: bytes = b""  # what follows `OWN_TEXT` in the first text event that begins so
    remarks: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def read_events(data: bytes, start: int, end: int, most_others: int, *, broken_off: bool = False) -> TrackEvents:
    """The events of `data[start:end]`; those of a track that is `broken_off` may stop anywhere.

    Raises Damaged, naming the place in `data`, where it is no longer sure what follows, and beyond `most_others` of
    events that are not notes, controllers or bends.
    """
    walk = _Walk(data, start, end, most_others, broken_off)
    while walk.at < walk.end:
        walk.step()
    if not (walk.ended or walk.broken_off):
        walk.found.remarks.append("a track without an end mark was read to its last byte")
    return walk.found


@dataclass
class _Walk:
    """A place in a track's bytes, and what has been found before it."""

    data: bytes
    at: int
    end: int
    most_others: int
    broken_off: bool
    running: int = 0  # the status that an event may leave out; 0: none yet, -1: the last one of the last stretch
    cancelled: bool = False  # whether an event came since that should have ended that
    ended: bool = False
    found: TrackEvents = field(default_factory=TrackEvents)

    def step(self) -> None:
        """Take in a stretch of notes and controllers, or one event of another kind."""
        if plain := PLAIN.match(self.data, self.at, self.end):
            return self._plain(plain)
        body = self._after_quantity(self.at)
        if body > self.end and self.end - self.at > 3:
            raise Damaged(f"has at byte {self.at} a time of more than 4 bytes; export it again.")
        if body >= self.end:
            return self._break_off()
        time, status = self.data[self.at : body], self.data[body]
        if status < 0x80:
            status = self._status_left_out(body)
        else:
            body += 1
        if status >= 0xF0:
            return self._system(time, status, body)
        return self._short(time, status, body) if 0xC0 <= status < 0xE0 else self._stretch(time, status, body)

    def _plain(self, found: re.Match[bytes]) -> None:
        """Events of known sizes and no time."""
        self.at, self.cancelled = found.end(), True
        raw, at, number = found[0], 2, 0
        while at < len(raw):
            kind, after = raw[at], at + 2 + raw[at + 1]
            self._add(kind, raw[at + 2 : after])
            at, number = after + 2, number + 1
        self._count(number)

    def _break_off(self) -> None:
        if not self.broken_off:
            raise Damaged(f"has a track that ends in the middle of an event, at byte {self.end}; export it again.")
        self.at = self.end

    def _status_left_out(self, body: int) -> int:
        if self.running < 0:
            self.running = last_status(self.found.stretches[-1])
        if self.running == 0:
            raise Damaged(f"has at byte {body} an event without a kind, and none before it; export it again.")
        if self.cancelled:
            self.found.remarks.append("an event without a kind was taken for one like those before")
        return self.running

    def _stretch(self, time: bytes, status: int, body: int) -> None:
        reached = self.at
        while found := STRETCH.match(self.data, reached, self.end):
            reached = found.end()
            if reached - found.start() < LONG_STRETCH:
                break
        if reached <= body:
            return self._check_data(body, 2)
        self.at = reached
        self.found.stretches.append(time + bytes([status]) + self.data[body : self.at])
        self.found.before.append(self.found.ticks)
        self.running, self.cancelled = -1, False
        return None

    def _check_data(self, body: int, size: int) -> None:
        """Raise Damaged if one of the next bytes is no data byte, and else take in the end of the track."""
        for place, value in enumerate(self.data[body : min(body + size, self.end)], body):
            if value > 127:
                raise Damaged(f"has at byte {place} the value {value}, where there is at most 127; export it again.")
        if body + size > self.end:
            self._break_off()

    def _short(self, time: bytes, status: int, body: int) -> None:
        if body == self.end or self.data[body] > 127:
            return self._check_data(body, 1)
        self.at, self.running, self.cancelled = body + 1, status, False
        self._pass(time)
        if status < 0xD0:
            self._add(status, self.data[body : body + 1])
        elif self.data[body]:
            self.found.left_out["aftertouch"] += 1
        return None

    def _add(self, kind: int, content: bytes) -> None:
        self.found.events.append(Event(len(self.found.stretches), self.found.ticks, kind, content))

    def _pass(self, time: bytes) -> None:
        """Count an event and its time."""
        self.found.ticks += time[0] if len(time) == 1 else quantity(time)
        self._count(1)

    def _count(self, events: int) -> None:
        self.found.others += events
        if self.found.others > self.most_others:
            raise Damaged("is full of events that are no music; export it again with notes and tempos alone.")

    def _system(self, time: bytes, status: int, body: int) -> None:
        self.cancelled = status < 0xF8 or status == 0xFF
        if status == 0xFF:
            return self._meta(time, body)
        if status in (0xF0, 0xF7):
            return self._exclusive(time, body)
        self.at = body + _SYSTEM_DATA.get(status, 0)
        self.found.remarks.append("a message that belongs on a cable, not in a file, was skipped")
        return self._pass(time) if self.at <= self.end else self._break_off()

    def _exclusive(self, time: bytes, body: int) -> None:
        if self._payload(body) is not None:
            self._pass(time)
            self.found.left_out["system exclusive messages"] += 1

    def _payload(self, at: int) -> bytes | None:
        """The bytes whose length stands at `at`, and go on after them; None where the track breaks off there."""
        begin = self._after_quantity(at)
        after = begin + quantity(self.data[at:begin]) if begin <= self.end else begin
        if after > self.end:
            self._break_off()
            return None
        self.at = after
        return self.data[begin:after]

    def _after_quantity(self, at: int) -> int:
        """Where the variable-length quantity at `at` ends; beyond the track if it does not."""
        if at < self.end and self.data[at] < 0x80:
            return at + 1
        found = QUANTITY.match(self.data, at, self.end)
        return found.end() if found else self.end + 1

    def _meta(self, time: bytes, body: int) -> None:
        payload = self._payload(body + 1)
        if payload is None:
            return
        self._pass(time)
        kind = self.data[body]
        if kind == _END_OF_TRACK:
            self._end()
        elif kind == MARKER or (kind == _NAME and not self.found.name):
            self._words(kind, payload)
        elif kind in _SIZES:
            self._known(kind, payload)
        elif kind == _PORT and len(payload) == 1:
            self.found.port = payload[0]
        elif kind == TEXT and payload.startswith(OWN_TEXT):
            self.found.own_text = self.found.own_text or payload.removeprefix(OWN_TEXT)
        elif kind in (TEXT, _CUE):
            self._add(TEXT, b"")
        elif kind in _LEFT_OUT and any(payload):
            self.found.left_out[_LEFT_OUT[kind]] += 1

    def _known(self, kind: int, payload: bytes) -> None:
        size, title = _SIZES[kind]
        if len(payload) == size:
            self._add(kind, payload)
        else:
            self.found.remarks.append(f"a {title} of {len(payload)} bytes, where there are {size}, was skipped")

    def _end(self) -> None:
        if self.at < self.end:
            self.found.remarks.append("what comes after the end mark of a track was skipped")
        self.at, self.ended = self.end, True

    def _words(self, kind: int, payload: bytes) -> None:
        try:
            text = payload.decode("utf-8")
        except UnicodeDecodeError:
            text = payload.decode("latin-1")
        if len(text) > MOST_CHARACTERS:
            self.found.remarks.append(f"a name or marker of more than {MOST_CHARACTERS} characters was cut")
            text = text[:MOST_CHARACTERS]
        if kind == _NAME:
            self.found.name = text
        elif text:
            self._add(MARKER, text.encode())


def quantity(raw: bytes) -> int:
    """The number that a variable-length quantity stands for."""
    value = 0
    for byte in raw:
        value = value << 7 | byte & 0x7F
    return value


def last_status(stretch: bytes) -> int:
    """The status of the last message of a stretch."""
    raw = np.frombuffer(stretch, dtype=np.uint8)
    data = np.flatnonzero(raw < 0x80)[1::3]
    stated = raw[data - 1]
    return int(stated[np.flatnonzero(stated >= 0x80)[-1]])
