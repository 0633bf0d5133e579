"""Compile C source to a library for this machine, once, and keep it in the cache.

A library runs with the user's rights. So it is loaded only if nobody else could have written or replaced it.
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
from composer.storage.cache import find_cache_folder

_TRUSTED = (os.getuid(), 0) if hasattr(os, "getuid") else (0,)
"""Owners of a trusted library: the user and the administrator. Windows has no such ids; all files there have 0."""

LONGEST = 60.0
"""Time limit of the compiler, in seconds."""

PATIENCE = 24 * 3600.0
"""Seconds before a failed compilation is tried again: missing headers may have been installed."""


@lru_cache(maxsize=32)
def load_library(source: str, flags: tuple[str, ...]) -> ctypes.CDLL | None:
    """Return the compiled library, or None if no compiler can build it."""
    if sys.byteorder != "little" or not (program := find_compiler()):
        return None
    try:
        path = _locate_library(source, program, flags)
        if not _is_private(path.parent):
            return None
        made = _is_own(path) or (not _has_failed(path) and _compile(source, program, flags, path))
        return ctypes.CDLL(str(path)) if made else None
    except OSError:
        return None


@lru_cache(maxsize=1)
def find_compiler() -> str | None:
    """Return the compiler named by `CC`, or the first one found."""
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        if name and (found := shutil.which(name)):
            return found
    return None


def _locate_library(source: str, program: str, flags: Sequence[str]) -> Path:
    """Return the path of a library. It differs by source, compiler (even a patched one) and processor."""
    about = [source, describe_compiler(program), *flags, describe_processor()]
    digest = hashlib.blake2b("\0".join(about).encode(), digest_size=12).hexdigest()
    return find_cache_folder() / "native" / f"{digest}.so"


def describe_compiler(program: str | None = None) -> str:
    """Describe the compiler (this `program`, or the one found) and its file; empty if there is none. Raises OSError."""
    program = program or find_compiler()
    if not program:
        return ""
    found = Path(program).resolve().stat()
    return f"{program} {found.st_size} {found.st_mtime_ns}"


def _is_private(folder: Path) -> bool:
    """Tell whether only the user can replace files in a folder; create it if needed. Warns with RunWarning if not."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for directory in (folder, folder.parent):
        found = directory.stat()
        if found.st_uid not in _TRUSTED or found.st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
            text = (
                f"{printable(str(directory), 200)}: can be written by others, so compiled code is not kept there, and"
            )
            warnings.warn(f"{text} pieces are written more slowly; `chmod go-w` mends it.", RunWarning, stacklevel=3)
            return False
    return True


def _is_own(path: Path) -> bool:
    """Tell whether the library exists, and only the user or the administrator could have written it."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    return (
        stat.S_ISREG(found.st_mode) and found.st_uid in _TRUSTED and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


def _has_failed(path: Path) -> bool:
    """Tell whether this compiler recently failed to build the library."""
    try:
        return time.time() - path.with_suffix(".failed").stat().st_mtime < PATIENCE
    except OSError:
        return False


@lru_cache(maxsize=1)
def describe_processor() -> str:
    """Describe the processor: its features, or at least its name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    kinds = ("flags", "Features", "model name", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(kinds)}))


def _compile(source: str, program: str, flags: Sequence[str], path: Path) -> bool:
    """Compile, and tell whether it succeeded. The file appears whole, since other processes may want it, too."""
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
