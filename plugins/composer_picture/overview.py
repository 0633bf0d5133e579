"""Many pieces as small rolls in a grid, for comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, sqrt

import numpy as np

from composer.types import Piece
from composer_picture import lettering, naming
from composer_picture.grid import lay_out
from composer_picture.lanes import make_lanes
from composer_picture.roll import MARGIN, choose_colour, draw_lanes, group_by_colour
from composer_picture.roll import place_notes as placed
from composer_picture.shapes import Boxes, Drawing, Shape, Words
from composer_picture.themes import Theme

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
    title = naming.make_title(piece) or f"Piece {number + 1}"
    yield Words(left, top + 12, lettering.cut_text(title, 12, wide, is_bold=True), 12, theme.text, is_bold=True)
    whole = len(frame.bars.signature_index) - frame.upbeat if score.note_count else 0
    about = naming.make_subtitle(piece, whole, frame.bars.time_signatures[0])
    yield Words(left, top + 28, lettering.cut_text(about, 10, wide), 10, theme.muted)

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
