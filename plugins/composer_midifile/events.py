"""The events of one track, checked byte by byte and written anew; it knows no note and no file.

What a reader is given afterwards holds channel messages, names, markers, tempos and signatures of the right sizes, and
nothing else: no reader meets a length that lies, and what is lost has been said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from composer_midifile.chunks import Damaged
from composer_midifile.stretches import LONG_STRETCH, QUANTITY, STRETCH, last_status, quantity

MOST_CHARACTERS = 100
"""Longer names and markers are cut."""

OWN_TEXT = b"composer:"
"""How the text event begins that carries what made a piece."""

_TEXT, _NAME, _MARKER, _END_OF_TRACK, _TEMPO, _TIME_SIGNATURE, _KEY_SIGNATURE = 1, 3, 6, 0x2F, 0x51, 0x58, 0x59
_SIZES = {_TEMPO: (3, "tempo"), _TIME_SIGNATURE: (4, "time signature"), _KEY_SIGNATURE: (2, "key signature")}

PLAIN = re.compile(rb"(?:\x00\xff(?:\x51\x03[\x00-\xff]{3}|\x58\x04[\x00-\xff]{4}|\x59\x02[\x00-\xff]{2})){1,2048}")
"""Tempos and signatures of the right sizes, at once after what comes before, as they stand together in most files."""

_SYSTEM_DATA = {0xF1: 1, 0xF2: 2, 0xF3: 1}


@dataclass(frozen=True)
class CleanTrack:
    """A track that any reader can read."""

    data: bytes
    stretches: bytes  # those of its events that are notes, controllers and bends
    others: int  # how many events are not
    ticks: int  # that these last
    name: str
    own_text: bytes  # what follows `OWN_TEXT` in the first text event that begins so
    remarks: list[str]


def clean_track(data: bytes, start: int, end: int, most_others: int, *, broken_off: bool = False) -> CleanTrack:
    """The events of `data[start:end]`; one that is `broken_off` may stop anywhere.

    Raises Damaged, naming the place in `data`, where it is no longer sure what follows, and beyond `most_others` of
    events that are not notes, controllers or bends.
    """
    walk = _Walk(data, start, end, most_others, broken_off)
    while walk.at < walk.end:
        walk.step()
    walk.finish()
    stretches = walk.stretches[0] if len(walk.stretches) == 1 else b"".join(walk.stretches)
    parts = b"".join(walk.parts)
    return CleanTrack(parts, stretches, walk.others, walk.ticks, walk.name, walk.own_text, walk.remarks)


@dataclass
class _Walk:
    """A place in a track's bytes, and what has been understood of those before it."""

    data: bytes
    at: int
    end: int
    most_others: int
    broken_off: bool
    running: int = 0  # the status that an event may leave out; 0: none yet, -1: the last one of the last stretch
    cancelled: bool = False  # whether an event came since that should have ended that
    ticks: int = 0  # of all but the stretches
    others: int = 0
    ended: bool = False
    name: str = ""
    own_text: bytes = b""
    parts: list[bytes] = field(default_factory=list)
    stretches: list[bytes] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

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
        """Events that are kept as they are, of six bytes at least."""
        self.at, self.cancelled = found.end(), True
        self._count(len(found[0]) // 6)
        self.parts.append(found[0])

    def finish(self) -> None:
        """Set the end mark."""
        if not (self.ended or self.broken_off):
            self.remarks.append("a track without an end mark was read to its last byte")
        self.parts.append(b"\x00\xff\x2f\x00")

    def _break_off(self) -> None:
        if not self.broken_off:
            raise Damaged(f"has a track that ends in the middle of an event, at byte {self.end}; export it again.")
        self.at = self.end

    def _status_left_out(self, body: int) -> int:
        if self.running < 0:
            self.running = last_status(self.stretches[-1])
        if self.running == 0:
            raise Damaged(f"has at byte {body} an event without a kind, and none before it; export it again.")
        if self.cancelled:
            self.remarks.append("an event without a kind was taken for one like those before")
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
        self.stretches.append(time + bytes([status]) + self.data[body : self.at])
        self.parts.append(self.stretches[-1])
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
        return self._keep(time, bytes([status, self.data[body]]))

    def _keep(self, time: bytes, event: bytes) -> None:
        self.ticks += quantity(time)
        self._count(1)
        self.parts.append(time + event)

    def _count(self, events: int) -> None:
        self.others += events
        if self.others > self.most_others:
            raise Damaged("is full of events that are no music; export it again with notes and tempos alone.")

    def _drop(self, time: bytes) -> None:
        self._keep(time, b"\xff\x01\x00")

    def _system(self, time: bytes, status: int, body: int) -> None:
        self.cancelled = status < 0xF8 or status == 0xFF
        if status == 0xFF:
            return self._meta(time, body)
        if status in (0xF0, 0xF7):
            return self._drop(time) if self._payload(body) is not None else None
        self.at = body + _SYSTEM_DATA.get(status, 0)
        self.remarks.append("a message that belongs on a cable, not in a file, was skipped")
        return self._drop(time) if self.at <= self.end else self._break_off()

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
            return None
        kind = self.data[body]
        if kind == _END_OF_TRACK:
            return self._end(time)
        if kind == _TEXT and payload.startswith(OWN_TEXT):
            self.own_text = self.own_text or payload.removeprefix(OWN_TEXT)
        if kind == _MARKER or (kind == _NAME and not self.name):
            return self._words(time, kind, payload)
        size, title = _SIZES.get(kind, (-1, ""))
        if len(payload) == size:
            return self._keep(time, bytes([0xFF, kind, size]) + payload)
        if title:
            self.remarks.append(f"a {title} of {len(payload)} bytes, where there are {size}, was skipped")
        return self._drop(time)

    def _end(self, time: bytes) -> None:
        if self.at < self.end:
            self.remarks.append("what comes after the end mark of a track was skipped")
        self.at, self.ended = self.end, True
        self._drop(time)

    def _words(self, time: bytes, kind: int, payload: bytes) -> None:
        try:
            text = payload.decode("utf-8")
        except UnicodeDecodeError:
            text = payload.decode("latin-1")
        if len(text) > MOST_CHARACTERS:
            self.remarks.append(f"a name or marker of more than {MOST_CHARACTERS} characters was cut")
        raw = text[:MOST_CHARACTERS].encode("utf-8")
        self.name = self.name or (text[:MOST_CHARACTERS] if kind == _NAME else "")
        self._keep(time, bytes([0xFF, kind, 0x80 | len(raw) >> 7, len(raw) & 0x7F]) + raw)
