"""C source as a library of this machine, compiled once and kept in the cache; it knows nothing of what it says.

A library is a program, and runs with the user's rights. So none is taken that somebody else may have written, nor from
a folder in which others can put one in its place.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import stat
import sys
import time
import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from composer.errors import RunWarning, printable
from composer.storage.cache import cache_folder

_TRUSTED = (os.getuid(), 0) if hasattr(os, "getuid") else (0,)
"""Who may have written what is run: the user and the administrator. Where there are no such numbers, all are 0."""

LONGEST = 60.0
"""Seconds that a compiler may take."""

PATIENCE = 24 * 3600.0
"""Seconds after which a compiler that failed is tried again: headers that it lacked may be there by then."""


@lru_cache(maxsize=32)
def library(source: str, flags: tuple[str, ...]) -> ctypes.CDLL | None:
    """The library that a source makes, or None where no compiler makes it."""
    if sys.byteorder != "little" or not (program := compiler()):
        return None
    try:
        path = _place(source, program, flags)
        if not _is_private(path.parent):
            return None
        made = _is_own(path) or (not _failed(path) and _compile(source, program, flags, path))
        return ctypes.CDLL(str(path)) if made else None
    except OSError:
        return None


@lru_cache(maxsize=1)
def compiler() -> str | None:
    """What the environment names, or the first one there is."""
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        if name and (found := shutil.which(name)):
            return found
    return None


def _place(source: str, program: str, flags: Sequence[str]) -> Path:
    """Another file for another source, compiler (also a mended one) or processor: caches travel with home folders."""
    found = Path(program).resolve().stat()
    about = [source, program, f"{found.st_size} {found.st_mtime_ns}", *flags, processor()]
    digest = hashlib.blake2b("\0".join(about).encode(), digest_size=12).hexdigest()
    return cache_folder() / "native" / f"{digest}.so"


def _is_private(folder: Path) -> bool:
    """Whether nobody else can exchange what lies in a folder, which is made if need be; RunWarning if somebody can."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for place in (folder, folder.parent):
        found = place.stat()
        if found.st_uid not in _TRUSTED or found.st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
            text = (
                f"{printable(str(place), 200)}: can be written by others, so that nothing compiled is kept there, and"
            )
            warnings.warn(f"{text} pieces are written more slowly; `chmod go-w` mends it.", RunWarning, stacklevel=3)
            return False
    return True


def _is_own(path: Path) -> bool:
    """Whether a library is there that the user, or the administrator, has written, and nobody else can change."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    return (
        stat.S_ISREG(found.st_mode) and found.st_uid in _TRUSTED and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


def _failed(path: Path) -> bool:
    """Whether this compiler lately failed to make the library."""
    try:
        return time.time() - path.with_suffix(".failed").stat().st_mtime < PATIENCE
    except OSError:
        return False


@lru_cache(maxsize=1)
def processor() -> str:
    """What this machine's processor can do, or at least which one it is."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    kinds = ("flags", "Features", "model name", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(kinds)}))


def _compile(source: str, program: str, flags: Sequence[str], path: Path) -> bool:
    """Whether it was; whole or not at all, since others may want it at the same time."""
    import subprocess  # once on a machine
    import tempfile

    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made, text = Path(folder) / path.name, Path(folder) / "source.c"
        text.write_text(source)
        command = [program, *flags, "-o", str(made), str(text), "-lm"]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=LONGEST)  # noqa: S603
        except subprocess.SubprocessError:
            path.with_suffix(".failed").touch()
            return False
        made.chmod(0o700)
        made.replace(path)
    return True
