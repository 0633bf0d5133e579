"""Readers and exporters of music files, chosen by suffix."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from composer.errors import CannotWrite, ComposerError, ReadingWarning, UnreadableFile, printable, suggest
from composer.io.bounds import OutOfBounds, run_bounded
from composer.io.isolation import Isolated, isolate
from composer.music.score import Score
from composer.plugins.events import tell_piece_written
from composer.plugins.registry import registry
from composer.storage.opening import check_regular, open_regular, read_bytes
from composer.types.files import Exporter, HasPieces, HasReading, Reader, SupportsProvenance

if TYPE_CHECKING:
    from composer.io.pieces import Piece

LARGEST_SIDECAR = 2**24
"""Bytes of the JSON beside a file."""

T = TypeVar("T")


def read(path: Path, **options: Any) -> Score:
    """Read the score in a file of any format that a plugin reads, by its suffix.

    Raises UnreadableFile for any error of the reader. Omissions and repairs come as `ReadingWarning`.
    """
    return read_with(make_reader(path, **options), path)


def choose_options(path: Path, exporter: Exporter) -> dict[str, Any]:
    """Return the options with which a file is best read for `exporter`: those that its reader has."""
    if not (isinstance(exporter, HasReading) and is_read(path)):
        return {}
    known = {option.name for option in registry().get_offer("readers", path.suffix.lower()).options}
    return {name: value for name, value in exporter.reading.items() if name in known}


def is_read(path: Path) -> bool:
    """Tell whether a plugin reads files of the suffix of `path`."""
    return path.suffix.lower() in registry().offers["readers"]


def make_reader(path: Path, **options: Any) -> Reader:
    """Make the reader for the suffix of `path`, once for many files. Raises UnreadableFile, BadOption."""
    readers = registry().offers["readers"]
    suffix = path.suffix.lower()
    if suffix not in readers:
        shown = printable(str(path))
        raise UnreadableFile(f"{shown}: no plugin reads '{printable(suffix)}' files; {suggest(suffix, readers)}")
    made = registry().make("readers", suffix, **options)
    return made if getattr(made, "is_bounded", False) else isolate(made, suffix, options)


def read_with(reader: Reader, path: Path) -> Score:
    """Read a file with `reader`. Raises UnreadableFile for any error of it."""
    score = call_reader(reader, path)
    if not isinstance(score, Score):
        shown = printable(str(path))
        raise UnreadableFile(f"{shown}: was read to something else than a score; its reader has a fault.")
    return score


def call_reader(act: Callable[[Path], T], path: Path) -> T:
    """Call a reader, or a method of one, in bounded time and memory; an iterator comes as a list.

    Only regular files are passed to it. Raises UnreadableFile for any error, and beyond the bounds.
    """
    with _refuse_errors(path):
        check_regular(path)
        return act(path) if isinstance(act, Isolated) else run_bounded(_collect, act, path)


def _collect(act: Callable[[Path], Any], path: Path) -> Any:
    """Return the whole result: the items of an iterator would come later, when no timer runs."""
    result = act(path)
    return list(result) if hasattr(type(result), "__next__") else result


def read_pieces(reader: Reader, path: Path) -> Iterator[tuple[str, Score | Exception]]:
    """Read each piece of a file, with its name in it ("" for a single one); a refused one with its error.

    In this process the bounds apply to each piece, and elsewhere to the whole file. Raises UnreadableFile for a file
    that cannot be read, or no further.
    """
    if not isinstance(reader, HasPieces):
        yield "", read_with(reader, path)
    elif isinstance(reader.read_pieces, Isolated):
        yield from call_reader(reader.read_pieces, path)
    else:
        with _refuse_errors(path):
            check_regular(path)
            found = reader.read_pieces(path)
            while (piece := run_bounded(next, found, None)) is not None:
                yield piece


@contextmanager
def _refuse_errors(path: Path) -> Iterator[None]:
    """Raise UnreadableFile for any error of a reader, or ComposerError as it is."""
    try:
        yield
    except (OutOfBounds, MemoryError) as error:
        what = error if isinstance(error, OutOfBounds) else "takes more memory than there is"
        raise UnreadableFile(f"{printable(str(path))}: {what} to be read.") from None
    except (Exception, SystemExit) as error:  # foreign parsers raise anything
        shown, detail = printable(str(path)), printable(" ".join(str(error).split()), 160)
        open_regular(path).close()
        if isinstance(error, ComposerError):
            raise
        if isinstance(error, RecursionError):
            raise UnreadableFile(f"{shown}: is nested too deeply to be read.") from None
        raise UnreadableFile(f"{shown}: cannot be read ({type(error).__name__}: {detail}).") from error


def read_notes(path: Path) -> Score:
    """Read a score as `read` does, with the labels in its provenance.

    Raises UnreadableFile for a file without notes, too, without other warnings.
    """
    score, said = read_with_warnings(path)
    with suppress(UnreadableFile):  # JSON beside the file may be anything
        score = apply_labels(score, read_provenance(path))
    if not score.note_count:
        raise UnreadableFile(f"{printable(str(path))}: contains no notes.")
    for warning in said:
        warnings.warn(warning, stacklevel=2)
    return score


def read_each(path: Path) -> Iterator[tuple[str, Score | Exception]]:
    """Read every piece of a file, as `read_notes` does, with the file's name and its own, as in `book.abc#2`.

    A piece that cannot be read comes as its error. Raises UnreadableFile for a file that cannot be.
    """
    reader, shown = make_reader(path), str(path)
    found: list[tuple[str, Score | Exception]] = []
    if isinstance(reader, HasPieces):
        found = list(read_pieces(reader, path))
    if len(found) < 2:
        yield shown, read_notes(path)
        return
    for name, piece in found:
        silent = isinstance(piece, Score) and not piece.note_count
        yield f"{shown}#{name}", UnreadableFile(f"{shown}#{name}: contains no notes.") if silent else piece


def apply_labels(score: Score, provenance: Mapping[str, Any]) -> Score:
    """Give a score the labels in its provenance, which is untrusted, if it has none."""
    labels = provenance.get("labels")
    if score.labels or not isinstance(labels, Mapping):
        return score
    return replace(score, labels=tuple((str(name), str(value)) for name, value in labels.items()))


def read_with_warnings(path: Path, **options: Any) -> tuple[Score, list[ReadingWarning]]:
    """Read a score as `read` does, and return the warnings with it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ReadingWarning)
        score = read(path, **options)
    return score, [w.message for w in caught if isinstance(w.message, ReadingWarning)]


def find_suffix(path: Path) -> str:
    """Return the suffix by which `path` is written, in small letters: the longest that an exporter has.

    Raises CannotWrite if no plugin writes such files.
    """
    exporters = registry().offers["exporters"]
    parts = [part.lower() for part in path.suffixes]
    for start in range(len(parts)):
        if (suffix := "".join(parts[start:])) in exporters:
            return suffix
    shown, last = printable(str(path)), path.suffix.lower()
    raise CannotWrite(f"{shown}: no plugin writes '{printable(last)}' files; {suggest(last, exporters)}")


def make_exporter(path: Path, **options: Any) -> Exporter:
    """Make the exporter for the suffix of `path`, once for many files. Raises CannotWrite, BadOption."""
    made: Exporter = registry().make("exporters", find_suffix(path), **options)
    return made


def write(pieces: Sequence[Piece], path: Path | str, **options: Any) -> None:
    """Write pieces to `path` with the exporter of its suffix; an existing file is replaced.

    The caller decides about existing files; commands check theirs with `composer.io.outputs`. Plugins are told of it;
    for a file that nobody is to see, call `make_exporter`. Raises CannotWrite, BadOption.
    """
    out = Path(path)
    make_exporter(out, **options)(pieces, out)
    for piece in pieces:
        tell_piece_written([out], piece)


def read_provenance(path: Path) -> dict[str, Any]:
    """Read the provenance of the piece in a file, or else in the JSON beside it, which may itself be given.

    `{}` if neither has any. Raises UnreadableFile. The values are untrusted: check them.
    """
    check_regular(path)
    beside = path if path.suffix.lower() == ".json" else path.with_name(path.name + ".json")
    its_reader = make_reader(path) if is_read(path) else None
    found: dict[str, Any] = (
        dict(call_reader(its_reader.read_provenance, path)) if isinstance(its_reader, SupportsProvenance) else {}
    )
    if found or not beside.is_file():
        return found
    raw = read_bytes(beside, LARGEST_SIDECAR)
    try:
        values = json.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        raise UnreadableFile(f"{printable(str(beside))}: invalid JSON ({printable(str(error))}).") from None
    return values if isinstance(values, dict) else {}
