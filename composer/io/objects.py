"""Music from any source: paths, bytes, open files, and objects of other libraries."""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from composer.errors import LeftOutWarning, ReadingWarning, UnreadableFile, printable
from composer.io import formats
from composer.io.pieces import UNTITLED, Piece, import_library, make_scratch_path
from composer.music.score import Score
from composer.storage.inside import expand_home

_KERN = re.compile(r"(?:!![^\n]*\n|\s)*\*\*")
_ABC = re.compile(r"(?:%[^\n]*\n|\s)*[A-Za-z]:", re.ASCII)


def read(source: Any, **options: Any) -> Piece:
    """Read music from a path, bytes, an open file, or an object of pretty_midi, music21 or symusic.

    A file's format follows from its suffix, that of bytes from their content: MIDI, MusicXML, ABC or kern. Options are
    those of the reader, such as `pedal="ignore"`. Raises UnreadableFile; warns with ReadingWarning of omissions.
    """
    if isinstance(source, Piece):
        return source
    if isinstance(source, Score):
        return Piece(source)
    if isinstance(source, str | os.PathLike):
        path = expand_home(os.fspath(source))
        score, made_by = formats.read(path, **options), formats.read_provenance(path)
        return Piece(formats.apply_labels(score, made_by), made_by)
    if isinstance(source, bytes | bytearray | memoryview):
        return _read_bytes(bytes(source), **options)
    if callable(getattr(source, "read", None)):
        held = source.read()
        return _read_bytes(held.encode() if isinstance(held, str) else held, **options)
    if (to_bytes := _LIBRARIES.get(type(source).__module__.partition(".")[0])) is not None:
        return Piece(
            _read_bytes(to_bytes(source), **options).score
        )  # any provenance may be outdated: the object may have been changed
    raise UnreadableFile(
        f"an object of the type '{printable(type(source).__name__)}' holds no music; give a path, bytes, an open file, "
        "or an object of pretty_midi, music21 or symusic."
    )


def read_notes(source: Any) -> Score:
    """Read a score as `read` does. Raises UnreadableFile for one without notes, too."""
    if isinstance(source, str | os.PathLike):
        return formats.read_notes(expand_home(os.fspath(source)))
    score = read(source).score
    if not score.note_count:
        raise UnreadableFile("the music contains no notes.")
    return score


def write(
    pieces: Piece | Score | Sequence[Piece | Score], path: str | Path, *, title: str | None = None, **options: Any
) -> None:
    """Write one piece or several to a file, in the format of its suffix; an existing file is replaced.

    Options are those of the exporter, such as `soundfont="mine.sf2"`. Raises CannotWrite, BadOption.
    """
    many = [pieces] if isinstance(pieces, Piece | Score) else pieces
    found = [read(piece) for piece in many]
    formats.write([piece.replace_title(title) for piece in found], expand_home(os.fspath(path)), **options)


# --- bytes ------------------------------------------------------------------------------------------------------------


def recognise_suffix(held: bytes) -> str:
    """Recognise the suffix that a file of these bytes would have. Raises UnreadableFile."""
    if held[:4] == b"PK\x03\x04":
        return ".mxl"
    if b"MThd" in held[:256]:
        return ".mid"
    encoding = "utf-16" if held[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = held[: 2**16].decode(encoding, errors="replace").lstrip()
    if text.startswith("<"):
        return ".musicxml"
    if _KERN.match(text):
        return ".krn"
    if _ABC.match(text):
        return ".abc"
    raise UnreadableFile("the bytes are no MIDI, MusicXML, ABC or kern.")


def _read_bytes(held: bytes, **options: Any) -> Piece:
    with make_scratch_path(recognise_suffix(held)) as path, _hide_path(path):
        path.write_bytes(held)
        score = formats.read(path, **options)
        title = "" if score.title == UNTITLED else score.title
        made_by = formats.read_provenance(path)
        return Piece(formats.apply_labels(replace(score, title=title), made_by), made_by)


@contextmanager
def _hide_path(path: Path) -> Iterator[None]:
    """Name the music in errors and warnings, rather than the scratch file."""
    shown = printable(str(path))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except UnreadableFile as error:
            raise UnreadableFile(str(error).replace(shown, "the music")) from None
    for warning in caught:
        message = warning.message
        if isinstance(message, LeftOutWarning):
            message = LeftOutWarning("the music", message.counts)
        elif isinstance(message, ReadingWarning):
            message = type(message)(str(message).replace(shown, "the music"))
        warnings.warn(message, warning.category, stacklevel=5)


# --- other libraries --------------------------------------------------------------------------------------------------


def _dump_pretty_midi(midi: Any) -> bytes:
    held = io.BytesIO()
    midi.write(held)
    return held.getvalue()


def _dump_music21(stream: Any) -> bytes:
    exporter: Any = import_library("music21.musicxml.m21ToXml").GeneralObjectExporter(stream)
    return bytes(exporter.parse())


def _dump_symusic(score: Any) -> bytes:
    return bytes(score.to("tick").dumps_midi())


_LIBRARIES: dict[str, Callable[[Any], bytes]] = {
    "pretty_midi": _dump_pretty_midi,
    "music21": _dump_music21,
    "symusic": _dump_symusic,
}
"""What makes a file of an object, by the library that it comes from."""
