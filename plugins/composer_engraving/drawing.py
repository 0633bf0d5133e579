"""Pages of Verovio's SVG: parsed into outlines and words, with their positions and sizes, or exported.

The subset of SVG that Verovio writes is supported: groups, paths without arcs, rectangles, polygons, ellipses, glyphs
by reference, and words in runs. A run in the music font becomes glyphs, so that no such font is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeAlias
from xml.etree.ElementTree import Element, fromstring

from composer.storage.atomic import write_whole_file
from composer.types import Piece
from composer_engraving.engraver import Sheet, check_staff, engrave_piece
from composer_engraving.outlines import (
    OUTLINES,
    SAME,
    Matrix,
    Segment,
    multiply,
    parse_numbers,
    parse_path,
    parse_transform,
)

# --- a page -----------------------------------------------------------------------------------------------------------


_BOLD = {"ending", "fing", "reh", "tempo"}  # as in Verovio's style sheet
_ITALIC = {"dir", "dynam", "mNum"}


@dataclass(frozen=True)
class Shape:
    """An outline, filled or not; stroked if `stroke` is above 0."""

    outline: tuple[Segment, ...]
    matrix: Matrix
    is_filled: bool = True
    stroke: float = 0.0
    dashes: tuple[float, ...] = ()


@dataclass(frozen=True)
class Glyph:
    """A sign of the music font, by its id in the page or its code, such as `U+ECA5`."""

    name: str
    matrix: Matrix


@dataclass(frozen=True)
class Run:
    """Words, or one music sign, of one size and style."""

    text: str
    size: float
    is_bold: bool = False
    is_italic: bool = False
    is_music: bool = False


@dataclass(frozen=True)
class Words:
    """Runs in a line that starts, ends or is centred at a point, by `anchor`."""

    runs: tuple[Run, ...]
    anchor: str  # start, middle or end
    x: float
    y: float
    matrix: Matrix


Drawn: TypeAlias = Shape | Glyph | Words


@dataclass(frozen=True)
class Page:
    """The contents of a page in drawing order, and the outlines of its glyphs."""

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
    """A line of words, being gathered."""

    anchor: str
    x: float
    y: float
    runs: list[Run] = field(default_factory=list)


def parse_page(svg: str) -> Page:
    """Parse a page of Verovio's. Raises ValueError for SVG of another kind."""
    root = fromstring(svg)  # noqa: S314  (Verovio's own, made here)
    _, _, width, height = parse_numbers(root.get("viewBox", ""))
    glyphs: dict[str, tuple[Segment, ...]] = {}
    for group in root.iter(_make_tag("g")):
        identity = group.get("id", "")
        if re.match(r"^[0-9A-F]{4,5}-", identity):
            glyphs[identity] = tuple(s for path in group.iter(_make_tag("path")) for s in parse_path(path.get("d", "")))
    drawn = tuple(_read_element(root, _Style()))
    return Page(width, height, drawn, glyphs)


def _make_tag(name: str) -> str:
    return f"{{http://www.w3.org/2000/svg}}{name}"


# --- elements ---------------------------------------------------------------------------------------------------------


def _read_element(element: Element, style: _Style) -> Iterator[Drawn]:
    """Yield the shapes, glyphs and words of an element and its children."""
    name = element.tag.rpartition("}")[2]
    if name in ("defs", "style", "desc", "title") or "placeholder" in element.get("class", "").split():
        return
    style = _apply_style(element, style)
    if name == "svg" and element.get("class") == "definition-scale":
        style = replace(style, matrix=multiply(style.matrix, _get_scale(element)))
    if name == "text":
        yield from _read_words(element, style)
    elif name == "use":
        reference = element.get("{http://www.w3.org/1999/xlink}href", element.get("href", ""))
        yield Glyph(reference.lstrip("#"), multiply(style.matrix, (1, 0, 0, -1, 0, 0)))
    elif name in OUTLINES:
        yield _read_shape(element, tuple(OUTLINES[name](element)), style)
    else:
        for child in element:
            yield from _read_element(child, style)


def _apply_style(element: Element, style: _Style) -> _Style:
    classes = set(element.get("class", "").split())
    if transform := element.get("transform"):
        style = replace(style, matrix=multiply(style.matrix, parse_transform(transform)))
    weight, slant = element.get("font-weight", ""), element.get("font-style", "")
    is_bold = weight == "bold" if weight else (style.is_bold or bool(classes & _BOLD)) and "label" not in classes
    return replace(
        style,
        is_bold=is_bold,
        is_italic=slant == "italic" if slant else style.is_italic or bool(classes & _ITALIC),
        size=float(element.get("font-size", f"{style.size}").removesuffix("px")),
        family=element.get("font-family", style.family),
    )


def _get_scale(element: Element) -> Matrix:
    """Return a tenth if the element has a viewBox: inside, Verovio counts ten to a unit of the page."""
    return (0.1, 0, 0, 0.1, 0, 0) if element.get("viewBox") else SAME


def _read_shape(element: Element, segments: tuple[Segment, ...], style: _Style) -> Shape:
    return Shape(
        segments,
        style.matrix,
        is_filled=element.get("fill", "") not in ("none", "transparent") and element.get("fill-opacity") != "0",
        stroke=float(element.get("stroke-width", "0").removesuffix("px")),
        dashes=tuple(parse_numbers(element.get("stroke-dasharray", ""))),
    )


def _read_words(element: Element, style: _Style) -> Iterator[Words]:
    line = _Line(element.get("text-anchor", "start"), *_read_position(element, 0.0, 0.0))
    lines = [line]
    _gather_runs(element, style, lines)
    for line in lines:
        if any(run.text.strip() for run in line.runs):
            yield Words(tuple(line.runs), line.anchor, line.x, line.y, style.matrix)


def _read_position(element: Element, x: float, y: float) -> tuple[float, float]:
    return float(element.get("x", x)), float(element.get("y", y))


def _gather_runs(element: Element, style: _Style, lines: list[_Line]) -> None:
    """Gather the runs of an element and its children; one with a position begins a new line."""
    for child in element:
        its = _apply_style(child, style)
        if child.get("x") or child.get("y"):
            last = lines[-1]
            lines.append(_Line(child.get("text-anchor", last.anchor), *_read_position(child, last.x, last.y)))
        if child.text and child.text.strip("\n"):
            is_music = any(0xE000 <= ord(letter) <= 0xF8FF for letter in child.text)
            if text := child.text if not child.text.isspace() or len(child) == 0 else "":
                lines[-1].runs.append(Run(text, its.size, its.is_bold, its.is_italic, is_music))
        _gather_runs(child, its, lines)


# --- files of SVG -----------------------------------------------------------------------------------------------------


_TALLEST = 6_000.0  # mm, Verovio's limit
_SIZE = re.compile(r'<svg viewBox="0 0 (\d+) (\d+)"')


@dataclass(frozen=True)
class SvgExporter:
    """Writes one piece as an engraved score, on one page that is as tall as the music needs.

    Text needs a font like Times; music signs need none. The page is as wide as A4 by default.
    """

    title: Annotated[str, "what stands over the music; else the piece's own title, or its model and seed"] = ""
    composer: Annotated[str, "who stands beside it"] = ""
    width: Annotated[float, "of the page, in mm"] = 210.0
    staff: Annotated[float, "height of a staff, in mm"] = 6.5
    repeats: Annotated[bool, "repeat signs where a section comes twice"] = True
    fermatas: Annotated[bool, "fermatas where the phrases of four new voices end"] = True

    reading: ClassVar[Mapping[str, Any]] = {"pedal": "ignore"}

    def __post_init__(self) -> None:
        """Refuse invalid options."""
        check_staff(self.staff)
        if not 80 <= self.width <= 2_000:
            raise ValueError(f"a page is 80 to 2000 mm wide, not {self.width:g}")

    def __call__(self, pieces: Sequence[Piece], path: Path) -> None:
        """Write the file, whole or not at all. Raises CannotWrite; warns with ReadingWarning of notes moved."""
        sheet = Sheet(self.width, _TALLEST, self.staff, grows=True)
        heading = {"title": self.title, "composer": self.composer}
        pages = engrave_piece(pieces, path, sheet, **heading, repeats=self.repeats, fermatas=self.fermatas)
        with write_whole_file(path) as scratch:
            scratch.write_text(join_pages(pages), encoding="utf-8")


def join_pages(pages: Sequence[str]) -> str:
    """Join pages of SVG in one document, for music taller than Verovio's highest page."""
    placed, width, height = [], 0, 0
    for page in pages:
        found = _SIZE.search(page)
        wide, high = (int(number) for number in found.groups()) if found else (0, 0)
        placed.append(
            _SIZE.sub(f'<svg y="{height}" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}"', page, count=1)
        )
        width, height = max(width, wide), height + high
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width / 10:g}mm" height="{height / 10:g}mm" '
        f'viewBox="0 0 {width} {height}">\n' + "\n".join(placed) + "\n</svg>\n"
    )
