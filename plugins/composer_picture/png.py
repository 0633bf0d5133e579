"""Write a drawing as PNG, with Pillow."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from composer_picture import lettering
from composer_picture.shapes import Boxes, Drawing, Words

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}
_FINE = 4  # oversampling of corners, for smooth edges
_FEW = 4_000  # with more boxes, corners are not rounded


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
    letters = lettering.load_font(words.size * scale, is_bold=words.is_bold)
    position = (round(words.x * scale), round(words.y * scale))
    pen.text(position, words.text, fill=words.colour, font=letters, anchor=_ANCHORS[words.anchor])
