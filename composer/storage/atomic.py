"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from itertools import count
from pathlib import Path

from composer.errors import CannotWrite, printable


def check_location(path: Path) -> None:
    """Raise CannotWrite before the work if no file could be written to `path`."""
    shown = printable(str(path))
    if not os.path.isdir(path.absolute().parent):  # noqa: PTH112  (Path raises for a name that is too long)
        raise CannotWrite(f"{shown}: there is no folder {printable(str(path.parent))}.")
    try:
        with suppress(FileNotFoundError):
            path.lstat()
        if path.is_dir():
            raise CannotWrite(f"{shown}: is a folder.")
        handle, name = tempfile.mkstemp(prefix=".composer-", dir=path.parent)
        os.close(handle)
        Path(name).unlink()
    except OSError as error:
        raise CannotWrite(f"{shown}: cannot be written ({error.strerror or error}).") from error


@contextmanager
def make_whole_folder(path: Path) -> Iterator[None]:
    """Make a folder to write to, if it is not there. After an error, new folders that are empty are removed.

    Raises CannotWrite.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
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
            for folder in made:
                folder.rmdir()
        raise


_NEW: ContextVar[frozenset[Path]] = ContextVar("composer.storage.atomic.new", default=frozenset())
"""Files that `write_whole_file` must not replace."""


@contextmanager
def keep_existing(paths: Iterable[Path]) -> Iterator[None]:
    """Keep `write_whole_file` from replacing these files, should another program write them meanwhile.

    The new file then takes the next free name beside it, such as `x-1.mid`, and CannotWrite names it.
    """
    token = _NEW.set(_NEW.get() | {path.absolute() for path in paths})
    try:
        yield
    finally:
        _NEW.reset(token)


@contextmanager
def write_whole_file(path: Path) -> Iterator[Path]:
    """Provide a path beside `path` to write to. It replaces `path` on success, and vanishes otherwise.

    Within `keep_existing` it replaces no file. Raises CannotWrite, in one sentence, for any fault of the file system.
    """
    scratch = None
    try:
        handle, name = tempfile.mkstemp(prefix=".composer-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        scratch = Path(name)
        yield scratch
        scratch.chmod(0o666 & ~_get_umask())
        if path.absolute() in _NEW.get():
            _put_in_place(scratch, path)
        else:
            scratch.replace(path)
    except OSError as error:
        raise CannotWrite(f"{printable(str(path))}: cannot be written ({error.strerror or error}).") from error
    finally:
        if scratch is not None:
            scratch.unlink(missing_ok=True)


def _put_in_place(scratch: Path, path: Path) -> None:
    """Move a file to a free path, or beside the file that is there; raise CannotWrite in that case."""
    if _move_if_free(scratch, path):
        return
    beside = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(1))
    found = next(other for other in beside if _move_if_free(scratch, other))
    raise CannotWrite(
        f"{printable(str(path))}: was written by another program meanwhile, and is kept; "
        f"what was made here is {printable(str(found))}."
    )


def _move_if_free(scratch: Path, path: Path) -> bool:
    """Move a file to a free path, and tell whether it was free. It links, since a rename would replace."""
    try:
        os.link(scratch, path)
    except FileExistsError:
        return False
    except OSError:  # this file system has no links: an empty file reserves the name until the rename
        try:
            path.open("xb").close()
        except FileExistsError:
            return False
        try:
            scratch.replace(path)
        except OSError:
            path.unlink()
            raise
    return True


def _get_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
