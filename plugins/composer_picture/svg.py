"""Write a drawing as SVG.

All text is escaped, and its characters are valid in XML, since names are made printable first.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

from composer_picture.shapes import Boxes, Drawing, Words

_FONT = "'DejaVu Sans', Verdana, 'Segoe UI', Roboto, sans-serif"
_FEW = 4_000  # more boxes are one path, and not elements of their own


def write_svg(drawing: Drawing, path: Path) -> None:
    """Write the drawing, one unit to a pixel."""
    path.write_text("\n".join(_write_lines(drawing)) + "\n", encoding="utf-8")


def _write_lines(drawing: Drawing) -> Iterator[str]:
    wide, high = _write_number(drawing.width), _write_number(drawing.height)
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" '
        f'role="img" aria-labelledby="title" font-family="{_FONT}">'
    )
    yield f'<title id="title">{escape(drawing.title)}</title>'
    yield f'<rect width="{wide}" height="{high}" fill="{drawing.background}"/>'
    for shape in drawing.shapes:
        yield _write_boxes(shape) if isinstance(shape, Boxes) else _write_words(shape)
    yield "</svg>"


def _write_boxes(boxes: Boxes) -> str:
    sizes = [(x, y, right - x, bottom - y) for x, y, right, bottom in boxes.rectangles.tolist()]
    if len(sizes) > _FEW:
        steps = "".join(
            f"M{_write_number(x)} {_write_number(y)}h{_write_number(w)}v{_write_number(h)}h{_write_number(-w)}z"
            for x, y, w, h in sizes
        )
        return f'<path fill="{boxes.colour}" d="{steps}"/>'
    corner = f' rx="{_write_number(boxes.radius)}"' if boxes.radius else ""
    rects = [
        f'<rect x="{_write_number(x)}" y="{_write_number(y)}"'
        f' width="{_write_number(w)}" height="{_write_number(h)}"{corner}/>'
        for x, y, w, h in sizes
    ]
    return f'<g fill="{boxes.colour}">{"".join(rects)}</g>'


def _write_words(words: Words) -> str:
    anchor = f' text-anchor="{words.anchor}"' if words.anchor != "start" else ""
    weight = ' font-weight="bold"' if words.is_bold else ""
    position = f'x="{_write_number(words.x)}" y="{_write_number(words.y)}" font-size="{_write_number(words.size)}"'
    return f'<text {position} fill="{words.colour}"{anchor}{weight}>{escape(words.text)}</text>'


def _write_number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
