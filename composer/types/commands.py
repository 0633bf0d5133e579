"""Commands whose pieces can be made again: their tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from composer.generation.generator import Generator
    from composer.io.pieces import Piece
    from composer.request import Request


@runtime_checkable
class OwnTask(Protocol):
    """A task that a plugin defines: a frozen value that, with the model, determines its piece.

    The provenance of the piece has the request as `request`, and the name of the plugin's command as `command`.
    """

    @property
    def request(self) -> Request:
        """The request in the task."""

    def replace_request(self, request: Request) -> OwnTask:
        """Return the same task with another request."""

    def generate(self, generator: Generator) -> Piece:
        """Generate the piece. Raises BadOption, CannotExpress, NothingAllowed."""


@runtime_checkable
class ReadsTasks(Protocol):
    """A command that reads its tasks from the provenance of its pieces, so that `composer regenerate` makes them."""

    def read_task(self, provenance: Mapping[str, Any]) -> OwnTask:
        """Read the task of a piece. Raises BadOption for anything else."""
