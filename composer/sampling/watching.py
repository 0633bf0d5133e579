"""Watching: whoever waits for pieces is told now and then which bar they have reached.

It changes nothing of what is drawn. Blocks of steps on a device are not watched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count

from composer.types import MusicalState

EVERY = 32
"""Steps between two reports."""

Tell = Callable[[int, int], None]
"""What takes the bar that the slowest piece has reached, from 1, and their number; 0 where it is not known."""

_WATCHER: ContextVar[tuple[Tell, count[int]] | None] = ContextVar("_WATCHER", default=None)


@contextmanager
def watch(tell: Tell) -> Iterator[None]:
    """Let `tell` know the bars that are reached inside."""
    token = _WATCHER.set((tell, count()))
    try:
        yield
    finally:
        _WATCHER.reset(token)


def report_bar(music: MusicalState) -> None:
    """Report a step of rows with their musical state, if anybody watches."""
    watcher = _WATCHER.get()
    if watcher is None or next(watcher[1]) % EVERY or not len(music.bar):
        return
    slowest = int(music.bar.argmin())
    bar, left = int(music.bar[slowest]), int(music.bars_left[slowest])
    upbeat = int(music.upbeat[slowest] > 0)
    watcher[0](max(bar + 1 - upbeat, 1), bar + left - upbeat if left > 0 else 0)
