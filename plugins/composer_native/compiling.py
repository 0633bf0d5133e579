"""Compile and load the kernel."""

from __future__ import annotations

import ctypes
from pathlib import Path

from composer.tokens.jit import c_compiler

SOURCE = Path(__file__).with_name("kernel.c")

FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC", "-pthread")
"""Without `-ffast-math`: sums keep their order, so a row is the same in any batch."""


def load_kernel() -> ctypes.CDLL | None:
    """Return the kernel, or None if no compiler can build it."""
    return c_compiler.load_library(SOURCE.read_text(encoding="utf-8"), FLAGS)
