"""Compile the C code of a layer in training, on first use."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from pathlib import Path

import torch

from composer.tokens.jit import c_compiler

NUMBERS = Path(__file__).with_name("numbers.c")

FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd", "-shared", "-fPIC")
"""Without `-ffast-math`: NaN and infinity are kept. `-fopenmp-simd` needs no library; it lets sums be vectorised."""


def load(source: Path, number: torch.dtype) -> ctypes.CDLL | None:
    """Return the library of a source for fp32 or fp64, or None for other types or if no compiler can build it."""
    if number not in (torch.float32, torch.float64):
        return None
    flags = (*FLAGS, "-DDOUBLE") if number == torch.float64 else FLAGS
    return c_compiler.load_library(_read(NUMBERS) + _read(source), flags)


@lru_cache(maxsize=8)
def _read(source: Path) -> str:
    return source.read_text(encoding="utf-8")
