"""Ticks against seconds: an own tempo, taps, and the MIDI clock of others.

The seconds are passed in: no clock is read.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from composer.errors import BadOption
from composer.music.score import TICKS_PER_QUARTER

PULSES = 24
"""Pulses of a MIDI clock to a quarter note."""

PULSE_TICKS = TICKS_PER_QUARTER // PULSES

SIXTEENTH = TICKS_PER_QUARTER // 4
"""Ticks to a unit of a song position."""

SLOWEST, FASTEST = 20.0, 400.0
"""Tempos that taps or a MIDI clock may set, in quarter notes per minute."""

JUMP = TICKS_PER_QUARTER / 2
"""Ticks of an error that is jumped over, and not made up for in the next quarter note."""


def compute_rate(bpm: float) -> float:
    """Convert quarter notes per minute to ticks per second. Raises BadOption for a tempo out of range."""
    if not 5 <= bpm <= 1000:
        raise BadOption(f"'tempo' is {bpm:g}, and must be from 5 to 1000 quarter notes a minute.")
    return bpm * TICKS_PER_QUARTER / 60


@dataclass
class Timeline:
    """The tick of a session at each second. It stands still until it is started, and may stop and go on."""

    bpm: float
    tick: float = 0.0  # at `since`, below 0 in the count-in
    since: float = 0.0
    runs: bool = False
    changes: list[tuple[int, float]] = field(default_factory=list)  # ticks and tempos, for the recording

    def __post_init__(self) -> None:
        """Check the tempo. Raises BadOption."""
        self._rate = compute_rate(self.bpm)
        self.changes = [(0, self.bpm)]

    def find_tick(self, second: float) -> float:
        """Compute the tick at a second."""
        return self.tick + (second - self.since) * self._rate if self.runs else self.tick

    def find_second(self, tick: float) -> float:
        """Compute the second at which a tick comes, if the tempo stays."""
        return self.since + (tick - self.tick) / self._rate

    def start(self, second: float, tick: float | None = None) -> None:
        """Go on from a second, at a tick or where it stood."""
        self.tick, self.since, self.runs = self.tick if tick is None else tick, second, True

    def stop(self, second: float) -> None:
        """Stand still."""
        self.tick, self.since, self.runs = self.find_tick(second), second, False

    def set_tempo(self, second: float, bpm: float) -> None:
        """Change the tempo from a second on. Raises BadOption."""
        rate = compute_rate(bpm)
        self.tick, self.since = self.find_tick(second), second
        self._rate, self.bpm = rate, bpm
        at = max(int(self.tick), 0)
        if at == self.changes[-1][0]:
            self.changes[-1] = at, bpm
        elif abs(self.changes[-1][1] - bpm) > bpm / 100:
            self.changes.append((at, bpm))

    def bend(self, second: float, rate: float) -> None:
        """Go faster or slower from a second on, to meet another clock; the tempo counts as the same."""
        self.tick, self.since, self._rate = self.find_tick(second), second, rate


@dataclass
class Taps:
    """The tempo of taps, such as of a key."""

    times: deque[float] = field(default_factory=lambda: deque(maxlen=5))

    def tap(self, second: float) -> float | None:
        """Take a tap, and return the tempo; None after the first of a series."""
        if self.times and not second - self.times[-1] <= 60 / SLOWEST:
            self.times.clear()
        self.times.append(second)
        if len(self.times) < 2 or self.times[-1] <= self.times[0]:
            return None
        bpm = 60 * (len(self.times) - 1) / (self.times[-1] - self.times[0])
        return min(max(round(bpm, 1), SLOWEST), FASTEST)


@dataclass
class Follower:
    """A timeline that follows the MIDI clock of others: start, stop, continue, song position, pulses."""

    timeline: Timeline
    bar_ticks: int = 4 * TICKS_PER_QUARTER
    pulse: int = 0  # number of the next pulse since the beginning of the song
    origin: int = 0  # tick of the beginning of the song: a session never goes back
    waits: bool = False  # whether the next pulse starts the timeline
    times: deque[float] = field(default_factory=lambda: deque(maxlen=PULSES + 1))

    def take(self, kind: str, second: float, position: int = 0) -> None:
        """Take a message by its name in mido: `clock`, `start`, `stop`, `continue` or `songpos`."""
        if kind == "start":
            self.pulse, self.waits = 0, True
        elif kind == "songpos":
            self.pulse = position * SIXTEENTH // PULSE_TICKS
        elif kind == "continue":
            self.waits = True
        elif kind == "stop":
            self.timeline.stop(second)
            self.waits = False
        elif kind == "clock":
            self._take_pulse(second)

    def _take_pulse(self, second: float) -> None:
        if self.times and not 0 < second - self.times[-1] < 60 / SLOWEST / PULSES * 4:
            self.times.clear()
        self.times.append(second)
        if self.waits:
            behind = self.timeline.find_tick(second) - self.pulse * PULSE_TICKS
            self.origin = max(math.ceil(behind / self.bar_ticks), 0) * self.bar_ticks
            self.timeline.start(second, self.origin + self.pulse * PULSE_TICKS)
            self.waits = False
        tick = self.origin + self.pulse * PULSE_TICKS
        if not self.timeline.runs:
            return
        self.pulse += 1
        if len(self.times) > PULSES // 4:
            self._follow(second, tick)

    def _follow(self, second: float, tick: int) -> None:
        """Take the tempo of the last quarter note, and make up for the error within the next."""
        period = (self.times[-1] - self.times[0]) / (len(self.times) - 1)
        bpm = 60 / (period * PULSES)
        if not SLOWEST <= bpm <= FASTEST:
            return
        self.timeline.set_tempo(second, round(bpm, 2))
        error = tick - self.timeline.find_tick(second)
        if abs(error) > JUMP:
            self.timeline.start(second, tick)
        else:
            self.timeline.bend(second, (PULSE_TICKS + error / PULSES) / period)


def list_beats(since: float, until: float, beat: int) -> Sequence[int]:
    """List the beats from one tick up to another, the second left out; negative ones in a count-in."""
    first = -int(-since // beat)
    last = -int(-until // beat)
    return range(first * beat, last * beat, beat)
