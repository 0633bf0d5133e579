"""A page of Verovio's SVG as what is drawn on it: outlines and words, with where and how large; it knows no PDF.

It reads the part of SVG that Verovio writes: groups, paths without arcs, rectangles, polygons, ellipses, glyphs that
are used by reference, and words in runs. A run in the music font becomes glyphs, so that no such font is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias
from xml.etree.ElementTree import Element, fromstring

Matrix: TypeAlias = tuple[float, float, float, float, float, float]
"""a, b, c, d, e, f as in SVG: x' = a x + c y + e, y' = b x + d y + f."""

Segment: TypeAlias = tuple[str, tuple[float, ...]]
"""M, L, C or Z with absolute places."""

SAME: Matrix = (1, 0, 0, 1, 0, 0)
_BOLD = {"ending", "fing", "reh", "tempo"}  # as Verovio's own style sheet has it
_ITALIC = {"dir", "dynam", "mNum"}
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?")
_COMMAND = re.compile(r"([MmLlHhVvCcSsQqZz])([^MmLlHhVvCcSsQqZz]*)")
_TRANSFORM = re.compile(r"(translate|scale|rotate|matrix)\(([^)]*)\)")
_CURVE = 0.5523  # how far the handles of a quarter of a circle reach, in radii


@dataclass(frozen=True)
class Shape:
    """An outline, filled or not, and stroked where it has a width."""

    outline: tuple[Segment, ...]
    matrix: Matrix
    is_filled: bool = True
    stroke: float = 0.0
    dashes: tuple[float, ...] = ()


@dataclass(frozen=True)
class Glyph:
    """A sign of the music font, by its name in the page or, as `U+ECA5`, by its code."""

    name: str
    matrix: Matrix


@dataclass(frozen=True)
class Run:
    """Words, or one glyph, of one size and style."""

    text: str
    size: float
    is_bold: bool = False
    is_italic: bool = False
    is_music: bool = False


@dataclass(frozen=True)
class Words:
    """Runs in a line that begins, ends or has its middle at a place."""

    runs: tuple[Run, ...]
    anchor: str  # start, middle or end
    x: float
    y: float
    matrix: Matrix


Drawn: TypeAlias = Shape | Glyph | Words


@dataclass(frozen=True)
class Page:
    """What is drawn on a page of that size, in order, and the outlines of the glyphs that it uses."""

    width: float
    height: float
    drawn: tuple[Drawn, ...]
    glyphs: Mapping[str, tuple[Segment, ...]]


@dataclass(frozen=True)
class _Style:
    matrix: Matrix = SAME
    is_bold: bool = False
    is_italic: bool = False
    size: float = 0.0
    family: str = ""


@dataclass
class _Line:
    """Words being gathered."""

    anchor: str
    x: float
    y: float
    runs: list[Run] = field(default_factory=list)


def page(svg: str) -> Page:
    """What a page of Verovio's shows. Raises ValueError for SVG of another kind."""
    root = fromstring(svg)  # noqa: S314  (Verovio's own, made here)
    _, _, width, height = _numbers(root.get("viewBox", ""))
    glyphs: dict[str, tuple[Segment, ...]] = {}
    for group in root.iter(_tag("g")):
        identity = group.get("id", "")
        if re.match(r"^[0-9A-F]{4,5}-", identity):
            glyphs[identity] = tuple(s for path in group.iter(_tag("path")) for s in outline(path.get("d", "")))
    drawn = tuple(_drawn(root, _Style()))
    return Page(width, height, drawn, glyphs)


def _tag(name: str) -> str:
    return f"{{http://www.w3.org/2000/svg}}{name}"


def _numbers(text: str) -> list[float]:
    return [float(number) for number in _NUMBER.findall(text)]


def times(first: Matrix, second: Matrix) -> Matrix:
    """The matrix that does `second`, and then `first`."""
    a, b, c, d, e, f = first
    g, h, i, j, k, m = second
    return (a * g + c * h, b * g + d * h, a * i + c * j, b * i + d * j, a * k + c * m + e, b * k + d * m + f)


def _matrix(text: str) -> Matrix:
    found = SAME
    for name, inside in _TRANSFORM.findall(text):
        numbers = _numbers(inside)
        if name == "translate":
            x, y = (*numbers, 0.0)[:2]
            found = times(found, (1, 0, 0, 1, x, y))
        elif name == "scale":
            x, y = numbers if len(numbers) == 2 else (numbers[0], numbers[0])
            found = times(found, (x, 0, 0, y, 0, 0))
        elif name == "matrix":
            a, b, c, d, e, f = numbers
            found = times(found, (a, b, c, d, e, f))
        else:
            found = times(found, _turned(*numbers))
    return found


def _turned(degrees: float, x: float = 0.0, y: float = 0.0) -> Matrix:
    from math import cos, radians, sin

    c, s = cos(radians(degrees)), sin(radians(degrees))
    return times(times((1, 0, 0, 1, x, y), (c, s, -s, c, 0, 0)), (1, 0, 0, 1, -x, -y))


# --- elements ---------------------------------------------------------------------------------------------------------


def _drawn(element: Element, style: _Style) -> Iterator[Drawn]:
    """What an element and those in it show."""
    name = element.tag.rpartition("}")[2]
    if name in ("defs", "style", "desc", "title") or "placeholder" in element.get("class", "").split():
        return
    style = _styled(element, style)
    if name == "svg" and element.get("class") == "definition-scale":
        style = replace(style, matrix=times(style.matrix, _fitted(element)))
    if name == "text":
        yield from _words(element, style)
    elif name == "use":
        reference = element.get("{http://www.w3.org/1999/xlink}href", element.get("href", ""))
        yield Glyph(reference.lstrip("#"), times(style.matrix, (1, 0, 0, -1, 0, 0)))
    elif name in _OUTLINES:
        yield _shape(element, tuple(_OUTLINES[name](element)), style)
    else:
        for child in element:
            yield from _drawn(child, style)


def _styled(element: Element, style: _Style) -> _Style:
    classes = set(element.get("class", "").split())
    if transform := element.get("transform"):
        style = replace(style, matrix=times(style.matrix, _matrix(transform)))
    weight, slant = element.get("font-weight", ""), element.get("font-style", "")
    is_bold = weight == "bold" if weight else (style.is_bold or bool(classes & _BOLD)) and "label" not in classes
    return replace(
        style,
        is_bold=is_bold,
        is_italic=slant == "italic" if slant else style.is_italic or bool(classes & _ITALIC),
        size=float(element.get("font-size", f"{style.size}").removesuffix("px")),
        family=element.get("font-family", style.family),
    )


def _fitted(element: Element) -> Matrix:
    """A tenth: inside, Verovio counts ten to a unit of the page."""
    return (0.1, 0, 0, 0.1, 0, 0) if element.get("viewBox") else SAME


def _shape(element: Element, segments: tuple[Segment, ...], style: _Style) -> Shape:
    return Shape(
        segments,
        style.matrix,
        is_filled=element.get("fill", "") not in ("none", "transparent") and element.get("fill-opacity") != "0",
        stroke=float(element.get("stroke-width", "0").removesuffix("px")),
        dashes=tuple(_numbers(element.get("stroke-dasharray", ""))),
    )


def _words(element: Element, style: _Style) -> Iterator[Words]:
    line = _Line(element.get("text-anchor", "start"), *_place(element, 0.0, 0.0))
    lines = [line]
    _gather(element, style, lines)
    for line in lines:
        if any(run.text.strip() for run in line.runs):
            yield Words(tuple(line.runs), line.anchor, line.x, line.y, style.matrix)


def _place(element: Element, x: float, y: float) -> tuple[float, float]:
    return float(element.get("x", x)), float(element.get("y", y))


def _gather(element: Element, style: _Style, lines: list[_Line]) -> None:
    """The runs of an element and those in it; a place of its own begins a line."""
    for child in element:
        its = _styled(child, style)
        if child.get("x") or child.get("y"):
            last = lines[-1]
            lines.append(_Line(child.get("text-anchor", last.anchor), *_place(child, last.x, last.y)))
        if child.text and child.text.strip("\n"):
            is_music = any(0xE000 <= ord(letter) <= 0xF8FF for letter in child.text)
            if text := child.text if not child.text.isspace() or len(child) == 0 else "":
                lines[-1].runs.append(Run(text, its.size, its.is_bold, its.is_italic, is_music))
        _gather(child, its, lines)


# --- outlines ---------------------------------------------------------------------------------------------------------


def outline(path: str) -> Iterator[Segment]:
    """The `d` of a path as absolute lines and cubic curves."""
    x = y = start_x = start_y = 0.0
    handle: tuple[float, float] | None = None
    for letter, inside in _COMMAND.findall(path):
        numbers, command = _numbers(inside), letter.upper()
        size = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "Z": 0}[command]
        if command == "Z":
            x, y, handle = start_x, start_y, None
            yield "Z", ()
            continue
        for at in range(0, len(numbers) - size + 1, size):
            places = _absolute(command, numbers[at : at + size], x, y, is_relative=letter.islower())
            if command == "M" and at == 0:
                start_x, start_y = places
                yield "M", places
                handle = None
            elif command in "MLHV":
                yield "L", places
                handle = None
            else:
                places = _cubic(command, places, (x, y), handle)
                handle = places[2], places[3]
                yield "C", places
            x, y = places[-2:]


def _absolute(command: str, numbers: list[float], x: float, y: float, *, is_relative: bool) -> tuple[float, ...]:
    if command == "H":
        return (numbers[0] + x * is_relative, y)
    if command == "V":
        return (x, numbers[0] + y * is_relative)
    return tuple(number + (y if place % 2 else x) * is_relative for place, number in enumerate(numbers))


def _cubic(
    command: str, places: tuple[float, ...], start: tuple[float, float], handle: tuple[float, float] | None
) -> tuple[float, ...]:
    """A curve of any kind as a cubic one."""
    (x, y) = start
    if command == "C":
        return places
    if command == "S":
        first = (2 * x - handle[0], 2 * y - handle[1]) if handle else (x, y)
        return (*first, *places)
    a, b, end_x, end_y = places
    return (
        x + 2 / 3 * (a - x),
        y + 2 / 3 * (b - y),
        end_x + 2 / 3 * (a - end_x),
        end_y + 2 / 3 * (b - end_y),
        end_x,
        end_y,
    )


def _path(element: Element) -> Iterator[Segment]:
    return outline(element.get("d", ""))


def _rectangle(element: Element) -> Iterator[Segment]:
    x, y, width, height = (float(element.get(name, "0")) for name in ("x", "y", "width", "height"))
    yield "M", (x, y)
    for place in ((x + width, y), (x + width, y + height), (x, y + height)):
        yield "L", place
    yield "Z", ()


def _polygon(element: Element) -> Iterator[Segment]:
    numbers = _numbers(element.get("points", ""))
    for at in range(0, len(numbers) - 1, 2):
        yield "L" if at else "M", (numbers[at], numbers[at + 1])
    if element.tag.endswith("polygon"):
        yield "Z", ()


def _ellipse(element: Element) -> Iterator[Segment]:
    x, y = float(element.get("cx", "0")), float(element.get("cy", "0"))
    wide, high = (float(element.get(name) or element.get("r") or 0) for name in ("rx", "ry"))
    a, b = wide * _CURVE, high * _CURVE
    yield "M", (x + wide, y)
    yield "C", (x + wide, y + b, x + a, y + high, x, y + high)
    yield "C", (x - a, y + high, x - wide, y + b, x - wide, y)
    yield "C", (x - wide, y - b, x - a, y - high, x, y - high)
    yield "C", (x + a, y - high, x + wide, y - b, x + wide, y)
    yield "Z", ()


_OUTLINES = {
    "path": _path,
    "rect": _rectangle,
    "polygon": _polygon,
    "polyline": _polygon,
    "ellipse": _ellipse,
    "circle": _ellipse,
}
