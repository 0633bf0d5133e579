"""The callback `tensorboard`: writes the course of a run as scalars for TensorBoard."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from composer.errors import BadOption
from composer.types import Callback, RunView

BOARD = "tensorboard"
SCALARS = ("train", "valid", "best", "tokens_per_second")


@dataclass
class TensorBoard(Callback):
    """Let TensorBoard show the run: `tensorboard --logdir FOLDER`."""

    _writer: Any = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Raise BadOption if TensorBoard is not installed."""
        if find_spec("tensorboard") is None:
            raise BadOption("TensorBoard is not installed; install it with `pip install tensorboard`.")

    @property
    def writes(self) -> tuple[str, ...]:
        """The folder that TensorBoard reads."""
        return (BOARD,)

    def on_validation(self, run: RunView) -> None:
        """Add the scalars of a validation."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            # Hides what a killed run wrote of this step or later ones.
            self._writer = SummaryWriter(str(run.file(BOARD)), purge_step=run.progress.step)
        for name in SCALARS:
            self._writer.add_scalar(name, getattr(run.progress, name), run.progress.step)
        self._writer.flush()

    def on_end(self, run: RunView) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
