"""Music files by their suffix, and files that appear whole or not at all; it knows no format."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from composer.errors import CannotWrite, ComposerError, ReadingWarning, UnreadableFile, nearest, printable
from composer.plugins import registry
from composer.score import Score
from composer.types import Exporter, HasPieces, Piece, Reader, Remembering


def read(path: Path, **options: Any) -> Score:
    """The score in a file of any format that a plugin reads, by its suffix.

    Raises UnreadableFile, whatever a reader made of the file. What was dropped or mended comes as `ReadingWarning`.
    """
    return read_by(reader(path, **options), path)


def is_read(path: Path) -> bool:
    """Whether a plugin reads files of the suffix of `path`."""
    return path.suffix.lower() in registry().offers["readers"]


def reader(path: Path, **options: Any) -> Reader:
    """What reads files of the suffix of `path`, made once for many of them. Raises UnreadableFile, BadOption."""
    readers = registry().offers["readers"]
    suffix = path.suffix.lower()
    if suffix not in readers:
        shown = printable(str(path))
        raise UnreadableFile(f"{shown}: no plugin reads '{printable(suffix)}' files; {nearest(suffix, readers)}")
    return registry().make("readers", suffix, **options)


def read_by(reader: Reader, path: Path) -> Score:
    """What `reader` makes of a file. Raises UnreadableFile for whatever it raises."""
    with _refusing(path):
        return reader(path)


def pieces_by(reader: Reader, path: Path) -> Iterator[tuple[str, Score | Exception]]:
    """Read each piece of a file, with its name in it ("" where there is one alone); a refused one with its error.

    Raises UnreadableFile for a file that cannot be read.
    """
    if not isinstance(reader, HasPieces):
        yield "", read_by(reader, path)
        return
    with _refusing(path):
        yield from reader.pieces(path)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Raise UnreadableFile for whatever a reader makes of a file, or ComposerError as it is."""
    try:
        yield
    except Exception as error:  # readers rest on foreign parsers, which raise anything
        shown, detail = printable(str(path)), printable(" ".join(str(error).split()), 160)
        _check_file(path)
        if isinstance(error, ComposerError):
            raise
        if isinstance(error, RecursionError):
            raise UnreadableFile(f"{shown}: is nested too deeply to be read.") from None
        raise UnreadableFile(f"{shown}: cannot be read ({type(error).__name__}: {detail}).") from error


def _check_file(path: Path) -> None:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "there is no such file"
        raise UnreadableFile(f"{printable(str(path))}: {what}.") from None


def read_notes(path: Path) -> Score:
    """What `read` gives. Raises UnreadableFile for a file without notes, too, and warns of nothing else then."""
    score, said = read_with_warnings(path)
    if not score.note_count:
        raise UnreadableFile(f"{printable(str(path))}: there is not a note in it.")
    for text in said:
        warnings.warn(text, ReadingWarning, stacklevel=2)
    return score


def read_with_warnings(path: Path, **options: Any) -> tuple[Score, list[str]]:
    """What `read` gives, and the texts of its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ReadingWarning)
        score = read(path, **options)
    return score, [str(w.message) for w in caught if issubclass(w.category, ReadingWarning)]


def suffix_of(path: Path) -> str:
    """The suffix by which `path` is written, in small letters: the longest that there is an exporter of.

    Raises CannotWrite if no plugin writes such files.
    """
    exporters = registry().offers["exporters"]
    parts = [part.lower() for part in path.suffixes]
    for start in range(len(parts)):
        if (suffix := "".join(parts[start:])) in exporters:
            return suffix
    shown, last = printable(str(path)), path.suffix.lower()
    raise CannotWrite(f"{shown}: no plugin writes '{printable(last)}' files; {nearest(last, exporters)}")


def exporter(path: Path, **options: Any) -> Exporter:
    """What writes files of the suffix of `path`, made once for many of them. Raises CannotWrite, BadOption."""
    made: Exporter = registry().make("exporters", suffix_of(path), **options)
    return made


def write(pieces: Sequence[Piece], path: Path | str, **options: Any) -> None:
    """Write pieces to `path` with the exporter of its suffix. Raises CannotWrite, BadOption."""
    out = Path(path)
    exporter(out, **options)(pieces, out)


def provenance(path: Path) -> dict[str, Any]:
    """What made the piece in a file: as the file says, or else the JSON beside it, which may itself be asked for.

    `{}` if neither says so. Raises UnreadableFile. The values are a stranger's: check them.
    """
    _check_file(path)
    beside = path if path.suffix.lower() == ".json" else path.with_name(path.name + ".json")
    its_reader = reader(path) if is_read(path) else None
    with _refusing(path):
        found: dict[str, Any] = dict(its_reader.provenance(path)) if isinstance(its_reader, Remembering) else {}
    if found or not beside.is_file():
        return found
    try:
        values = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableFile(f"{printable(str(beside))}: is no JSON ({printable(str(error))}).") from None
    return values if isinstance(values, dict) else {}


def check_place(path: Path) -> None:
    """Raise CannotWrite now, and not after the work, if no file could be written to `path`."""
    shown = printable(str(path))
    if not path.absolute().parent.is_dir():
        raise CannotWrite(f"{shown}: there is no folder {printable(str(path.parent))}.")
    if path.is_dir():
        raise CannotWrite(f"{shown}: is a folder.")
    try:
        handle, name = tempfile.mkstemp(prefix=".composer-", dir=path.parent)
        os.close(handle)
        Path(name).unlink()
    except OSError as error:
        raise CannotWrite(f"{shown}: cannot be written ({error.strerror or error}).") from error


@contextmanager
def whole_folder(path: Path) -> Iterator[None]:
    """A folder to write to, made where it is not there; what was made vanishes if it is empty after an error.

    Raises CannotWrite.
    """
    made = [place for place in (path, *path.parents) if not place.exists()]
    if path.exists() and not path.is_dir():
        raise CannotWrite(f"{printable(str(path))}: is a file; several pieces need a folder.")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"{printable(str(path))}: cannot be made ({error.strerror}).") from error
    try:
        yield
    except BaseException:
        with suppress(OSError):  # it is not empty
            for place in made:
                place.rmdir()
        raise


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the place of `path` when all went well, and else vanishes.

    Raises CannotWrite, in one sentence, for any fault of the file system.
    """
    scratch = None
    try:
        handle, name = tempfile.mkstemp(prefix=".composer-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        scratch = Path(name)
        yield scratch
        scratch.chmod(0o666 & ~_umask())
        scratch.replace(path)
    except OSError as error:
        raise CannotWrite(f"{printable(str(path))}: cannot be written ({error.strerror or error}).") from error
    finally:
        if scratch is not None:
            scratch.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
