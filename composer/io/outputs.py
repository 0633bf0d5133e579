"""Outputs: the files that a command writes, checked so that none of the user's files is lost.

Every command that writes uses it. An existing file is replaced only with `--force`, and never one that the command
reads. Library functions (`composer.io.formats.write`, `composer.model.save`) replace existing files: the caller
decides. One run at a time works in a folder; the system releases its lock when the process ends.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from composer.errors import BadOption, BatchFailed, CannotWrite, LeftOutWarning, printable, suggest
from composer.io.formats import find_suffix, is_read, make_exporter
from composer.plugins.events import tell_piece_written
from composer.plugins.registry import registry
from composer.storage.atomic import check_location, keep_existing, write_whole_file
from composer.storage.inside import join_inside, open_inside
from composer.types import Exporter, Piece

# --- what may be written ----------------------------------------------------------------------------------------------


@contextmanager
def guard(paths: Iterable[Path], *, reads: Iterable[Path] = (), force: bool = False) -> Iterator[None]:
    """Check before the work that files can be written, and replace none within it that appeared after the check.

    `reads` are the inputs of the work: files, and folders of music. Raises CannotWrite.
    """
    wanted = list(paths)
    check(wanted, reads=reads, force=force)
    with nullcontext() if force else keep_existing(wanted):
        yield


def check(paths: Sequence[Path], *, reads: Iterable[Path] = (), force: bool = False, hint: str = "") -> None:
    """Raise CannotWrite for places that cannot be written to, for duplicates, and for files that may not be replaced.

    `hint` follows the statement that a file exists; see `check_kept`.
    """
    for path in paths:
        check_location(path)
    _check_different(paths)
    check_kept(paths, reads=reads, force=force, hint=hint)


def check_kept(
    paths: Iterable[Path],
    *,
    reads: Iterable[Path] = (),
    force: bool = False,
    hint: str = "",
    instead: str = "choose another name",
) -> None:
    """Raise CannotWrite if one of `paths` is a file that is read, or, without `force`, if there is one at all."""
    there = [path for path in paths if os.path.lexists(path)]
    if not there:
        return
    read = set(_identify_all(reads)) - {None}
    for path in there:
        if _identify(path) in read:
            raise CannotWrite(f"{_describe(path)} is read here, and not replaced even with --force; {instead}.")
    if not force:
        names = set(map(str, there))
        leading = [path for path in there if not (path.suffix == ".json" and str(path.with_suffix("")) in names)]
        more = len(leading) - 1
        exist = f"and {more:,} more of the files to write exist" if more else "exists"
        it = "them" if more else "it"
        raise CannotWrite(f"{_describe(leading[0])} {exist}{hint}; {instead}, or give --force to replace {it}.")


def find_named(*texts: str | Path | None) -> Iterator[Path]:
    """Find the files and folders in values of the command line: `mine.mid`, `folder:mine/`, `wav.soundfont=my.sf2`.

    Texts that name no existing file are skipped.
    """
    for text in texts:
        whole = str(text or "")
        for part in (whole, whole.partition(":")[2], whole.partition("=")[2]):
            if part and os.path.lexists(path := os.path.expanduser(part)):  # noqa: PTH111  (Path raises for an unknown user)
                yield Path(path)


def name_sidecar(path: Path) -> Path:
    """Return the path of the provenance beside a piece: `piece.mid.json`."""
    return Path(f"{path}.json")


def _describe(path: Path) -> str:
    shown = printable(str(path))
    # The user never typed the name of a sidecar.
    its = path.with_suffix("") if path.suffix == ".json" else path
    return shown if not its.suffix or its == path else f"{shown}, which goes with {printable(its.name)},"


def _identify_all(paths: Iterable[Path]) -> Iterator[tuple[int, int] | None]:
    """Yield the identity of all files that are read: these, their sidecars, and the music in these folders."""
    seen = set()
    for path in paths:
        yield from (_identify(path), _identify(name_sidecar(path)))
        for folder, inside, names in os.walk(path, followlinks=True):
            if (its := _identify(Path(folder))) in seen:  # reached twice, by links
                inside.clear()
                continue
            seen.add(its)
            yield from (_identify(file) for name in names if is_read(file := Path(folder, name)))


def _identify(path: Path) -> tuple[int, int] | None:
    """Return a key that is the same for all names of a file; None for a broken link."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _check_different(paths: Iterable[Path]) -> None:
    """Raise CannotWrite if two paths are one file."""
    seen: dict[tuple[tuple[int, int] | None, str], list[Path]] = {}
    for path in paths:
        folder = path.absolute().parent
        alike = seen.setdefault((_identify(folder), _fold_name(path.name)), [])
        for other in alike:
            if other.name == path.name or _is_one_name(folder, other.name, path.name):
                what = printable(str(path)) if str(path) == str(other) else f"{printable(str(other))} ({path.name})"
                raise CannotWrite(f"{what} would be written twice; name each file once.")
        alike.append(path)


def _fold_name(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _is_one_name(folder: Path, first: str, second: str) -> bool:
    """Tell whether two names are one file in `folder`, as on file systems without case; tried in a new folder there."""
    with tempfile.TemporaryDirectory(prefix=".composer-", dir=folder) as scratch:
        Path(scratch, first).touch()
        return os.path.lexists(Path(scratch, second))


# --- the files of a piece ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outputs:
    """The files of one piece with their exporters, made before the work, so that no work is lost.

    Files that appeared meanwhile are kept, unless `force` is set.
    """

    paths: tuple[Path, ...]
    exporters: tuple[Exporter, ...]
    force: bool = True

    @staticmethod
    def of(
        paths: Sequence[Path], options: Mapping[str, Mapping[str, Any]] | None = None, *, force: bool = True
    ) -> Outputs:
        """Make outputs from paths, with options by suffix (without its dot): `{"wav": {"gain": "2"}}`.

        Raises CannotWrite for a format that cannot be written. Raises BadOption for unknown options of an exporter, and
        for a suffix that no file has. Paths are checked by `check`.
        """
        options = options or {}
        suffixes = [find_suffix(path).removeprefix(".") for path in paths]
        for suffix in options:
            if suffix not in suffixes:
                raise BadOption(f"no '.{printable(suffix)}' file is to be written: {suggest(suffix, suffixes)}")
        made = [make_exporter(path, **options.get(suffix, {})) for path, suffix in zip(paths, suffixes, strict=True)]
        return Outputs(tuple(paths), tuple(made), force)

    @property
    def files(self) -> tuple[Path, ...]:
        """All that is written: the forms of the piece, and beside the first what made it."""
        return *self.paths, name_sidecar(self.paths[0])

    def rename(self, stem: Path) -> Outputs:
        """Return outputs of the same formats beside `stem`, a path without a suffix."""
        return replace(self, paths=tuple(stem.with_name(stem.name + find_suffix(path)) for path in self.paths))

    def write(self, piece: Piece) -> None:
        """Write one piece to every file, and its provenance beside the first (`piece.mid.json`). Raises CannotWrite."""
        with nullcontext() if self.force else keep_existing(self.files):
            for path, export in zip(self.paths, self.exporters, strict=True):
                export([piece], path)
            beside = name_sidecar(self.paths[0])
            if piece.provenance:
                with write_whole_file(beside) as scratch:
                    scratch.write_text(json.dumps(dict(piece.provenance), indent=1) + "\n", encoding="utf-8")
            elif self.force and _is_sidecar(beside):
                beside.unlink()  # it belongs to another piece
        tell_piece_written(self.paths, piece)

    def write_gallery(self, pieces: Sequence[Piece]) -> None:
        """Write all pieces to each file, whose exporters show several. Raises CannotWrite."""
        with nullcontext() if self.force else keep_existing(self.paths):
            for path, export in zip(self.paths, self.exporters, strict=True):
                export(pieces, path)
        for piece in pieces:
            tell_piece_written(self.paths, piece)


def _is_sidecar(path: Path) -> bool:
    """Tell whether a file is a sidecar, and not another file of that name."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and ("request" in found or found.keys() == {"title"})


def write_piece(piece: Piece, path: Path) -> None:
    """Write one piece to one file, and its provenance beside it; existing files are replaced. Raises CannotWrite."""
    Outputs.of([path]).write(piece)


def parse_options(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    """Parse `wav.soundfont=mine.sf2` as options by suffix. Raises BadOption."""
    found: dict[str, dict[str, str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        suffix, _, option = name.strip().removeprefix(".").rpartition(".")
        if not (equals and suffix and option):
            raise BadOption(f"invalid option '{printable(text)}': expected SUFFIX.NAME=VALUE, as in wav.loudness=-14.")
        found.setdefault(suffix.lower(), {})[option.replace("-", "_")] = value
    return found


# --- the lock of a folder ---------------------------------------------------------------------------------------------


NAME = ".lock"

PAUSE = 0.2
"""Seconds between two attempts to take the lock."""


@contextmanager
def hold_lock(
    folder: Path, *, wait: bool = False, advice: str = "", pause: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """Hold the folder for this process alone; `wait` for it if asked, and `advice` extends the error.

    Raises BatchFailed if another run holds it, CannotWrite if the folder is not writable.
    """
    shown = printable(str(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open_inside(join_inside(folder, NAME), "hold")
    except OSError as error:
        raise CannotWrite(f"{shown}: cannot be written to ({error.strerror}).") from error
    with file:
        while not _take(file):
            if not wait:
                raise BatchFailed(f"{shown}: another run is at work there; let it end{advice}.")
            pause(PAUSE)
        yield


def _take(file: BinaryIO) -> bool:
    """Try to take the lock; tells whether it is ours."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        raise CannotWrite(f"{printable(file.name)}: this file system has no locks ({error.strerror}).") from error
    return True


# --- the music files of a folder --------------------------------------------------------------------------------------


HIDDEN, MACOS, CLOSED = "hidden files", "files that macOS adds", "folders that cannot be opened"
"""What is left out, and said to be."""

MACOS_FOLDER, MACOS_PREFIX = "__MACOSX", "._"
"""Where macOS keeps what other file systems have no place for: files with the names of others, but no music."""


def find_music(root: Path) -> list[str]:
    """Find every file of a suffix that a plugin reads: paths from `root`, with `/` between names, sorted.

    Links are followed; a folder reached twice counts once. Hidden files and folders are left out. LeftOutWarning counts
    the files left out, and the folders that cannot be opened.
    """
    left_out: Counter[str] = Counter()
    found = sorted(_walk(root, left_out))
    if left_out:
        warnings.warn(LeftOutWarning(printable(str(root)), left_out), stacklevel=2)
    return found


def _walk(root: Path, left_out: Counter[str]) -> Iterator[str]:
    suffixes = registry().offers["readers"]
    seen: set[tuple[int, int]] = set()
    ahead = [(str(root), "", False)]
    while ahead:
        folder, before, is_left_out = ahead.pop()
        try:
            place = os.stat(folder)  # noqa: PTH116  (a folder may hold a hundred thousand)
            if (place.st_dev, place.st_ino) in seen:
                continue
            seen.add((place.st_dev, place.st_ino))
            with os.scandir(folder) as inside:
                entries = list(inside)
        except OSError:
            left_out[CLOSED] += 1
            continue
        for entry in entries:
            name = entry.name
            if os.path.splitext(name)[1].lower() in suffixes and not _is_folder(entry):  # noqa: PTH122  (likewise)
                if is_left_out or name.startswith(MACOS_PREFIX):
                    left_out[MACOS] += 1
                elif name.startswith("."):
                    left_out[HIDDEN] += 1
                else:
                    yield before + name
            elif not name.startswith(".") and _is_folder(entry):
                ahead.append((entry.path, f"{before}{name}/", is_left_out or name == MACOS_FOLDER))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circular link
        return False
