"""The exporters `.png` and `.roll.svg`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from composer.errors import CannotWrite, printable, suggest
from composer.storage.atomic import write_whole_file
from composer.types import Piece
from composer_picture import grid, overview, png, roll, svg
from composer_picture.shapes import Drawing
from composer_picture.themes import THEMES

MOST_PIECES = 400
_NARROWEST, _WIDEST = 400, 8_000


@dataclass(frozen=True)
class PngExporter:
    """Writes a piano roll as PNG: one piece in rows of bars, or several as small rolls side by side.

    The font is DejaVu Sans. Letters that it lacks, such as Chinese, show as boxes.
    """

    theme: Annotated[str, "light or dark"] = "light"
    width: Annotated[int, "of the picture, in units (400 to 8000)"] = 1200
    bars: Annotated[int, "in a row; 0: as many as are easily read"] = 0
    scale: Annotated[float, "pixels to a unit (0.5 to 4)"] = 2.0

    def __post_init__(self) -> None:
        """Refuse invalid options."""
        _check(self.theme, self.width, self.bars)
        if not 0.5 <= self.scale <= 4:
            raise ValueError(f"scale is {self.scale:g}, and must be from 0.5 to 4")

    def __call__(self, pieces: Sequence[Piece], path: Path) -> None:
        """Write the file, whole or not at all. Raises CannotWrite."""
        picture = _draw(pieces, path, self.theme, self.width, self.bars)
        with write_whole_file(path) as scratch:
            png.write_png(picture, scratch, self.scale)


@dataclass(frozen=True)
class SvgExporter:
    """Writes a piano roll as SVG: one piece in rows of bars, or several as small rolls side by side."""

    theme: Annotated[str, "light or dark"] = "light"
    width: Annotated[int, "of the picture, in units (400 to 8000)"] = 1200
    bars: Annotated[int, "in a row; 0: as many as are easily read"] = 0

    def __post_init__(self) -> None:
        """Refuse invalid options."""
        _check(self.theme, self.width, self.bars)

    def __call__(self, pieces: Sequence[Piece], path: Path) -> None:
        """Write the file, whole or not at all. Raises CannotWrite."""
        picture = _draw(pieces, path, self.theme, self.width, self.bars)
        with write_whole_file(path) as scratch:
            svg.write_svg(picture, scratch)


def _check(theme: str, width: int, bars: int) -> None:
    if theme not in THEMES:
        raise ValueError(f"unknown theme '{printable(theme)}': {suggest(theme, THEMES)}")
    if not _NARROWEST <= width <= _WIDEST:
        raise ValueError(f"width is {width}, and must be from {_NARROWEST} to {_WIDEST}")
    if bars < 0:
        raise ValueError(f"bars is {bars}, and must be 0 or more")


def _draw(pieces: Sequence[Piece], path: Path, theme: str, width: int, bars: int) -> Drawing:
    shown = printable(str(path))
    if not pieces:
        raise CannotWrite(f"{shown}: no piece to draw.")
    if len(pieces) > MOST_PIECES:
        raise CannotWrite(f"{shown}: a picture shows at most {MOST_PIECES} pieces, and there are {len(pieces):,}.")
    for piece in pieces:
        try:
            grid.find_bars(piece.score)
        except ValueError as error:
            raise CannotWrite(f"{shown}: cannot be drawn: the piece has {error}.") from None
    if len(pieces) == 1:
        return roll.draw_piece(pieces[0], THEMES[theme], width=width, in_row=bars)
    return overview.draw_pieces(pieces, THEMES[theme], width=width)
