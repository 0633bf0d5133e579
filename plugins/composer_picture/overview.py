"""Many pieces as small rolls in a grid, for comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, sqrt

import numpy as np

from composer.types import Piece
from composer_picture import lettering, naming
from composer_picture.grid import grid
from composer_picture.lanes import lanes
from composer_picture.roll import MARGIN, colour_of, coloured, ground
from composer_picture.roll import note_boxes as placed
from composer_picture.shapes import Boxes, Drawing, Shape, Words
from composer_picture.themes import Theme

_BETWEEN, _HEAD, _ROLL = 22.0, 38.0, 132.0


def drawing(pieces: Sequence[Piece], theme: Theme, *, width: float) -> Drawing:
    """Draw several pieces, `width` units wide. Raises ValueError for a piece of too many bars."""
    columns = min(max(ceil(sqrt(len(pieces))), 2), max(int(width / 260), 1))
    cell = (width - 2 * MARGIN + _BETWEEN) / columns
    shapes: list[Shape] = []
    for number, piece in enumerate(pieces):
        row, column = divmod(number, columns)
        top = MARGIN + row * (_HEAD + _ROLL + _BETWEEN)
        shapes += _cell(piece, number, theme, MARGIN + column * cell, top, cell - _BETWEEN)
    rows = ceil(len(pieces) / columns)
    height = 2 * MARGIN + rows * (_HEAD + _ROLL + _BETWEEN) - _BETWEEN
    return Drawing(width, height, theme.background, f"{len(pieces)} pieces", tuple(shapes))


def _cell(piece: Piece, number: int, theme: Theme, left: float, top: float, wide: float) -> Iterator[Shape]:
    score, its = piece.score, lanes(piece.score.tracks)
    frame = grid(score, wide, in_row=10**9)
    row, lane, roll = frame.rows[0], _ROLL / its.count, top + _HEAD
    title = naming.title(piece) or f"Piece {number + 1}"
    yield Words(left, top + 12, lettering.cut(title, 12, wide, is_bold=True), 12, theme.text, is_bold=True)
    whole = len(frame.bars.which) - frame.upbeat if score.note_count else 0
    about = naming.subtitle(piece, whole, frame.bars.metres[0])
    yield Words(left, top + 28, lettering.cut(about, 10, wide), 10, theme.muted)

    def height(lanes: np.ndarray) -> np.ndarray:
        return lanes * lane

    yield from ground(its, theme, left, left + wide, roll, height)
    x = left + (frame.lines(row, 12) - row.start) * frame.scale
    lines = np.stack([x - 0.5, np.full_like(x, roll), x + 0.5, np.full_like(x, roll + _ROLL)], axis=1)
    yield Boxes(lines, theme.beat)
    for index, track in coloured(score.tracks, len(theme.tracks)):
        boxes = placed(its.of(track, track.notes), track.notes, row, frame.scale, height)
        boxes += [left, roll, left, roll]
        yield Boxes(boxes, colour_of(index, theme), min(1.0, lane / 4))
    if not score.note_count:
        yield Words(left + wide / 2, roll + _ROLL / 2 + 4, "no notes", 12, theme.muted, "middle")
