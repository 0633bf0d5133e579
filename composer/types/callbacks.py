"""Callbacks, which follow a training run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from composer.errors import CannotWrite
from composer.storage.inside import join_inside
from composer.types.tokenizers import Tokenizer

if TYPE_CHECKING:
    from composer.data.corpus import Corpus
    from composer.model import Model
    from composer.training.callbacks import Progress


@dataclass(frozen=True)
class RunView:
    """A training run as a callback sees it. Its values are copies, so that changes to them never reach the run."""

    progress: Progress
    model: Callable[[], Model]  # makes the current model; at the end the best one
    corpus: Corpus  # the music in tokens
    tokenizer: Tokenizer
    seed: int
    folder: Path | None  # of the run, if it has one

    def file(self, *names: str) -> Path:
        """Make the path of a file in the run's folder. Raises CannotWrite for one elsewhere, or without a folder."""
        if self.folder is None:
            raise CannotWrite("this run is kept in no folder; give --run as well.")
        return join_inside(self.folder, *names)


class Callback:
    """A listener to a training run: a dataclass of options that defines the methods it needs.

    It never changes the model. One that raises is reported in a line and dropped. A run that was killed resumes from
    its last checkpoint, so steps may come twice. Only the first of several processes calls callbacks.
    """

    @property
    def writes(self) -> tuple[str, ...]:
        """Names of the files and folders that it makes in the run's folder; with any, it needs one."""
        return ()

    def on_start(self, run: RunView) -> None:
        """Handle the start, also of a resumed run."""

    def on_step(self, run: RunView) -> None:
        """Handle progress, a few times a second."""

    def on_validation(self, run: RunView) -> Mapping[str, Any] | None:
        """Handle a validation; returned figures, as in JSON, go into the line of `metrics.jsonl`."""
        return None

    def on_checkpoint(self, run: RunView) -> None:
        """Handle a checkpoint that was written."""

    def on_end(self, run: RunView) -> None:
        """Handle the end of a run that has a model: finished, stopped or failed."""
