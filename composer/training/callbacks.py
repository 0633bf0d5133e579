"""Listeners to a training run, the moments they hear of, and callbacks, which cannot harm the run."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from composer.errors import ComposerError, RunWarning, printable

if TYPE_CHECKING:
    from composer.data.corpus import Corpus
    from composer.fitting import Weights
    from composer.model import Model
    from composer.types import Callback, RunView, Tokenizer

Event: TypeAlias = Literal["start", "step", "validation", "checkpoint", "end"]


@dataclass(frozen=True)
class Progress:
    """The progress of a run. Likelihoods are nats per note, without the grammar's mask.

    `train` is in what the objective counts, per note: its `unit` may be others than nats. After a validation, `valid`
    is its result, and `best` the best so far.
    """

    step: int
    steps: int
    epoch: float
    tokens_per_second: float
    seconds: float
    seconds_left: float
    train: float
    valid: float | None = None
    best: float | None = None
    unit: str = "nats"


@dataclass(frozen=True)
class Moment:
    """A notification to listeners: the event, the progress, and access to a copy of the weights."""

    event: Event
    progress: Progress
    weights: Callable[[], Weights]


Listener: TypeAlias = Callable[[Moment], None]
"""Called at the start, with progress a few times a second, at each validation and checkpoint, and at the end."""


class Notifier:
    """Notifies all listeners of each moment, in order, and remembers the last moment for the end."""

    def __init__(self, listeners: Sequence[Listener], weights: Callable[[], Weights]) -> None:
        self._listeners, self._weights = listeners, weights
        self._last: Progress | None = None

    def notify(self, event: Event, progress: Progress) -> None:
        """Notify listeners of a moment, with the weights as they are now."""
        self._last = progress
        self._notify(Moment(event, progress, self._weights))

    def notify_end(self, best: Weights) -> None:
        """Notify listeners of the end of a run that has begun, with the best weights."""
        if self._last is not None:
            self._notify(Moment("end", self._last, lambda: {name: array.copy() for name, array in best.items()}))

    def _notify(self, moment: Moment) -> None:
        for listener in self._listeners:
            listener(moment)


@dataclass(frozen=True)
class RunContext:
    """The context of a run for its callbacks: corpus, tokenizer, seed, folder."""

    make_model: Callable[[Weights], Model]
    corpus: Corpus
    tokenizer: Tokenizer
    seed: int
    folder: Path | None = None

    def make_view(self, moment: Moment) -> RunView:
        """Make the run as a callback sees it; each model is a copy."""
        from composer.types import RunView

        return RunView(
            progress=moment.progress,
            model=lambda: self.make_model(moment.weights()),
            corpus=self.corpus,
            tokenizer=self.tokenizer,
            seed=self.seed,
            folder=self.folder,
        )


Record: TypeAlias = Callable[[Progress, Mapping[str, Any]], None]
"""Stores the progress at a validation, with the figures that callbacks have added."""


class Callbacks:
    """The callbacks of a run as one listener. Their changes to torch are undone, and their errors are caught.

    A callback that raises is reported in one line and dropped.
    """

    def __init__(self, callbacks: Mapping[str, Callback], context: RunContext, record: Record | None = None) -> None:
        self._left, self._context, self._record = dict(callbacks), context, record
        self.dropped: dict[str, str] = {}

    def __call__(self, moment: Moment) -> None:
        """Call each callback, then record the figures of a validation."""
        figures: dict[str, Any] = {}
        for name, callback in list(self._left.items()):
            try:
                figures |= _call(callback, moment.event, self._context.make_view(moment))
            except (Exception, SystemExit) as error:  # third-party code may raise anything
                self._drop(name, error)
        if moment.event == "validation" and self._record is not None:
            self._record(moment.progress, figures)

    def _drop(self, name: str, error: BaseException) -> None:
        del self._left[name]
        what = str(error) if isinstance(error, ComposerError) else f"{type(error).__name__}: {error}".rstrip(". ") + "."
        self.dropped[name] = printable(" ".join(what.split()), 200)
        text = f"the callback '{printable(name)}' failed and is dropped, the run goes on: {self.dropped[name]}"
        warnings.warn(text, RunWarning, stacklevel=2)


class Events:
    """The events of a run as one listener, for plugins that answer them. Their changes to torch are undone."""

    def __init__(self, context: RunContext) -> None:
        self._context = context

    def __call__(self, moment: Moment) -> None:
        """Tell the plugins of a start and of a validation."""
        from composer.plugins.events import is_answered, tell

        event = {"start": "run_started", "validation": "validated"}.get(moment.event)
        if event and is_answered(event):
            with _restore_torch():
                tell(event, run=self._context.make_view(moment))


def _call(callback: Callback, event: Event, run: RunView) -> dict[str, Any]:
    """Call a callback and return the figures it adds. Raises TypeError or ValueError for what JSON cannot hold."""
    with _restore_torch():
        found = getattr(callback, f"on_{event}")(run)
    return dict(json.loads(json.dumps(dict(found)))) if event == "validation" and found else {}


@contextmanager
def _restore_torch() -> Iterator[None]:
    """Undo changes to torch's global state: random numbers, threads, gradient mode."""
    import torch

    threads = torch.get_num_threads()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices), torch.enable_grad():
        try:
            yield
        finally:
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
