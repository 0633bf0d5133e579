"""The signs of Verovio's music font, by code: outline and width."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from xml.etree.ElementTree import parse

from composer_engraving.outlines import Segment, parse_path

_FONT = "Leipzig"


def find_folder() -> Path:
    """Find Verovio's fonts."""
    found = find_spec("verovio")
    assert found is not None  # noqa: S101  (a dependency)
    assert found.submodule_search_locations  # noqa: S101
    return Path(found.submodule_search_locations[0]) / "data"


@lru_cache(maxsize=1)
def read_widths() -> dict[int, float]:
    """Read the advance width of each sign by its code, in thousandths of the size."""
    root = parse(find_folder() / f"{_FONT}.xml").getroot()  # noqa: S314  (Verovio's own)
    return {int(glyph.get("c", "0"), 16): float(glyph.get("h-a-x", "0")) for glyph in root.iter("g")}


@lru_cache(maxsize=256)
def read_sign(code: int) -> tuple[Segment, ...]:
    """Read the outline of a sign, in thousandths of the size, upwards; empty if the font lacks it."""
    path = find_folder() / _FONT / f"{code:04X}.xml"
    if code not in read_widths() or not path.is_file():
        return ()
    return tuple(segment for its in parse(path).getroot().iter("path") for segment in parse_path(its.get("d", "")))  # noqa: S314
