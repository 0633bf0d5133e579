"""Check a piece and engrave it, for the exporters of this plugin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from composer.errors import CannotWrite, printable
from composer.types import Piece
from composer_engraving.engraver import LARGEST, SMALLEST, NotEngraved, Sheet, engrave

MOST_NOTES, MOST_MEASURES = 30_000, 20_000
"""About 300 pages, which take a minute. Measures count once for each part."""


def engrave_piece(pieces: Sequence[Piece], path: Path, sheet: Sheet, *, title: str, composer: str) -> list[str]:
    """Engrave the one piece, and return its pages as SVG; `path` is for messages. Raises CannotWrite."""
    from composer_notation.writing.exporters import build_musicxml

    shown = printable(str(path))
    count = sum(piece.score.note_count for piece in pieces)
    if len(pieces) == 1 and count > MOST_NOTES:
        raise CannotWrite(
            f"{shown}: has {count:,} notes, and {MOST_NOTES:,} at most are engraved; write it as .musicxml."
        )
    document = build_musicxml(pieces, path, title=title, composer=composer)
    if (measures := document.count(b"<measure ")) > MOST_MEASURES:
        raise CannotWrite(
            f"{shown}: its parts have {measures:,} bars together, and {MOST_MEASURES:,} at most are engraved; "
            "write it as .musicxml."
        )
    try:
        return engrave(document, sheet)
    except NotEngraved as error:
        raise CannotWrite(f"{shown}: cannot be engraved: {error}.") from None


def check_staff(staff: float) -> None:
    """Raise ValueError for an unreadable height of a staff, in mm."""
    if not SMALLEST <= staff <= LARGEST:
        raise ValueError(f"a staff is {SMALLEST:g} to {LARGEST:g} mm high, not {staff:g}")
