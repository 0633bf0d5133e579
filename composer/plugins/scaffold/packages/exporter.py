"""Lists of notes: an exporter for composer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from composer import hookimpl
from composer.music.score import TICKS_PER_QUARTER
from composer.storage.atomic import write_whole_file
from composer.types import Offers, Piece

COMPOSER_API = 1


@dataclass(frozen=True)
class MyThing:
    """One note a line: start and duration in quarter notes, and the MIDI pitch."""

    digits: Annotated[int, "digits after the point"] = 3
    holds: ClassVar[tuple[str, ...]] = ("start", "duration", "pitch")  # parts of a score that the format represents

    def __call__(self, pieces: Sequence[Piece], path: Path) -> None:
        """Write a file, whole and never over another, by `write_whole_file`. Raises CannotWrite."""
        lines = [
            f"{note['start'] / TICKS_PER_QUARTER:.{self.digits}f} "
            f"{note['duration'] / TICKS_PER_QUARTER:.{self.digits}f} {note['pitch']}\n"
            for piece in pieces
            for track in piece.score.tracks
            for note in track.notes
        ]
        with write_whole_file(path) as scratch:
            scratch.write_text("".join(lines), encoding="utf-8")


@hookimpl
def register_exporters() -> Offers:
    """Offer it for every command that writes files of this suffix; options go by `--export-option`."""
    return {".mything": MyThing}
