"""Progress and lengths of time on the command line: live on a terminal, plain lines elsewhere.

A dataset is read under a progress bar, with a report on stderr of what was kept and refused. rich is imported when
something is shown, so that help stays fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from composer.devices import count_processors
from composer.errors import printable
from composer.plugins.registry import registry

if TYPE_CHECKING:
    from composer.data.corpus import Corpus
    from composer.data.encoding import Refused
    from composer.training.callbacks import Moment
    from composer.types import Dataset, Tokenizer


def format_duration(seconds: float) -> str:
    """Format a length of time in words: `40 s`, `12 min`, `3 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def format_clock(seconds: float) -> str:
    """Format a length of time as a clock does: `0:40`, `3:05:00`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


# --- progress ---------------------------------------------------------------------------------------------------------


class StatusLine:
    """A line on stderr that changes during work, and lines that stay, above it.

    Where stderr is no terminal, there are only the lines that stay.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._live = Live(console=self._console, transient=True, refresh_per_second=4) if self.is_live else None

    @property
    def is_live(self) -> bool:
        """Whether the changing line is shown."""
        return self._console.is_terminal and not self._console.is_dumb_terminal

    def __enter__(self) -> StatusLine:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *raised: Any) -> None:
        if self._live:
            self._live.stop()

    def update(self, text: str) -> None:
        """Change the line."""
        from rich.text import Text

        if self._live:
            self._live.update(Text(text, no_wrap=True, overflow="ellipsis"))

    def print(self, text: str) -> None:
        """Print a line that stays."""
        from rich.text import Text

        self._console.print(Text(text))


@contextmanager
def show_elapsed(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show the time since the work began, from its first second; yield what takes a word on how far it is."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    hidden = quiet or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("writing", total=None)
        yield lambda text: progress.update(task, description=text)


@contextmanager
def show_bars(*, quiet: bool) -> Iterator[None]:
    """Show the time since the work began, and the bar that is reached."""
    from composer.sampling.watching import watch

    with show_elapsed(quiet=quiet) as tell, watch(lambda bar, bars: tell(_describe_work(0, bar, bars))):
        yield


Item = TypeVar("Item")


def show_work(items: Iterable[Item], *, quiet: bool) -> Iterator[Item]:
    """Yield pieces as they come, and show the time, their number, and the bar that is reached, while they are made."""
    from composer.sampling.watching import watch

    done = 0
    with show_elapsed(quiet=quiet) as tell, watch(lambda bar, bars: tell(_describe_work(done, bar, bars))):
        for done, item in enumerate(items, start=1):
            yield item
            tell(_describe_work(done))


def _describe_work(done: int, bar: int = 0, bars: int = 0) -> str:
    """Describe how far work is: `writing · 2 pieces · bar 5 of 16`."""
    pieces = f" · {done} {'piece' if done == 1 else 'pieces'}" if done else ""
    reached = f" · bar {bar}{f' of {bars}' if bars else ''}" if bar else ""
    return f"writing{pieces}{reached}"


@contextmanager
def show_reading() -> Iterator[Callable[[int, int], None]]:
    """Show a bar for a dataset that is read; yield what takes the files read and their number.

    Where stderr is no terminal, nothing is shown.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("reading", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def show_training() -> Iterator[Callable[[Moment], None]]:
    """Show a training run: a line that changes, and one that stays for each validation. Yield its listener."""
    with StatusLine() as line:
        yield partial(_show_moment, line)


def _show_moment(line: StatusLine, moment: Moment) -> None:
    if moment.event not in ("step", "validation"):
        return
    progress = moment.progress
    unit = "" if progress.unit == "nats" else f" {progress.unit}/note"
    text = (
        f"step {progress.step:,}/{progress.steps:,} · {progress.tokens_per_second:,.0f} tokens/s · "
        f"{format_clock(progress.seconds_left)} left · train {progress.train:.3f}{unit}"
    )
    if moment.event == "step" or progress.valid is None:
        line.update(text if unit else f"{text} nats/note")
        return
    mark = " *" if progress.valid == progress.best else ""
    line.update("")
    line.print(f"{text} · valid {progress.valid:.3f} nats/note{mark}")


# --- datasets ---------------------------------------------------------------------------------------------------------


MOST_REASONS, MOST_NAMED = 20, 3
"""Reasons for refusals that are listed, and pieces of each that are named."""


def build_corpus(dataset: Dataset, tokenizer: Any, name: str, workers: int | None) -> Corpus:
    """Build the corpus of a dataset, and report on stderr what was kept and refused; of own files, why."""
    from composer.data.corpus import build
    from composer.io import lint

    with show_reading() as report:
        corpus = build(dataset, tokenizer, name=name, workers=workers or count_processors(), report=report)
    refused = corpus.refused
    splits = ", ".join(f"{len(corpus.split(split))} {split}" for split in ("train", "valid", "test"))
    click.echo(f"{corpus.about['kept']} pieces kept ({splits}), {len(refused)} refused.", err=True)
    if _is_users_own(name):
        for line in [*_format_refusals(corpus), *lint.format_lines(corpus.about)]:
            click.echo(f"  {printable(line, 1_000)}", err=True)
    return corpus


def _is_users_own(name: str) -> bool:
    """Tell whether a dataset, by its name, is of files that the user chose; of others the summary is enough."""
    offer = registry().offers["datasets"].get(name.partition(":")[0])
    return offer is None or any(option.required for option in offer.options)


def _format_refusals(corpus: Corpus) -> Iterator[str]:
    """Yield a line for each reason that refused pieces have, with their names."""
    from composer.io.lint import find_kind

    refused = corpus.refused
    alike: dict[str, list[Refused]] = {}
    for row in refused:
        alike.setdefault(find_kind(f": {row.reason}"), []).append(row)
    for rows in list(alike.values())[:MOST_REASONS]:
        names = ", ".join(printable(row.name, 60) for row in rows[:MOST_NAMED])
        more = f" and {len(rows) - MOST_NAMED:,} more" if len(rows) > MOST_NAMED else ""
        yield f"{names}{more}: {rows[0].reason}"
    if len(alike) > MOST_REASONS or any(len(rows) > MOST_NAMED for rows in alike.values()):
        yield f"… all {len(refused):,} are listed in {corpus.folder / 'corpus.json'}"


def prepare_tokenizer(
    dataset: Dataset, tokenizer: Tokenizer, name: str, workers: int, conditions: Sequence[str] = ()
) -> Tokenizer:
    """Fit a tokenizer to the training music of a dataset, if it learns anything, and add its conditions."""
    from composer.data.corpus import build, fit_tokenizer
    from composer.data.labels import fit_conditions

    with show_reading() as report:
        build_with: Any = partial(build, dataset, name=name, workers=workers, report=report)
        trained = fit_tokenizer(tokenizer, lambda: build_with(tokenizer))
        return fit_conditions(trained, conditions, lambda: build_with(trained))
