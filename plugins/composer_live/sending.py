"""Sending: messages at their time, from a thread of its own, and every note released at the end."""

from __future__ import annotations

import heapq
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from composer.generation.streaming import Event

NOTE_OFF, NOTE_ON, CONTROL, PROGRAM = 0x80, 0x90, 0xB0, 0xC0
PEDAL, SOUND_OFF, NOTES_OFF = 64, 120, 123
DRUMS = 9
"""The channel of drums, from 0."""

SPIN = 0.004
"""Seconds before its time from which a message is waited for in short steps."""

Bytes = tuple[int, ...]


class Output(Protocol):
    """A port that messages are sent to."""

    def send(self, message: Bytes) -> None:
        """Send one message. Raises OSError if the port is lost."""


class Channels:
    """A channel for each track of the model, and its program; drums have their own."""

    def __init__(self, first: int = 0) -> None:
        """Begin with a channel, 0 to 15."""
        self._free = [n % 16 for n in range(first, first + 16) if n % 16 != DRUMS]
        self._of: dict[tuple[int, bool, str], int] = {}

    def translate(self, event: Event) -> list[Bytes]:
        """Translate an event to messages; before a track's first, the program of its channel."""
        track = event.program, event.is_drum, event.track
        messages: list[Bytes] = []
        if track not in self._of:
            self._of[track] = DRUMS if event.is_drum else self._free[len(self._of) % len(self._free)]
            if not event.is_drum:
                messages.append((PROGRAM | self._of[track], event.program))
        channel = self._of[track]
        kind = NOTE_ON if event.velocity else NOTE_OFF
        return [*messages, (kind | channel, event.pitch, event.velocity or 64)]


@dataclass(order=True)
class _Timed:
    second: float
    number: int
    message: Bytes = field(compare=False)


class Sender:
    """A thread that sends each message at its time.

    It counts the notes that sound. `release` ends them, drops what waits, and switches every channel that was used to
    silence. A port that fails is reported to `lose`, and nothing is sent until another is set.
    """

    def __init__(
        self,
        output: Output | None,
        clock: Callable[[], float] = time.monotonic,
        lose: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin without a message; `start` starts the thread."""
        self.output, self._clock, self._lose = output, clock, lose
        self._waiting: list[_Timed] = []
        self._number = 0
        self._lock = threading.RLock()
        self._news = threading.Condition(self._lock)
        self._sounding: Counter[tuple[int, int]] = Counter()
        self._used: set[int] = set()
        self._thread: threading.Thread | None = None
        self._ends = False
        self.late: list[float] | None = None  # seconds that messages came late, if they are measured

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="composer-sender", daemon=True)
        self._thread.start()

    def send(self, message: Bytes, second: float) -> None:
        """Send a message at a time; at once if that is over."""
        with self._lock:
            if second <= self._clock():
                self._send(message, second)
                return
            self._number += 1
            heapq.heappush(self._waiting, _Timed(second, self._number, message))
            self._news.notify()

    def send_due(self) -> None:
        """Send all messages whose time has come."""
        with self._lock:
            while self._waiting and self._waiting[0].second <= self._clock():
                one = heapq.heappop(self._waiting)
                self._send(one.message, one.second)

    def drop(self) -> None:
        """Drop the note-ons that wait, and send the rest at once."""
        with self._lock:
            for one in sorted(self._waiting):
                if one.message[0] & 0xF0 != NOTE_ON:
                    self._send(one.message, one.second)
            self._waiting = []

    def release(self) -> None:
        """End every note, and silence every channel that was used."""
        with self._lock:
            self._waiting = []
            for (channel, pitch), count in sorted(self._sounding.items()):
                for _ in range(count):
                    self._send((NOTE_OFF | channel, pitch, 64))
            for channel in sorted(self._used):
                for control in (PEDAL, NOTES_OFF, SOUND_OFF):
                    self._send((CONTROL | channel, control, 0))

    def replace_output(self, output: Output | None) -> None:
        """Send to another port from now on. What sounded in the old one is forgotten, since it is gone."""
        with self._lock:
            self.output = output
            self._sounding.clear()

    def close(self) -> None:
        """End every note, and the thread."""
        self.release()
        with self._lock:
            self._ends = True
            self._news.notify()
        if self._thread is not None:
            self._thread.join(2)

    @property
    def sounding(self) -> int:
        """The number of notes that sound."""
        with self._lock:
            return sum(self._sounding.values())

    def _send(self, message: Bytes, due: float | None = None) -> None:
        kind, channel = message[0] & 0xF0, message[0] & 0x0F
        if message[0] < 0xF0:
            self._used.add(channel)
        if kind == NOTE_ON:
            self._sounding[channel, message[1]] += 1
        elif kind == NOTE_OFF and self._sounding[channel, message[1]] > 0:
            self._sounding[channel, message[1]] -= 1
        if self.output is None:
            return
        try:
            self.output.send(message)
        except OSError:
            self.output = None
            self._lose()
            return
        if self.late is not None and due is not None:
            self.late.append(self._clock() - due)

    def _run(self) -> None:
        while True:
            with self._lock:
                while not self._ends and not self._waiting:
                    self._news.wait()
                if self._ends:
                    return
                left = self._waiting[0].second - self._clock()
                if left > SPIN:
                    self._news.wait(left - SPIN)
                    continue
            if left > 0:
                time.sleep(min(left, SPIN / 8))
            self.send_due()


def send_events(
    sender: Sender, channels: Channels, events: Iterable[Event], find_second: Callable[[float], float]
) -> None:
    """Send events of a session, each at the second of its tick."""
    for event in events:
        for message in channels.translate(event):
            sender.send(message, find_second(event.tick))
