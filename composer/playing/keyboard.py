"""Keys that are pressed in a terminal, without waiting for a line; it knows not what they are for."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import sleep

Keys = Callable[[float], str]
"""Waits so many seconds at most, and gives the key that was pressed: a character, `left`, `right`, or nothing."""

_ARROWS = {b"\x1b[D": "left", b"\x1bOD": "left", b"\x1b[C": "right", b"\x1bOC": "right"}


@contextmanager
def keys_of(terminal: int | None) -> Iterator[Keys]:
    """The keys of a terminal, by its file descriptor; without one, no key is ever pressed."""
    try:
        import termios
        import tty
    except ImportError:  # a system of another kind
        terminal = None
    if terminal is None:
        yield _none
        return
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    try:
        yield lambda seconds: _key(terminal, seconds)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _none(seconds: float) -> str:
    sleep(seconds)
    return ""


def _key(terminal: int, seconds: float) -> str:
    ready, _, _ = select.select([terminal], [], [], seconds)
    if not ready:
        return ""
    pressed = os.read(terminal, 16)
    if not pressed:
        return "q"  # the terminal is gone
    return _ARROWS.get(pressed[:3], pressed[:1].decode("latin-1"))
