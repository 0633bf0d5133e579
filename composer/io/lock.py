"""The lock of a folder: one run at a time works in it. The system releases it when its process ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from composer.errors import BatchFailed, CannotWrite, printable
from composer.storage.inside import join_inside, open_inside

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
