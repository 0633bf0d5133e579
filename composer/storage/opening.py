"""Files from outside: opened only if they are regular, and read only up to a limit.

Reading a named pipe may block, reading a device may never end, and either may be called `x.mid`.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from composer.errors import ComposerError, UnreadableFile, printable

_OTHERS = {
    stat.S_IFDIR: "is a folder",
    stat.S_IFIFO: "is a named pipe, not a file",
    stat.S_IFSOCK: "is a socket, not a file",
    stat.S_IFCHR: "is a device, not a file",
    stat.S_IFBLK: "is a device, not a file",
}

_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)

_FLAGS = os.O_RDONLY
for _name in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY", "O_CLOEXEC"):  # each where the system has it
    _FLAGS |= getattr(os, _name, 0)


def open_regular(path: Path, error: type[ComposerError] = UnreadableFile) -> BinaryIO:
    """Open a regular file to be read as bytes.

    Raises `error`, in one sentence, for a pipe, a socket, a device or a folder, and if opening fails.
    """
    return os.fdopen(_open_checked(path, error)[0], "rb")


def read_bytes(path: Path, most: int, error: type[ComposerError] = UnreadableFile) -> bytes:
    """Read a regular file of at most `most` bytes. Raises `error` for a larger one, and as `open_regular` does."""
    handle, size = _open_checked(path, error)
    try:
        if size > most:
            raise error(f"{printable(str(path))}: is larger than {_format_size(most)}.")
        data = os.read(handle, size)
        while len(data) < size and (more := os.read(handle, size - len(data))):
            data += more
        return data
    except OSError as fault:
        raise error(f"{printable(str(path))}: {_explain_error(fault)}.") from None
    finally:
        os.close(handle)


def check_regular(path: Path, error: type[ComposerError] = UnreadableFile) -> None:
    """Raise `error`, in one sentence, unless there is a regular file. It is not opened."""
    try:
        _check_mode(path.stat().st_mode, path, error)
    except (OSError, ValueError) as fault:
        raise error(f"{printable(str(path))}: {_explain_error(fault)}.") from None


def _open_checked(path: Path, error: type[ComposerError]) -> tuple[int, int]:
    """Open a file and return its handle and size. Only regular files are opened: opening others may have effects."""
    handle = -1
    try:
        _check_mode(path.stat().st_mode, path, error)
        handle = os.open(path, _FLAGS)
        found = os.fstat(handle)
        _check_mode(found.st_mode, path, error)  # it may have been replaced
        return handle, found.st_size
    except BaseException as fault:
        if handle >= 0:
            os.close(handle)
        if isinstance(fault, OSError | ValueError):  # ValueError: a name with a null character, or surrogates
            raise error(f"{printable(str(path))}: {_explain_error(fault)}.") from None
        raise


def _check_mode(mode: int, path: Path, error: type[ComposerError]) -> None:
    if not stat.S_ISREG(mode):
        raise error(f"{printable(str(path))}: {_OTHERS.get(stat.S_IFMT(mode), 'is not a file')}.")


def _explain_error(fault: OSError | ValueError) -> str:
    if getattr(fault, "errno", None) in _MISSING:
        return "no such file"
    return f"cannot be opened ({getattr(fault, 'strerror', None) or printable(str(fault))})"


def _format_size(size: int) -> str:
    return f"{size / 2**20:,.3g} MiB" if size >= 2**20 else f"{size:,} bytes"
