"""The exporters `.png` and `.roll.svg`: one piece as a roll, several as small rolls in a grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np

from composer.errors import CannotWrite, printable, suggest
from composer.storage.atomic import write_whole_file
from composer.types import Piece
from composer_picture import grid, roll, shapes, svg
from composer_picture.grid import lay_out, make_lanes
from composer_picture.roll import MARGIN, choose_colour, draw_lanes, group_by_colour
from composer_picture.roll import place_notes as placed
from composer_picture.shapes import THEMES, Boxes, Drawing, Shape, Theme, Words

# --- several pieces ---------------------------------------------------------------------------------------------------


_BETWEEN, _HEAD, _ROLL = 22.0, 38.0, 132.0


def draw_pieces(pieces: Sequence[Piece], theme: Theme, *, width: float) -> Drawing:
    """Draw several pieces, `width` units wide. Raises ValueError for a piece of too many bars."""
    columns = min(max(ceil(sqrt(len(pieces))), 2), max(int(width / 260), 1))
    cell = (width - 2 * MARGIN + _BETWEEN) / columns
    shapes: list[Shape] = []
    for number, piece in enumerate(pieces):
        row, column = divmod(number, columns)
        top = MARGIN + row * (_HEAD + _ROLL + _BETWEEN)
        shapes += _draw_cell(piece, number, theme, MARGIN + column * cell, top, cell - _BETWEEN)
    rows = ceil(len(pieces) / columns)
    height = 2 * MARGIN + rows * (_HEAD + _ROLL + _BETWEEN) - _BETWEEN
    return Drawing(width, height, theme.background, f"{len(pieces)} pieces", tuple(shapes))


def _draw_cell(piece: Piece, number: int, theme: Theme, left: float, top: float, wide: float) -> Iterator[Shape]:
    score, its = piece.score, make_lanes(piece.score.tracks)
    frame = lay_out(score, wide, in_row=10**9)
    row, lane, roll = frame.rows[0], _ROLL / its.count, top + _HEAD
    title = shapes.make_title(piece) or f"Piece {number + 1}"
    yield Words(left, top + 12, shapes.cut_text(title, 12, wide, is_bold=True), 12, theme.text, is_bold=True)
    whole = len(frame.bars.signature_index) - frame.upbeat if score.note_count else 0
    about = shapes.make_subtitle(piece, whole, frame.bars.time_signatures[0])
    yield Words(left, top + 28, shapes.cut_text(about, 10, wide), 10, theme.muted)

    def place_lane(lanes: np.ndarray) -> np.ndarray:
        return lanes * lane

    yield from draw_lanes(its, theme, left, left + wide, roll, place_lane)
    x = left + (frame.find_bar_lines(row, 12) - row.start) * frame.scale
    lines = np.stack([x - 0.5, np.full_like(x, roll), x + 0.5, np.full_like(x, roll + _ROLL)], axis=1)
    yield Boxes(lines, theme.beat)
    for index, track in group_by_colour(score.tracks, len(theme.tracks)):
        boxes = placed(its.assign(track, track.notes), track.notes, row, frame.scale, place_lane)
        boxes += [left, roll, left, roll]
        yield Boxes(boxes, choose_colour(index, theme), min(1.0, lane / 4))
    if not score.note_count:
        yield Words(left + wide / 2, roll + _ROLL / 2 + 4, "no notes", 12, theme.muted, "middle")


# --- exporters --------------------------------------------------------------------------------------------------------


MOST_PIECES = 400
_NARROWEST, _WIDEST = 400, 8_000


@dataclass(frozen=True)
class PngExporter:
    """Writes a piano roll as PNG: one piece in rows of bars, or several as small rolls side by side.

    The font is DejaVu Sans. Letters that it lacks, such as Chinese, show as boxes.
    """

    is_gallery: ClassVar[bool] = True

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
            svg.write_png(picture, scratch, self.scale)


@dataclass(frozen=True)
class SvgExporter:
    """Writes a piano roll as SVG: one piece in rows of bars, or several as small rolls side by side."""

    is_gallery: ClassVar[bool] = True

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
    return draw_pieces(pieces, THEMES[theme], width=width)
