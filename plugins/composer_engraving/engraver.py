"""Engrave pieces, once they are checked, as pages of SVG, with Verovio."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from composer.errors import CannotWrite, printable
from composer.types import Piece

# --- MusicXML to pages ------------------------------------------------------------------------------------------------


_UNITS_PER_MM = 10
_SPACES = 8  # half staff spaces, Verovio's units, in the height of a staff
SMALLEST, LARGEST = 3.0, 12.0
"""Range of the height of a staff, in mm: readable, and supported by Verovio."""

_COMPOSER = re.compile(r'<persName role="composer">([^<]+)</persName>')
_TITLE = re.compile(r"<title>([^<]+)</title>")
_HEARD = re.compile(r"<sound\b[^>]*?(?:/>|>.*?</sound>)", re.DOTALL)  # Verovio draws an empty mark for each
_UNPRINTED = re.compile(r'<degree print-object="no">.*?</degree>', re.DOTALL)  # Verovio prints them all the same
_FIRST_DEFINITION = re.compile(r"<scoreDef\b[^>]*>")

_TIGHTER = {"spacingLinear": 0.22}
"""Slightly tighter than Verovio's 0.25: room for one more bar on a line."""


class NotEngraved(Exception):
    """Verovio could not engrave a document."""


@dataclass(frozen=True)
class Sheet:
    """A sheet of paper and the height of a staff, in mm. With `grows`, the sheet is as tall as the music."""

    width: float = 210.0
    height: float = 297.0
    staff: float = 6.5
    margin: float = 15.0
    grows: bool = False


def engrave(musicxml: bytes, sheet: Sheet) -> list[str]:
    """Engrave MusicXML, and return an SVG document a page. The same music gives the same text. Raises NotEngraved."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from Verovio's Python wrapper
        import verovio

        verovio.enableLog(verovio.LOG_OFF)
        toolkit = verovio.toolkit()
    toolkit.setOptions(_make_options(sheet))
    if not toolkit.loadData(_UNPRINTED.sub("", _HEARD.sub("", musicxml.decode()))):
        raise NotEngraved("Verovio cannot read it")
    if (headed := _add_composer(toolkit.getMEI())) and not toolkit.loadData(headed):
        raise NotEngraved("Verovio cannot read its own output")
    found = _render(toolkit)
    if _has_lone_bar(found):
        toolkit.setOptions(_TIGHTER)
        toolkit.redoLayout()
        found = min(found, _render(toolkit), key=_has_lone_bar)
    return found


def _render(toolkit: Any) -> list[str]:
    found = [toolkit.renderToSVG(number) for number in range(1, toolkit.getPageCount() + 1)]
    if not found or not all(found):
        raise NotEngraved("Verovio made no pages of it")
    return found


def _has_lone_bar(pages: list[str]) -> bool:
    """Tell whether the last line has a single bar."""
    before, _, last = pages[-1].rpartition('class="system"')
    return last.count('class="measure"') == 1 and (len(pages) > 1 or 'class="system"' in before)


def _add_composer(mei: str) -> str:
    """Add the composer beside the title, which Verovio does not show; return an empty text if none is named."""
    composer = _COMPOSER.search(mei)
    if not composer:
        return ""
    title = _TITLE.search(mei)
    named = title[1] if title else ""
    heading = (
        f'<pgHead func="first"><rend halign="center" valign="middle" fontsize="x-large">{named}</rend>'
        f'<rend halign="right" valign="bottom">{composer[1]}</rend></pgHead>'
        '<pgHead func="all"><rend halign="center" valign="middle">– <num label="page">#</num> –</rend></pgHead>'
    )
    return _FIRST_DEFINITION.sub(lambda found: found[0] + heading, mei, count=1)


def _make_options(sheet: Sheet) -> dict[str, object]:
    margin = round(sheet.margin * _UNITS_PER_MM)
    return {
        "scale": 100,
        "unit": sheet.staff * _UNITS_PER_MM / _SPACES,
        "pageWidth": round(sheet.width * _UNITS_PER_MM),
        "pageHeight": round(sheet.height * _UNITS_PER_MM),
        "pageMarginLeft": margin,
        "pageMarginRight": margin,
        "pageMarginTop": margin,
        "pageMarginBottom": margin,
        "adjustPageHeight": sheet.grows,
        "breaks": "auto",
        "footer": "none",
        "justifyVertically": False,
        "svgViewBox": True,
        "smuflTextFont": "embedded",
        "xmlIdSeed": 1,  # else ids differ between runs
    }


# --- pieces to pages --------------------------------------------------------------------------------------------------


MOST_NOTES, MOST_MEASURES = 30_000, 20_000
"""About 300 pages, which take a minute. Measures count once for each part."""


def engrave_piece(
    pieces: Sequence[Piece], path: Path, sheet: Sheet, *, title: str, composer: str, **how: bool
) -> list[str]:
    """Engrave the one piece, and return its pages as SVG; `path` is for messages. Raises CannotWrite."""
    from composer_notation.writing.exporters import build_musicxml

    shown = printable(str(path))
    count = sum(piece.score.note_count for piece in pieces)
    if len(pieces) == 1 and count > MOST_NOTES:
        raise CannotWrite(
            f"{shown}: has {count:,} notes, and {MOST_NOTES:,} at most are engraved; write it as .musicxml."
        )
    document = build_musicxml(pieces, path, title=title, composer=composer, **how)
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
