"""Paths: as users type them, and inside a folder that may come from anybody (a batch, a run, the cache).

Here, and nowhere else, a name from a file becomes a path. It stays in its folder: `..` is refused, and symbolic links
are not followed. Only regular files are opened.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Literal

from composer.errors import CannotWrite, ComposerError, printable

# --- inside a folder --------------------------------------------------------------------------------------------------


LONGEST = 255
"""The most bytes of a name."""

_ONLY_NEW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_HOW = {
    "read": os.O_RDONLY,
    "append": os.O_RDWR | os.O_APPEND | os.O_CREAT,
    "hold": os.O_RDWR | os.O_CREAT,
}


def join_inside(folder: Path, *names: str, error: type[ComposerError] = CannotWrite) -> Path:
    """Make the path of something in a folder from the names on the way; it need not exist.

    Raises `error` for an invalid name, and for a symbolic link on the way.
    """
    path = folder
    for name in names:
        if not is_name(name):
            raise error(f"{printable(str(folder))}: invalid file name '{printable(name)}' in it.")
        path = path / name
        if path.is_symlink():
            raise error(f"{printable(str(path))}: is a link, and what is written in a folder stays in it.")
    return path


def is_name(name: object) -> bool:
    """Tell whether a value is the name of one file or folder, and leads nowhere else."""
    if not isinstance(name, str) or name in ("", ".", "..") or any(letter in "/\\\0" for letter in name):
        return False
    try:
        return len(os.fsencode(name)) <= LONGEST
    except UnicodeEncodeError:
        return False


def open_inside(path: Path, how: Literal["read", "append", "hold"]) -> BinaryIO:
    """Open a regular file to read, append or lock it; the last two create it if need be.

    Links are not followed. Raises OSError.
    """
    handle = os.open(path, _HOW[how] | _ONLY_NEW | getattr(os, "O_BINARY", 0), 0o666)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        return os.fdopen(handle, "rb" if how == "read" else "r+b")
    except BaseException:
        os.close(handle)
        raise


# --- as users spell them, valid or not --------------------------------------------------------------------------------


def append_lines(path: Path, text: str) -> None:
    """Append lines to a file, apart from a line that a killed process left without its end; then they are on disk.

    Links are not followed. Raises OSError.
    """
    with open_inside(path, "append") as file:
        end = file.seek(0, os.SEEK_END)
        if end and (file.seek(end - 1), file.read(1))[1] != b"\n":
            text = "\n" + text
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def expand_home(text: str) -> Path:
    """Expand `~` or `~name` in a path; without such a user it stays as it is."""
    return Path(os.path.expanduser(text))  # noqa: PTH111  (that of `Path` raises RuntimeError)


def is_file(path: Path) -> bool:
    """Tell whether there is a regular file; false for names that no file system takes."""
    return os.path.isfile(path)  # noqa: PTH113  (that of `Path` raises OSError for a long name)


def is_folder(path: Path) -> bool:
    """Tell whether there is a folder; false for names that no file system takes."""
    return os.path.isdir(path)  # noqa: PTH112
