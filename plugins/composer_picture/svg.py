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


def write(drawing: Drawing, path: Path) -> None:
    """Write the drawing, one unit to a pixel."""
    path.write_text("\n".join(_lines(drawing)) + "\n", encoding="utf-8")


def _lines(drawing: Drawing) -> Iterator[str]:
    wide, high = _number(drawing.width), _number(drawing.height)
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" '
        f'role="img" aria-labelledby="title" font-family="{_FONT}">'
    )
    yield f'<title id="title">{escape(drawing.title)}</title>'
    yield f'<rect width="{wide}" height="{high}" fill="{drawing.background}"/>'
    for shape in drawing.shapes:
        yield _boxes(shape) if isinstance(shape, Boxes) else _words(shape)
    yield "</svg>"


def _boxes(boxes: Boxes) -> str:
    sizes = [(x, y, right - x, bottom - y) for x, y, right, bottom in boxes.places.tolist()]
    if len(sizes) > _FEW:
        steps = "".join(f"M{_number(x)} {_number(y)}h{_number(w)}v{_number(h)}h{_number(-w)}z" for x, y, w, h in sizes)
        return f'<path fill="{boxes.colour}" d="{steps}"/>'
    corner = f' rx="{_number(boxes.radius)}"' if boxes.radius else ""
    rects = [
        f'<rect x="{_number(x)}" y="{_number(y)}" width="{_number(w)}" height="{_number(h)}"{corner}/>'
        for x, y, w, h in sizes
    ]
    return f'<g fill="{boxes.colour}">{"".join(rects)}</g>'


def _words(words: Words) -> str:
    anchor = f' text-anchor="{words.anchor}"' if words.anchor != "start" else ""
    weight = ' font-weight="bold"' if words.is_bold else ""
    position = f'x="{_number(words.x)}" y="{_number(words.y)}" font-size="{_number(words.size)}"'
    return f'<text {position} fill="{words.colour}"{anchor}{weight}>{escape(words.text)}</text>'


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
