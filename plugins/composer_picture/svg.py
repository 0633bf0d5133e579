"""Write a drawing as SVG, or as PNG with Pillow.

All text in SVG is escaped, and its characters are valid in XML, since names are made printable first.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from composer_picture import shapes
from composer_picture.shapes import Boxes, Drawing, Words

if TYPE_CHECKING:
    from PIL import Image, ImageDraw


# --- SVG --------------------------------------------------------------------------------------------------------------


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


# --- PNG --------------------------------------------------------------------------------------------------------------


_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}
_FINE = 4  # oversampling of corners, for smooth edges


def write_png(drawing: Drawing, path: Path, scale: float) -> None:
    """Write the drawing with `scale` pixels to a unit."""
    from PIL import Image, ImageDraw
    from PIL.PngImagePlugin import PngInfo

    size = (round(drawing.width * scale), round(drawing.height * scale))
    image = Image.new("RGB", size, drawing.background)
    pen = ImageDraw.Draw(image)
    for shape in drawing.shapes:
        if isinstance(shape, Boxes):
            _draw_boxes(image, pen, shape, scale)
        else:
            _draw_words(pen, shape, scale)
    about = PngInfo()
    about.add_itxt("Title", drawing.title)
    image.save(path, "PNG", compress_level=4, pnginfo=about, dpi=(96 * scale, 96 * scale))


def _draw_boxes(image: Image.Image, pen: ImageDraw.ImageDraw, boxes: Boxes, scale: float) -> None:
    pixels = np.round(boxes.rectangles * scale).astype(np.int64)
    pixels[:, 2:] = np.maximum(pixels[:, 2:], pixels[:, :2] + 1)
    radius = boxes.radius * scale
    if radius < 1 or len(pixels) > _FEW:
        for left, top, right, bottom in pixels.tolist():
            pen.rectangle((left, top, right - 1, bottom - 1), fill=boxes.colour)  # Pillow includes the last pixel
        return
    for left, top, right, bottom in pixels.tolist():
        wide, high = right - left, bottom - top
        image.paste(boxes.colour, (left, top, right, bottom), _make_mask(wide, high, min(radius, wide / 2, high / 2)))


@lru_cache(maxsize=1024)
def _make_mask(wide: int, high: int, radius: float) -> Image.Image:
    """Make the mask of a box with smooth corners."""
    from PIL import Image, ImageDraw

    mask = Image.new("L", (wide * _FINE, high * _FINE), 0)
    inside = (0, 0, wide * _FINE - 1, high * _FINE - 1)
    ImageDraw.Draw(mask).rounded_rectangle(inside, radius=radius * _FINE, fill=255)
    return mask.reduce(_FINE)


def _draw_words(pen: ImageDraw.ImageDraw, words: Words, scale: float) -> None:
    letters = shapes.load_font(words.size * scale, is_bold=words.is_bold)
    position = (round(words.x * scale), round(words.y * scale))
    pen.text(position, words.text, fill=words.colour, font=letters, anchor=_ANCHORS[words.anchor])
