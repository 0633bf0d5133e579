"""The kernel, compiled for this processor or for an older one.

All compute the same bits: sums have one order, and each product is added with one rounding.
"""

from __future__ import annotations

import ctypes
import platform
import re
from pathlib import Path

from composer.errors import BadOption
from composer.tokens.jit import c_compiler

SOURCE = Path(__file__).parent / "kernel" / "kernel.c"

FLAGS = ("-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC", "-pthread")
"""Without `-ffast-math` and contractions: sums keep their order and their roundings, whatever the processor."""

_IS_X86 = platform.machine().lower() in ("x86_64", "amd64")

INSTRUCTIONS: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "auto": (("-march=native", *(("-mprefer-vector-width=512",) if _IS_X86 else ())), set()),
    "avx512": (
        ("-march=skylake-avx512", "-mprefer-vector-width=512"),
        {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"},
    ),
    "avx2": (("-march=haswell",), {"avx2", "fma", "f16c", "bmi1", "bmi2", "movbe"}),
    "plain": (("-march=x86-64",) if _IS_X86 else (), set()),
}
"""Instructions that the kernel may use: the compiler's flags, and the features of the processor that it needs."""


def has_instructions(name: str) -> bool:
    """Tell whether this processor has these instructions. Raises BadOption for an unknown name."""
    if name not in INSTRUCTIONS:
        raise BadOption(f"unknown instructions; choose from {', '.join(INSTRUCTIONS)}.")
    return INSTRUCTIONS[name][1] <= set(c_compiler.describe_processor().split())


def load_kernel(instructions: str = "auto") -> ctypes.CDLL | None:
    """Return the kernel, or None if no compiler can build it or the processor lacks the instructions."""
    if not has_instructions(instructions):
        return None
    return c_compiler.load_library(_read_source(SOURCE, set()), (*FLAGS, *INSTRUCTIONS[instructions][0]))


def _read_source(path: Path, seen: set[str]) -> str:
    """Read a C file with the files beside it that it includes, each once: the compiler is given one text."""

    def include(found: re.Match[str]) -> str:
        name = found[1]
        if name in seen:
            return ""
        seen.add(name)
        return f'#line 1 "{name}"\n{_read_source(path.with_name(name), seen)}'

    return re.sub(r'^#include "(\w+\.h)"$', include, path.read_text(encoding="utf-8"), flags=re.MULTILINE)
