"""How a batch goes, in lines: on a terminal one that changes, in a log one now and then, or JSON; it runs nothing."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

import click

from composer.cli.tables import span

if TYPE_CHECKING:
    from composer_batch.scheduler import Progress

OFTEN, SELDOM = 0.5, 10.0
"""Seconds between two lines on a terminal, and in a log."""


@dataclass
class Teller:
    """Says how it goes, on stderr; as JSON on stdout."""

    quiet: bool = False
    as_json: bool = False
    clock: Callable[[], float] = monotonic
    _told: float = -math.inf
    _shown: bool = False

    def __call__(self, progress: Progress) -> None:
        """Say it, unless it has been said just now."""
        live = sys.stderr.isatty() and not self.as_json
        if self.quiet or self.clock() - self._told < (OFTEN if live else SELDOM):
            return
        self._told = self.clock()
        if self.as_json:
            click.echo(json.dumps(plain(progress)))
        elif live:
            click.echo(f"\r\x1b[K{line(progress)}", err=True, nl=False)
            self._shown = True
        elif progress.made:
            click.echo(line(progress), err=True)

    def end(self, progress: Progress) -> None:
        """The last word."""
        if self._shown:
            click.echo(err=True)
        if self.quiet:
            return
        if self.as_json:
            click.echo(json.dumps({**plain(progress), "ended": True}))
            return
        click.echo(f"{_counted(progress)}; {progress.made:,} made now in {span(progress.seconds)}")
        for reason, count in progress.rejections.most_common():
            click.echo(f"rejected {count:,} × {reason}")


def line(progress: Progress) -> str:
    """How it goes, in one line."""
    left = "" if math.isinf(progress.left) else f", {span(progress.left)} left"
    worst = ", ".join(f"{count:,} × {reason}" for reason, count in progress.rejections.most_common(3))
    rejected = f"; rejections: {worst}" if worst else ""
    return f"{_counted(progress)}, {progress.rate:.1f} a second{left}{rejected}"


def _counted(progress: Progress) -> str:
    others = ("rejected", "passed over", "failed")
    names = {"failed": "set aside"}
    more = [f"{progress.counts[state]:,} {names.get(state, state)}" for state in others if progress.counts[state]]
    return ", ".join([f"{progress.counts['done']:,} of {progress.pieces:,} pieces done", *more])


def plain(progress: Progress) -> dict[str, object]:
    """The same as values."""
    left = None if math.isinf(progress.left) else round(progress.left, 1)
    return {
        "pieces": progress.pieces,
        "states": dict(progress.counts),
        "rejections": dict(progress.rejections),
        "made": progress.made,
        "seconds": round(progress.seconds, 3),
        "pieces_per_second": round(progress.rate, 3),
        "seconds_left": left,
    }
