"""A track's bytes as events, with what is wrong in their structure; it knows no file and no music."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from composer_midifile.linting.rules import Log

META_SIZES = {0x20: 1, 0x21: 1, 0x2F: 0, 0x51: 3, 0x54: 5, 0x58: 4, 0x59: 2}
"""Bytes of the meta events whose size is fixed."""

_PLAIN = re.compile(rb"([\x80-\xff]?)([\x00-\x7f])([\x80-\xbf\xe0-\xef]?)([\x00-\x7f]{2})")


class Event(NamedTuple):
    """A message or a meta event (status FF hex, of a `kind`) at a tick of the file."""

    tick: int
    status: int
    data: bytes
    kind: int = -1


class Broken(Exception):
    """The rest of a track cannot be told: the rule, and a sentence."""


@dataclass
class Walk:
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
        """Take in one event. Raises Broken."""
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
            raise Broken("system-message", f"At byte {self.at - 1} is {status:02X} hex, which belongs on a cable.")

    def _byte(self) -> int:
        if self.at >= self.end:
            raise Broken("broken-event", "The track ends in the middle of an event.")
        self.at += 1
        return self.data[self.at - 1]

    def _quantity(self) -> int:
        value = 0
        for _ in range(4):
            byte = self._byte()
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value
        raise Broken("long-quantity", f"The number before byte {self.at} has more than 4 bytes.")

    def _running(self, data: int) -> int:
        """The status that was left out."""
        if not self.running:
            raise Broken("running-status", f"The event at byte {self.at - 1} has no status, and none comes before it.")
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
            raise Broken("data-byte", f"After byte {self.at - 1} is the value {max(data)}, where there is at most 127.")
        if after > self.end:
            raise Broken("broken-event", "The track ends in the middle of an event.")
        self.at = after
        self.events.append(Event(self.tick, status, data))

    def _payload(self) -> bytes:
        size = self._quantity()
        if self.at + size > self.end:
            raise Broken(
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
