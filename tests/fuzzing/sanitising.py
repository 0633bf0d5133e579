"""What it takes to run compiled code under gcc's sanitisers of addresses and of undefined behaviour."""

import os
import subprocess
import sys
from pathlib import Path

from composer.tokens.jit import c_compiler

CHECKS = ("-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
"""Flags, after all others."""

OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=1000:quarantine_size_mb=16",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}

BEYOND = "int beyond(int place) { int here[4] = {0}; return here[place]; }"


def environment(folder):
    """What a process needs beside its own environment so that what it compiles is sanitised; None if it cannot be."""
    program = c_compiler.find_compiler()
    if program is None:
        return None
    asked = [program, "-print-file-name=libasan.so"]
    runtime = Path(subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip())
    source, library = folder / "beyond.c", folder / "beyond.so"
    source.write_text(BEYOND)
    command = [program, "-shared", "-fPIC", *CHECKS, "-o", library, source]
    if not runtime.is_absolute() or subprocess.run(command, capture_output=True, check=False).returncode:
        return None
    more = {**OPTIONS, "LD_PRELOAD": str(runtime.resolve()), "CC": program, "PATH": os.environ["PATH"]}
    return more if [ends_with(more, library, place) for place in (3, 4)] == [True, False] else None


def ends_with(more, library, place):
    """Whether a process that reads this place of four ends well."""
    program = f"import ctypes; ctypes.CDLL({str(library)!r}).beyond({place})"
    return not subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **more}, capture_output=True, check=False
    ).returncode
