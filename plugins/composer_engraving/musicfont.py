"""The signs of Verovio's music font, by their code: outline and width; it knows no page."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from xml.etree.ElementTree import parse

from composer_engraving.outlines import Segment, outline

_FONT = "Leipzig"


def folder() -> Path:
    """Where Verovio keeps its fonts."""
    found = find_spec("verovio")
    assert found is not None  # noqa: S101  (a dependency)
    assert found.submodule_search_locations  # noqa: S101
    return Path(found.submodule_search_locations[0]) / "data"


@lru_cache(maxsize=1)
def widths() -> dict[int, float]:
    """How far each sign moves on what follows, in thousandths of the size, by its code."""
    root = parse(folder() / f"{_FONT}.xml").getroot()  # noqa: S314  (Verovio's own)
    return {int(glyph.get("c", "0"), 16): float(glyph.get("h-a-x", "0")) for glyph in root.iter("g")}


@lru_cache(maxsize=256)
def sign(code: int) -> tuple[Segment, ...]:
    """The outline of a sign, in thousandths of the size, upwards; empty for a sign that the font lacks."""
    path = folder() / _FONT / f"{code:04X}.xml"
    if code not in widths() or not path.is_file():
        return ()
    return tuple(segment for its in parse(path).getroot().iter("path") for segment in outline(its.get("d", "")))  # noqa: S314
