"""Keys that are pressed in a terminal, without waiting for a line, and the position that they move.

A piece plays, pauses and jumps. The time is passed in: no clock is read.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import sleep

from composer.music.tempo_map import TempoMap
from composer_play.roll import Roll

# --- keys -------------------------------------------------------------------------------------------------------------


Keys = Callable[[float], str]
"""Waits for at most these seconds. Returns the pressed key: a character, `left`, `right`, or an empty text."""

_ARROWS = {b"\x1b[D": "left", b"\x1bOD": "left", b"\x1b[C": "right", b"\x1bOC": "right"}


@contextmanager
def read_keys(terminal: int | None) -> Iterator[Keys]:
    """Read the keys of a terminal, by its file descriptor. Without one, no key is ever pressed."""
    try:
        import termios
        import tty
    except ImportError:  # Windows
        terminal = None
    if terminal is None:
        yield _wait_without_keys
        return
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal, termios.TCSANOW)  # keeps keys typed before
    try:
        yield _Pressed(terminal)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 64)
    except OSError:
        return b""


def _wait_without_keys(seconds: float) -> str:
    """Wait, and report no key."""
    sleep(seconds)
    return ""


@dataclass
class _Pressed:
    """The keys of a terminal; several may have been pressed at once."""

    terminal: int
    waiting: bytes = b""

    def __call__(self, seconds: float) -> str:
        if not self.waiting:
            ready, _, _ = select.select([self.terminal], [], [], seconds)
            if not ready:
                return ""
            self.waiting = _read(self.terminal) or b"q"  # a closed terminal ends the player
        size = 3 if self.waiting[:3] in _ARROWS else 1
        pressed, self.waiting = self.waiting[:size], self.waiting[size:]
        return _ARROWS.get(pressed, pressed.decode("latin-1"))


# --- the position of a piece ------------------------------------------------------------------------------------------


AGAIN = 0.5
"""Seconds into a bar after which the left arrow goes to its beginning, and not to the bar before."""


@dataclass(frozen=True)
class Transport:
    """The piece was at `second` at the time `since`, and has played on from there unless it pauses."""

    second: float = 0.0
    since: float = 0.0
    is_paused: bool = False

    def find_second(self, time: float) -> float:
        """Compute the second of the piece at this time."""
        return self.second if self.is_paused else self.second + time - self.since

    def pause_or_resume(self, time: float) -> Transport:
        """Pause, or play on."""
        return Transport(self.find_second(time), time, not self.is_paused)

    def move_to(self, second: float, time: float) -> Transport:
        """Move to another second, and play on or wait there."""
        return replace(self, second=max(second, 0.0), since=time)


def find_next_bar(roll: Roll, timing: TempoMap, second: float) -> float:
    """Find the second at which the next bar begins, or the piece ends."""
    bar = roll.find_bar(timing.find_tick(second)) + 1
    return timing.find_second(min(int(roll.bars.starts[min(bar, len(roll.bars.starts) - 1)]), roll.length))


def find_previous_bar(roll: Roll, timing: TempoMap, second: float) -> float:
    """Find the second at which this bar began; shortly after that, the beginning of the bar before."""
    bar = roll.find_bar(timing.find_tick(second))
    began = timing.find_second(int(roll.bars.starts[bar]))
    return began if second - began > AGAIN or bar == 0 else timing.find_second(int(roll.bars.starts[bar - 1]))
