"""What a picture is made of: boxes and words in one plane; it knows no music and no file format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from numpy.typing import NDArray

Places = NDArray[Any]
"""(n, 4) boxes: left, top, right, bottom, in units from the upper left corner."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes of one colour (`#rrggbb`), with corners that may be round."""

    places: Places
    colour: str
    radius: float = 0.0


@dataclass(frozen=True)
class Words:
    """One line of text: where its baseline begins, is centred or ends (`anchor` start, middle, end)."""

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
    """Shapes on a sheet, drawn in order; sizes in units, of which a screen shows one as one pixel."""

    width: float
    height: float
    background: str
    title: str
    shapes: tuple[Shape, ...]
