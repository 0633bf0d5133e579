"""The kernel as a library of this machine; it knows no model."""

from __future__ import annotations

import ctypes
from pathlib import Path

from composer.tokens.jit import c_compiler

SOURCE = Path(__file__).with_name("kernel.c")

FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC", "-pthread")
"""No sum may be reordered (`-ffast-math`): a row would not be the same in any batch."""


def library() -> ctypes.CDLL | None:
    """The kernel, or None where there is no compiler that makes it."""
    return c_compiler.library(SOURCE.read_text(encoding="utf-8"), FLAGS)
