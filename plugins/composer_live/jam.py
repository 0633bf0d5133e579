"""A session in time: what comes in from ports, files, keys and OSC, and what goes out to a sender."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import TypeAlias

from composer.errors import ComposerError, printable
from composer_live.clock import PULSE_TICKS, Follower, Taps, Timeline, list_beats
from composer_live.receiving import SYSTEM, Receiver
from composer_live.sending import DRUMS, NOTE_OFF, NOTE_ON, Bytes, Channels, Sender, send_events
from composer_live.session import Session
from composer_live.values import Action, Command, Played

Incoming: TypeAlias = Bytes | Command
"""A MIDI message, or a command, whose tick is that of its arrival."""

PATIENCE = 0.002
"""Seconds that the loop waits for something to come in."""

CLICK, FIRST_CLICK = 77, 76
"""Drum sounds of the metronome: low and high wood block."""

CLICK_TICKS = 60

BEATS_AHEAD = 240
"""Ticks that the metronome and the clock are sent ahead: more than the model takes to write a bar."""

NO_CLOCK = 3.0
"""Seconds after which an own tempo takes the place of a MIDI clock that does not come."""

RELEASE = Command(0, "release")
"""All fingers lifted, as when a keyboard is unplugged."""


@dataclass(frozen=True)
class Manner:
    """How a session runs in time."""

    follows: bool = False  # the MIDI clock that comes in
    sends_clock: bool = False
    count_in: int = 0  # bars
    metronome: bool = False
    thru: int | None = None  # channel on which what is played is sent on
    channel: int = 0  # first of the model's


class Jam:
    """A session in time. `receive` and `command` may be called from any thread; `step` goes on to now."""

    def __init__(
        self,
        session: Session,
        sender: Sender,
        receiver: Receiver,
        manner: Manner = Manner(),
        hands: Iterable[Action] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare a session; `start` begins it. `hands` are actions that come from a file, in order."""
        self.session, self.sender, self.receiver, self.manner, self.clock = session, sender, receiver, manner, clock
        tempo = session.setup.tempos[0][1]
        self.timeline = Timeline(tempo, tick=-float(manner.count_in * session.bar_ticks))
        self.follower = Follower(self.timeline, session.bar_ticks) if manner.follows else None
        self.channels, self.taps = Channels(manner.channel), Taps()
        self.hands = deque(hands)
        self.notes: deque[str] = deque(maxlen=20)  # remarks for whoever looks
        self.on_events: Callable[[Sequence[tuple[float, Bytes]]], None] | None = None
        self.ends = False
        self._inbox: SimpleQueue[tuple[float, Incoming]] = SimpleQueue()
        self._beaten = self.timeline.tick  # tick up to which metronome and clock are sent
        self._began = 0.0
        self._prepared = 0  # beat at which the player last read ahead

    # --- from any thread ----------------------------------------------------------------------------------------------

    def receive(self, second: float, message: Bytes) -> None:
        """Take a MIDI message that came at a second."""
        self._inbox.put((second, message))

    def command(self, name: str, value: float | str | None = None) -> None:
        """Take a command now."""
        self._inbox.put((self.clock(), Command(0, name, value)))

    def remark(self, text: str) -> None:
        """Keep a remark for whoever looks."""
        self.notes.append(text)

    # --- in time ------------------------------------------------------------------------------------------------------

    @property
    def tick(self) -> int:
        """The tick now, below 0 in the count-in."""
        return int(self.timeline.find_tick(self.clock()) // 1)

    def start(self) -> None:
        """Begin with the count-in, or wait for the clock that is followed."""
        self._began = self.clock()
        if self.follower is None:
            self.timeline.start(self._began)
            if self.manner.sends_clock:
                self.sender.send((0xFA,), self.timeline.find_second(0))

    def step(self, patience: float = 0.0) -> None:
        """Take what has come in, go on to now, and send what is due soon."""
        self._take_incoming(patience)
        self._check_clock()
        now = self.clock()
        tick = int(self.timeline.find_tick(now) // 1)
        while self.hands and self.hands[0].tick <= tick:
            self._act(self.hands.popleft(), now)
        if tick >= 0:
            self.session.advance(tick)
        self._send()
        self._beat(tick)
        middle = (tick + self.session.beat_ticks // 2) // self.session.beat_ticks
        if middle > self._prepared:  # between two beats, where it disturbs least
            self._prepared = middle
            self.session.prepare()
        if self.session.trouble:
            self.remark(self.session.trouble)
            self.session.trouble = ""

    def _take_incoming(self, patience: float) -> None:
        try:
            one = self._inbox.get(timeout=patience) if patience else self._inbox.get_nowait()
            while True:
                self._take(*one)
                one = self._inbox.get_nowait()
        except Empty:
            pass

    def _take(self, second: float, incoming: Incoming) -> None:
        second = min(second, self.clock())
        tick = max(int(self.timeline.find_tick(second)), 0)
        if isinstance(incoming, Command):
            if incoming is RELEASE or incoming.name == RELEASE.name:
                for action in self.receiver.release(tick):
                    self._act(action, second)
                return
            self._act(replace(incoming, tick=tick), second)
            return
        if incoming and incoming[0] in SYSTEM:
            self._follow(second, incoming)
            return
        for action in self.receiver.take(incoming, tick):
            self._act(action, second)

    def _follow(self, second: float, message: Bytes) -> None:
        """Follow a message of a MIDI clock, if one is followed."""
        if self.follower is None:
            return
        kind, ran = SYSTEM[message[0]], self.timeline.runs
        position = message[1] + 128 * message[2] if len(message) > 2 else 0
        self.follower.take(kind, second, position)
        if kind == "stop":
            self._act(Command(self.session.tick, "stop"), second)
            self._send()
        elif self.timeline.runs and not ran and self.session.is_stopped:
            self._act(Command(self.session.tick, "start"), second)

    def _check_clock(self) -> None:
        """Go on with an own tempo where no MIDI clock comes."""
        if self.follower is None or self.timeline.runs or self.follower.times:
            return
        if self.clock() - self._began > NO_CLOCK:
            self.follower = None
            self.timeline.start(self.clock())
            self.remark(f"no MIDI clock comes in; the tempo is {self.timeline.bpm:g}.")

    def _act(self, action: Action, second: float) -> None:
        """Take an action: a tempo is the clock's, and all else the session's."""
        if isinstance(action, Command):
            if action.name in ("tap", "tempo"):
                self._set_tempo(action, second)
                return
            if action.name == "end":
                self.ends = True
                return
        elif self.manner.thru is not None:
            kind = NOTE_ON if action.velocity else NOTE_OFF
            self.sender.send((kind | self.manner.thru, action.pitch, action.velocity or 64), self.clock())
        self.session.act(action)
        if isinstance(action, Played) or action.name in ("stop", "vary"):
            self._send()  # at once, and not after what else has come in

    def _set_tempo(self, command: Command, second: float) -> None:
        bpm = self.taps.tap(second) if command.name == "tap" else command.value
        if bpm is None or self.follower is not None:
            return
        try:
            self.timeline.set_tempo(second, float(bpm))
        except (ValueError, ComposerError) as error:
            self.remark(str(error) if isinstance(error, ComposerError) else f"'{printable(str(bpm))}' is no tempo.")

    def _send(self) -> None:
        if events := self.session.take():
            send_events(self.sender, self.channels, events, self.timeline.find_second)
            if self.on_events is not None:
                timed = [
                    (self.timeline.find_second(event.tick), message)
                    for event in events
                    for message in self.channels.translate(event)
                ]
                self.on_events(timed)

    def _beat(self, tick: int) -> None:
        """Send the metronome, and the pulses of a MIDI clock, a little ahead."""
        if not self.timeline.runs:
            return
        until = tick + BEATS_AHEAD
        since, self._beaten = self._beaten, max(self._beaten, until)
        if self.manner.sends_clock:
            for pulse in list_beats(max(since, 0), until, PULSE_TICKS):
                self.sender.send((0xF8,), self.timeline.find_second(pulse))
        beats = list_beats(since, until, self.session.beat_ticks)
        for beat in beats if self.manner.metronome else [b for b in beats if b < 0]:
            sound = CLICK if beat % self.session.bar_ticks else FIRST_CLICK
            self.sender.send((NOTE_ON | DRUMS, sound, 90), self.timeline.find_second(beat))
            self.sender.send((NOTE_OFF | DRUMS, sound, 64), self.timeline.find_second(beat + CLICK_TICKS))

    def run(self, until: float | None = None) -> None:
        """Go on until a command `end`, or until a second. Notes are released whatever happens."""
        try:
            while not self.ends and (until is None or self.clock() < until):
                self.step(PATIENCE)
        finally:
            if self.manner.sends_clock:
                self.sender.send((0xFC,), 0.0)
            self.sender.release()
