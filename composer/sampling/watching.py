"""Watching: whoever waits for pieces is told now and then which bar they have reached.

It changes nothing of what is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from composer.types import MusicalState

EVERY = 32
"""Steps between two reports."""

Tell = Callable[[int, int], None]
"""What takes the bar that the slowest piece has reached, from 1, and their number; 0 where it is not known."""


@dataclass
class _Watcher:
    tell: Tell
    steps: int = 0  # so far


_WATCHER: ContextVar[_Watcher | None] = ContextVar("_WATCHER", default=None)


@contextmanager
def watch(tell: Tell) -> Iterator[None]:
    """Let `tell` know the bars that are reached inside."""
    token = _WATCHER.set(_Watcher(tell))
    try:
        yield
    finally:
        _WATCHER.reset(token)


def report_bar(find_music: Callable[[], MusicalState], steps: int = 1) -> None:
    """Report that so many steps begin, of rows with the musical state that `find_music` finds, if anybody watches."""
    watcher = _WATCHER.get()
    if watcher is None:
        return
    is_due = -watcher.steps % EVERY < steps
    watcher.steps += steps
    if is_due and len((music := find_music()).bar):
        slowest = int(music.bar.argmin())
        bar, left = int(music.bar[slowest]), int(music.bars_left[slowest])
        upbeat = int(music.upbeat[slowest] > 0)
        watcher.tell(max(bar + 1 - upbeat, 1), bar + left - upbeat if left > 0 else 0)
