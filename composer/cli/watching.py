"""Progress in the terminal, of reading and of training; on a pipe, a line a validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from composer.training.callbacks import Moment


@contextmanager
def reading() -> Iterator[Callable[[int, int], None]]:
    """A bar for a dataset that is read; it shows only where somebody watches, and only if it takes a while."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("reading", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


class Watch:
    """A live line for a training run, and a line for good after each validation."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._live = Live("", console=self._console, transient=True, refresh_per_second=4)

    def __enter__(self) -> Watch:
        self._live.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._live.__exit__(*raised)

    def listen(self, moment: Moment) -> None:
        """Show how far the run has come."""
        progress = moment.progress
        if moment.event not in ("step", "validation"):
            return
        line = (
            f"step {progress.step:,}/{progress.steps:,} · {progress.tokens_per_second:,.0f} tokens/s · "
            f"{_time(progress.seconds_left)} left · train {progress.train:.3f}"
        )
        if moment.event == "step" or progress.valid is None:
            self._live.update(line + " nats/note")
            return
        mark = " *" if progress.valid == progress.best else ""
        self._live.update("")
        self._console.print(f"{line} · valid {progress.valid:.3f} nats/note{mark}")


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
