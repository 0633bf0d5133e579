"""The exporter of engraved scores as SVG."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from composer.storage.atomic import write_whole_file
from composer.types import Piece
from composer_engraving.engraved import check_staff, engrave_piece
from composer_engraving.engraver import Sheet

_TALLEST = 6_000.0  # mm, Verovio's limit
_SIZE = re.compile(r'<svg viewBox="0 0 (\d+) (\d+)"')


@dataclass(frozen=True)
class SvgExporter:
    """Writes one piece as an engraved score, on one page that is as tall as the music needs.

    Text needs a font like Times; music signs need none. The page is as wide as A4 by default.
    """

    title: Annotated[str, "what stands over the music; else the piece's own title, or its model and seed"] = ""
    composer: Annotated[str, "who stands beside it"] = ""
    width: Annotated[float, "of the page, in mm"] = 210.0
    staff: Annotated[float, "height of a staff, in mm"] = 6.5

    reading: ClassVar[Mapping[str, Any]] = {"pedal": "ignore"}

    def __post_init__(self) -> None:
        """Refuse invalid options."""
        check_staff(self.staff)
        if not 80 <= self.width <= 2_000:
            raise ValueError(f"a page is 80 to 2000 mm wide, not {self.width:g}")

    def __call__(self, pieces: Sequence[Piece], path: Path) -> None:
        """Write the file, whole or not at all. Raises CannotWrite; warns with ReadingWarning of notes moved."""
        sheet = Sheet(self.width, _TALLEST, self.staff, grows=True)
        pages = engrave_piece(pieces, path, sheet, title=self.title, composer=self.composer)
        with write_whole_file(path) as scratch:
            scratch.write_text(join_pages(pages), encoding="utf-8")


def join_pages(pages: Sequence[str]) -> str:
    """Join pages of SVG in one document, for music taller than Verovio's highest page."""
    placed, width, height = [], 0, 0
    for page in pages:
        found = _SIZE.search(page)
        wide, high = (int(number) for number in found.groups()) if found else (0, 0)
        placed.append(
            _SIZE.sub(f'<svg y="{height}" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}"', page, count=1)
        )
        width, height = max(width, wide), height + high
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width / 10:g}mm" height="{height / 10:g}mm" '
        f'viewBox="0 0 {width} {height}">\n' + "\n".join(placed) + "\n</svg>\n"
    )
