"""Keys that are pressed in a terminal, without waiting for a line."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import sleep

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
