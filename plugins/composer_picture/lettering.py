"""Fonts and text width: DejaVu, which comes with matplotlib, or else Pillow's font."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any


@lru_cache(maxsize=64)
def load_font(size: float, *, is_bold: bool = False) -> Any:
    """Load a Pillow font of this size in pixels."""
    from PIL import ImageFont

    found = _find_folder() / ("DejaVuSans-Bold.ttf" if is_bold else "DejaVuSans.ttf")
    # Basic layout: pictures do not depend on the shaping library of the machine.
    if found.is_file():
        return ImageFont.truetype(str(found), size, layout_engine=ImageFont.Layout.BASIC)
    return ImageFont.load_default(size)


def measure_text(text: str, size: float, *, is_bold: bool = False) -> float:
    """Measure the width of a line of text, in the unit of `size`."""
    return float(load_font(32, is_bold=is_bold).getlength(text)) * size / 32


def cut_text(text: str, size: float, room: float, *, is_bold: bool = False) -> str:
    """Return `text`, or as much of it as fits into `room`, with an ellipsis."""
    if measure_text(text, size, is_bold=is_bold) <= room:
        return text
    for end in range(len(text) - 1, 0, -1):
        shortened = text[:end].rstrip() + "…"
        if measure_text(shortened, size, is_bold=is_bold) <= room:
            return shortened
    return ""


@lru_cache(maxsize=1)
def _find_folder() -> Path:
    """Find matplotlib's fonts without importing it, which would take longer than drawing."""
    spec = find_spec("matplotlib")
    folders = spec.submodule_search_locations if spec else None
    return Path(next(iter(folders), "")) / "mpl-data" / "fonts" / "ttf" if folders else Path()
