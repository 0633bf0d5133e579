"""C source as a library of this machine, compiled once and kept in the cache; it knows nothing of what it says."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from composer.cache import cache_folder

LONGEST = 60.0
"""Seconds that a compiler may take."""


@lru_cache(maxsize=32)
def library(source: str, flags: tuple[str, ...]) -> ctypes.CDLL | None:
    """The library that a source makes, or None where no compiler makes it."""
    if sys.byteorder != "little" or not (program := compiler()):
        return None
    try:
        path = _place(source, program, flags)
        return ctypes.CDLL(str(path)) if path.is_file() or _compile(source, program, flags, path) else None
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
    """Another file for another source, compiler or processor: caches travel with home folders."""
    about = [source, program, *flags, processor()]
    digest = hashlib.blake2b("\0".join(about).encode(), digest_size=12).hexdigest()
    return cache_folder() / "native" / f"{digest}.so"


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

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made, text = Path(folder) / path.name, Path(folder) / "source.c"
        text.write_text(source)
        command = [program, *flags, "-o", str(made), str(text), "-lm"]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=LONGEST)  # noqa: S603
        except subprocess.SubprocessError:
            return False
        made.replace(path)
    return True
