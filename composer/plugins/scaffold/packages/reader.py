"""Lists of notes: a reader for composer."""

from dataclasses import dataclass
from pathlib import Path

from composer import hookimpl
from composer.errors import UnreadableFile, printable
from composer.music.score import TICKS_PER_QUARTER, Score, Track, make_notes
from composer.types import Offers

COMPOSER_API = 1
LONGEST = 10_000_000  # quarter notes


@dataclass(frozen=True)
class MyThing:
    """One note a line: start and duration in quarter notes, and the MIDI pitch, as in `1.5 0.5 60`."""

    def __call__(self, path: Path) -> Score:
        """Read a score. Raises UnreadableFile with one sentence; text from a file is never shown raw."""
        notes = []
        try:
            for line in path.read_text(encoding="utf-8").splitlines():
                start, duration, pitch = map(float, line.split())
                if not (0 <= start < LONGEST and 0 < duration < LONGEST and pitch in range(128)):
                    raise ValueError(f"there is no note {line}")
                notes.append((int(start * TICKS_PER_QUARTER), int(duration * TICKS_PER_QUARTER), int(pitch), 80))
        except (OSError, ValueError) as error:
            shown = printable(str(path)), printable(str(error))
            raise UnreadableFile("{}: is no list of notes ({}).".format(*shown)) from error
        return Score((Track(make_notes(notes)),))


@hookimpl
def register_readers() -> Offers:
    """Offer it for every command that reads files of this suffix."""
    return {".mything": MyThing}
