"""Bounds of time and memory for the work of this process on one file from outside.

Readers are linear in the file; this guards against cases that nobody foresaw. A timer checks time and memory every
`EVERY` seconds. It needs the main thread and a system with such timers; elsewhere there is no check. Code that does not
return to Python is not stopped.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import thread_time
from types import FrameType
from typing import Any, TypeVar

SECONDS = 10.0
"""Of a processor, that one file may take."""

MEMORY = 2**30
"""Bytes, likewise."""

EVERY = 0.25

T = TypeVar("T")


class OutOfBounds(Exception):
    """An error of something that took too much time or memory; the text continues a sentence about it."""


class _Stop(BaseException):
    """Carries OutOfBounds out of a parser, past any `except Exception`."""


def make_time_error(seconds: float) -> OutOfBounds:
    """Make the error of something that took more than so many seconds."""
    return OutOfBounds(f"takes more than {seconds:g} seconds")


def make_memory_error(memory: int) -> OutOfBounds:
    """Make the error of something that took more than so many bytes of memory."""
    return OutOfBounds(f"takes more than {memory / 2**30:g} GiB of memory")


def run_bounded(act: Callable[..., T], *arguments: Any) -> T:
    """Call `act(*arguments)`. Raises OutOfBounds if that takes more than `SECONDS` or `MEMORY`."""
    if threading.get_ident() != _watch.thread:
        with keep_timer() as watches:
            return _call_watched(act, *arguments) if watches else act(*arguments)
    return _call_watched(act, *arguments)


@contextmanager
def keep_timer() -> Iterator[bool]:
    """Keep the timer of `run_bounded` running for many calls, which are cheap then; yield whether there is one."""
    watches = _watch.thread is None and _watch.start()
    try:
        yield watches
    finally:
        if watches:
            _watch.stop()


def _call_watched(act: Callable[..., T], *arguments: Any) -> T:
    before, _watch.since = _watch.since, _JUST_BEGUN
    try:
        return act(*arguments)
    except _Stop as stop:
        raise stop.args[0] from None
    finally:
        _watch.since = before


_JUST_BEGUN = (-1.0, -1)
"""Time and memory are first read at a tick of the timer: most calls end before that."""


class _Watch:
    """The one timer of this process."""

    thread: int | None = None  # the one it watches
    since: tuple[float, int] | None = None  # time and memory at the start of the call; None without one

    def start(self) -> bool:
        """Start the timer, unless there is none or it is in use."""
        if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
            return False
        if signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL or signal.getitimer(signal.ITIMER_REAL)[0]:
            return False
        signal.signal(signal.SIGALRM, self.look)
        signal.setitimer(signal.ITIMER_REAL, EVERY, EVERY)
        self.thread = threading.get_ident()
        return True

    def stop(self) -> None:
        """Stop the timer."""
        self.thread = None
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def look(self, _: int, __: FrameType | None) -> None:
        """Stop the call if it has taken too much; if that is suppressed, the next look does it again."""
        if self.since is None:
            return
        if self.since is _JUST_BEGUN:
            self.since = thread_time(), _measure_memory()
        if thread_time() - self.since[0] > SECONDS:
            raise _Stop(make_time_error(SECONDS))
        if _measure_memory() - self.since[1] > MEMORY:
            raise _Stop(make_memory_error(MEMORY))


_watch = _Watch()


if sys.platform == "win32":

    def _measure_memory() -> int:
        return 0

else:
    import resource

    _UNIT = 1 if sys.platform == "darwin" else 1024
    _STATM = Path("/proc/self/statm")

    def _measure_memory() -> int:
        """Read how many bytes of memory this process holds; the most that it has had, where the system says no more."""
        try:
            return int(_STATM.read_bytes().split()[1]) * resource.getpagesize()
        except OSError:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
