"""Readers and exporters of music files. `Piece` itself stands in `composer.io.pieces`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

from composer.music.score import Score

if TYPE_CHECKING:
    from composer.io.pieces import Piece

Reader: TypeAlias = Callable[[Path], Score]
"""Reads one regular file. Raises UnreadableFile; warns with ReadingWarning of what it dropped or mended.

It is called in a process of its own, which ends after `composer.io.bounds.SECONDS`, or at `MEMORY` more than it began
with. A reader with the attribute `is_bounded = True` is called in this process, which is faster. It promises time and
memory linear in the file and in the music, and no crash, whatever the file holds.
"""


@runtime_checkable
class SupportsProvenance(Protocol):
    """A reader of files that can carry the provenance of their piece."""

    def read_provenance(self, path: Path) -> Mapping[str, Any]:
        """Read the provenance that the exporter wrote; `{}` if the file has none. Raises UnreadableFile."""


@runtime_checkable
class HasPieces(Protocol):
    """A reader of files that may hold several pieces, such as a book of tunes."""

    def read_pieces(self, path: Path) -> Iterator[tuple[str, Score | Exception]]:
        """Yield each piece with its name in the file ("1", "2"…; "" for a single one), a refused one with its error.

        A piece is read when it is asked for. Raises UnreadableFile for a file without pieces, and warns as the reader.
        """


@dataclass(frozen=True)
class Finding:
    """One fault that other programs would object to. Tracks and bars count from 1; ticks are the file's own.

    `rule` is the name of the check, and `times` the number of violations in that track. `tick` and `bar` are those of
    the first one.
    """

    severity: Literal["error", "warning", "hint"]
    rule: str
    text: str  # one sentence, safe to print
    track: int | None = None
    tick: int | None = None
    bar: int | None = None
    times: int = 1


@runtime_checkable
class SupportsLint(Protocol):
    """A reader that can also look for faults in its files."""

    def lint(self, path: Path) -> Sequence[Finding]:
        """Find the faults of a file, readable or not. Raises UnreadableFile if it cannot be opened."""


Exporter: TypeAlias = Callable[["Sequence[Piece]", Path], None]
"""Writes pieces to one file by `composer.storage.atomic.write_whole_file`: whole or not at all. Raises CannotWrite."""


@runtime_checkable
class IsGallery(Protocol):
    """An exporter that shows several pieces in one file, to choose among them."""

    is_gallery: ClassVar[bool]


@runtime_checkable
class HasReading(Protocol):
    """An exporter for which music is best read with certain options."""

    reading: ClassVar[Mapping[str, Any]]
    """Options of readers, for those that have them, unless the user chooses others."""
