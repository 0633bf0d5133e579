"""Progress of a batch: a live line on a terminal, a line now and then in a log, or lines of JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

import click

from composer.cli.progress import StatusLine, format_duration

if TYPE_CHECKING:
    from composer_batch.scheduler import Progress, Report

SELDOM = 10.0
"""Seconds between two lines of a log, or of JSON."""


@contextmanager
def show_progress(*, quiet: bool, as_json: bool, clock: Callable[[], float] = monotonic) -> Iterator[Report]:
    """Show how a batch goes, on stderr, or as JSON on stdout. Yield what reports its progress."""
    if quiet:
        yield lambda _: None
    elif as_json:
        yield _limit_rate(lambda progress: click.echo(json.dumps(to_json(progress))), clock)
    else:
        with StatusLine() as line:
            if line.is_live:
                yield lambda progress: line.update(format_line(progress))
            else:
                yield _limit_rate(lambda progress: line.print(format_line(progress)) if progress.made else None, clock)


def _limit_rate(report: Report, clock: Callable[[], float]) -> Report:
    last = -math.inf

    def report_if_due(progress: Progress) -> None:
        nonlocal last
        if clock() - last >= SELDOM:
            last = clock()
            report(progress)

    return report_if_due


def print_end(progress: Progress, *, quiet: bool, as_json: bool) -> None:
    """Print the final progress on stdout."""
    if quiet:
        return
    if as_json:
        click.echo(json.dumps({**to_json(progress), "ended": True}))
        return
    click.echo(f"{_format_counts(progress)}; {progress.made:,} made now in {format_duration(progress.seconds)}")
    for reason, count in progress.rejections.most_common():
        click.echo(f"rejected {count:,} × {reason}")


def format_line(progress: Progress) -> str:
    """Format the progress in one line."""
    left = "" if math.isinf(progress.left) else f", {format_duration(progress.left)} left"
    worst = ", ".join(f"{count:,} × {reason}" for reason, count in progress.rejections.most_common(3))
    rejected = f"; rejections: {worst}" if worst else ""
    return f"{_format_counts(progress)}, {progress.rate:.1f} a second{left}{rejected}"


def _format_counts(progress: Progress) -> str:
    others = ("rejected", "passed over", "failed")
    names = {"failed": "set aside"}
    more = [f"{progress.counts[state]:,} {names.get(state, state)}" for state in others if progress.counts[state]]
    return ", ".join([f"{progress.counts['done']:,} of {progress.pieces:,} pieces done", *more])


def to_json(progress: Progress) -> dict[str, object]:
    """Return the progress as plain values."""
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
