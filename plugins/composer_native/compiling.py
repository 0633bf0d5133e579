"""The kernel as a library of this machine, compiled once and kept in the cache; it knows no model."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

SOURCE = Path(__file__).with_name("kernel.c")

FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC", "-pthread")
"""No sum may be reordered (`-ffast-math`): a row would not be the same in any batch."""

LONGEST = 60.0
"""Seconds that a compiler may take."""


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The kernel, or None where there is no compiler that makes it."""
    if sys.byteorder != "little" or not (compiler := _compiler()):
        return None
    try:
        path = _place(compiler)
        if not path.is_file():
            _compile(compiler, path)
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError):
        return None


def _compiler() -> str | None:
    """What the environment names, or the first one there is."""
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        if name and (found := shutil.which(name)):
            return found
    return None


def _place(compiler: str) -> Path:
    """Another file for another source, compiler or processor: caches travel with home folders."""
    from composer.corpus import cache_folder

    about = [SOURCE.read_bytes(), compiler.encode(), *map(str.encode, FLAGS), _processor().encode()]
    digest = hashlib.blake2b(b"\0".join(about), digest_size=12).hexdigest()
    return cache_folder() / "native" / f"{digest}.so"


def _processor() -> str:
    """What this machine's processor can do, or at least which one it is."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    kinds = ("flags", "Features", "model name", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(kinds)}))


def _compile(compiler: str, path: Path) -> None:
    """Whole or not at all, since others may want it at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        command = [compiler, *FLAGS, "-o", str(made), str(SOURCE), "-lm"]
        subprocess.run(command, check=True, capture_output=True, timeout=LONGEST)  # noqa: S603
        made.replace(path)
