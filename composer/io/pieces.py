"""Pieces: a score with its provenance, written to files and turned into objects of other libraries.

In a notebook, a piece is a piano roll as SVG and, if short, its sound, by the installed exporters.
"""

from __future__ import annotations

import base64
import importlib
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any

from composer.errors import CannotWrite, printable
from composer.music.score import Score, clean_text
from composer.storage.inside import expand_home

SELLING = (
    "Composer claims no rights in it, but the music that its model learnt from may be restricted in commercial use; "
    "its licence decides."
)
"""The answer to whether a piece may be sold."""

UNTITLED = "untitled"
"""The name of a scratch file."""


@dataclass(frozen=True, repr=False)
class Piece:
    """A score and its provenance: plain values, ready for JSON; empty for a score that was read."""

    score: Score
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Clean the title, wherever it comes from."""
        title = self.provenance.get("title")
        if isinstance(title, str) and clean_text(title) != title:
            object.__setattr__(self, "provenance", {**self.provenance, "title": clean_text(title)})

    @property
    def title(self) -> str:
        """The title that the user chose, or else that of the file it was read from; empty if it has none."""
        title = self.provenance.get("title")
        return (title if isinstance(title, str) and title.strip() else self.score.title).strip()

    @property
    def seconds(self) -> float:
        """How long it takes to play."""
        from composer.music.tempo_map import make_tempo_map

        return make_tempo_map(self.score).find_second(self.score.length)

    def __repr__(self) -> str:
        title = f" '{printable(self.title)}'" if self.title else ""
        tracks, notes = len(self.score.tracks), self.score.note_count
        return (
            f"<Piece{title}: {tracks:,} track{'s' * (tracks != 1)}, {notes:,} note{'s' * (notes != 1)}, "
            f"{self.seconds:.1f} seconds>"
        )

    def replace_title(self, title: str | None) -> Piece:
        """Return the piece with another title; None keeps its own."""
        return self if title is None else replace(self, provenance={**self.provenance, "title": title})

    def write(self, path: str | Path, *, title: str | None = None, **options: Any) -> None:
        """Write the piece to a file, in the format of its suffix; an existing file is replaced.

        Options are those of the exporter, such as `soundfont="mine.sf2"`. Raises CannotWrite, BadOption.
        """
        from composer.io import formats  # heavy, and exporters import this module

        formats.write([self.replace_title(title)], expand_home(os.fspath(path)), **options)

    def to_bytes(self, suffix: str, **options: Any) -> bytes:
        """Write the piece to bytes, in the format of a suffix such as `.mid`. Raises CannotWrite, BadOption."""
        from composer.io import formats

        with make_scratch_path(suffix) as path:
            formats.make_exporter(path, **options)([self], path)
            return path.read_bytes()

    def to_pretty_midi(self) -> Any:
        """Make a `pretty_midi.PrettyMIDI` of the piece. Raises CannotWrite where the library is not installed."""
        return import_library("pretty_midi").PrettyMIDI(io.BytesIO(self.to_bytes(".mid")))

    def to_music21(self) -> Any:
        """Make a `music21.stream.Score` of the piece. Raises CannotWrite where the library is not installed."""
        return import_library("music21.converter").parseData(self.to_bytes(".musicxml").decode(), format="musicxml")

    def to_symusic(self) -> Any:
        """Make a `symusic.Score` of the piece. Raises CannotWrite where the library is not installed."""
        return import_library("symusic").Score.from_midi(self.to_bytes(".mid"))

    def _repr_html_(self) -> str:
        """Show the piece in a notebook: its roll, and its sound if it is short."""
        return render_html(self)


@contextmanager
def make_scratch_path(suffix: str) -> Iterator[Path]:
    """Make a path for a file of that suffix, in a folder that is removed afterwards."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="composer-") as folder:
        yield Path(folder, UNTITLED + suffix)


def import_library(name: str) -> Any:
    """Import a module of an optional library. Raises CannotWrite where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise CannotWrite(f"{package} is not installed; `pip install {package}` installs it.") from None


# --- in a notebook ----------------------------------------------------------------------------------------------------


LONGEST = 45.0
"""Seconds of a piece that is shown with its sound."""

ROLL, SOUND = ".roll.svg", ".mp3"


def render_html(piece: Piece) -> str:
    """Draw a piece, with sound if it is short; parts without an exporter are left out."""
    words = escape(piece.title or "A piece")
    shown = f"<p>{words}: {piece.score.note_count:,} notes.</p>"
    roll = _try_export(piece, ROLL)
    if roll is not None:
        picture = roll.decode()
        shown = f'<div style="max-width: 100%; overflow-x: auto">{picture[picture.index("<svg") :]}</div>'
    return shown + _render_sound(piece)


def _render_sound(piece: Piece) -> str:
    if not piece.score.note_count or piece.seconds > LONGEST:
        return ""
    sound = _try_export(piece, SOUND)
    if sound is None:
        return ""
    return f'<audio controls src="data:audio/mpeg;base64,{base64.b64encode(sound).decode()}"></audio>'


def _try_export(piece: Piece, suffix: str) -> bytes | None:
    """Write a piece to bytes; None for any error of an exporter, so that the rest is still shown."""
    try:
        return piece.to_bytes(suffix)
    except Exception:
        return None
