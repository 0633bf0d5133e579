"""Outlines: parsed from SVG with their transformations, and those of the signs of Verovio's music font."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from math import cos, radians, sin
from pathlib import Path
from typing import TypeAlias
from xml.etree.ElementTree import Element, parse

# --- outlines and transformations -------------------------------------------------------------------------------------


Matrix: TypeAlias = tuple[float, float, float, float, float, float]
"""a, b, c, d, e, f as in SVG: x' = a x + c y + e, y' = b x + d y + f."""

Segment: TypeAlias = tuple[str, tuple[float, ...]]
"""M, L, C or Z with absolute coordinates."""

SAME: Matrix = (1, 0, 0, 1, 0, 0)
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?")
_COMMAND = re.compile(r"([MmLlHhVvCcSsQqZz])([^MmLlHhVvCcSsQqZz]*)")
_TRANSFORM = re.compile(r"(translate|scale|rotate|matrix)\(([^)]*)\)")
_CURVE = 0.5523  # length of the Bézier handles of a quarter circle, in radii


def parse_numbers(text: str) -> list[float]:
    """Parse all numbers in a text."""
    return [float(number) for number in _NUMBER.findall(text)]


def multiply(first: Matrix, second: Matrix) -> Matrix:
    """Multiply matrices: the result applies `second`, then `first`."""
    a, b, c, d, e, f = first
    g, h, i, j, k, m = second
    return (a * g + c * h, b * g + d * h, a * i + c * j, b * i + d * j, a * k + c * m + e, b * k + d * m + f)


def parse_transform(text: str) -> Matrix:
    """Parse a `transform` attribute."""
    found = SAME
    for name, inside in _TRANSFORM.findall(text):
        values = parse_numbers(inside)
        if name == "translate":
            x, y = (*values, 0.0)[:2]
            found = multiply(found, (1, 0, 0, 1, x, y))
        elif name == "scale":
            x, y = values if len(values) == 2 else (values[0], values[0])
            found = multiply(found, (x, 0, 0, y, 0, 0))
        elif name == "matrix":
            a, b, c, d, e, f = values
            found = multiply(found, (a, b, c, d, e, f))
        else:
            found = multiply(found, _rotate(*values))
    return found


def _rotate(degrees: float, x: float = 0.0, y: float = 0.0) -> Matrix:
    c, s = cos(radians(degrees)), sin(radians(degrees))
    return multiply(multiply((1, 0, 0, 1, x, y), (c, s, -s, c, 0, 0)), (1, 0, 0, 1, -x, -y))


def parse_path(path: str) -> Iterator[Segment]:
    """Parse the `d` of a path into absolute lines and cubic curves."""
    x = y = start_x = start_y = 0.0
    handle: tuple[float, float] | None = None
    for letter, inside in _COMMAND.findall(path):
        values, command = parse_numbers(inside), letter.upper()
        size = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "Z": 0}[command]
        if command == "Z":
            x, y, handle = start_x, start_y, None
            yield "Z", ()
            continue
        for at in range(0, len(values) - size + 1, size):
            points = _make_absolute(command, values[at : at + size], x, y, is_relative=letter.islower())
            if command == "M" and at == 0:
                start_x, start_y = points
                yield "M", points
                handle = None
            elif command in "MLHV":
                yield "L", points
                handle = None
            else:
                points = _make_cubic(command, points, (x, y), handle)
                handle = points[2], points[3]
                yield "C", points
            x, y = points[-2:]


def _make_absolute(command: str, values: list[float], x: float, y: float, *, is_relative: bool) -> tuple[float, ...]:
    if command == "H":
        return (values[0] + x * is_relative, y)
    if command == "V":
        return (x, values[0] + y * is_relative)
    return tuple(number + (y if index % 2 else x) * is_relative for index, number in enumerate(values))


def _make_cubic(
    command: str, points: tuple[float, ...], start: tuple[float, float], handle: tuple[float, float] | None
) -> tuple[float, ...]:
    """Return a curve of any kind as a cubic one."""
    (x, y) = start
    if command == "C":
        return points
    if command == "S":
        first = (2 * x - handle[0], 2 * y - handle[1]) if handle else (x, y)
        return (*first, *points)
    a, b, end_x, end_y = points
    return (
        x + 2 / 3 * (a - x),
        y + 2 / 3 * (b - y),
        end_x + 2 / 3 * (a - end_x),
        end_y + 2 / 3 * (b - end_y),
        end_x,
        end_y,
    )


def _read_path(element: Element) -> Iterator[Segment]:
    return parse_path(element.get("d", ""))


def _read_rectangle(element: Element) -> Iterator[Segment]:
    x, y, width, height = (float(element.get(name, "0")) for name in ("x", "y", "width", "height"))
    yield "M", (x, y)
    for corner in ((x + width, y), (x + width, y + height), (x, y + height)):
        yield "L", corner
    yield "Z", ()


def _read_polygon(element: Element) -> Iterator[Segment]:
    values = parse_numbers(element.get("points", ""))
    for at in range(0, len(values) - 1, 2):
        yield "L" if at else "M", (values[at], values[at + 1])
    if element.tag.endswith("polygon"):
        yield "Z", ()


def _read_ellipse(element: Element) -> Iterator[Segment]:
    x, y = float(element.get("cx", "0")), float(element.get("cy", "0"))
    wide, high = (float(element.get(name) or element.get("r") or 0) for name in ("rx", "ry"))
    a, b = wide * _CURVE, high * _CURVE
    yield "M", (x + wide, y)
    yield "C", (x + wide, y + b, x + a, y + high, x, y + high)
    yield "C", (x - a, y + high, x - wide, y + b, x - wide, y)
    yield "C", (x - wide, y - b, x - a, y - high, x, y - high)
    yield "C", (x + a, y - high, x + wide, y - b, x + wide, y)
    yield "Z", ()


OUTLINES = {
    "path": _read_path,
    "rect": _read_rectangle,
    "polygon": _read_polygon,
    "polyline": _read_polygon,
    "ellipse": _read_ellipse,
    "circle": _read_ellipse,
}


# --- signs by code ----------------------------------------------------------------------------------------------------


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
