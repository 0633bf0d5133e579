"""The shapes of a picture: boxes and words in a plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from numpy.typing import NDArray

Rectangles = NDArray[Any]
"""(n, 4) boxes: left, top, right, bottom, in units from the upper left corner."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes of one colour (`#rrggbb`), with square or rounded corners."""

    rectangles: Rectangles
    colour: str
    radius: float = 0.0


@dataclass(frozen=True)
class Words:
    """A line of text; `x`, `y` are the start, middle or end of its baseline, by `anchor`."""

    x: float
    y: float
    text: str
    size: float
    colour: str
    anchor: str = "start"
    is_bold: bool = False


Shape: TypeAlias = Boxes | Words


@dataclass(frozen=True)
class Drawing:
    """Shapes on a sheet, in drawing order. Sizes are in units; a screen shows one unit as one pixel."""

    width: float
    height: float
    background: str
    title: str
    shapes: tuple[Shape, ...]
