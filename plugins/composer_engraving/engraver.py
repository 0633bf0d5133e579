"""MusicXML engraved by Verovio, as pages of SVG; it knows no Score and no file."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Any

_UNITS_PER_MM = 10
_SPACES = 8  # half staff spaces, Verovio's units, in the height of a staff
SMALLEST, LARGEST = 3.0, 12.0
"""Heights of a staff, in mm, between which notes can be read and Verovio can place them."""

_COMPOSER = re.compile(r'<persName role="composer">([^<]+)</persName>')
_TITLE = re.compile(r"<title>([^<]+)</title>")
_HEARD = re.compile(r"<sound\b[^>]*?(?:/>|>.*?</sound>)", re.DOTALL)  # Verovio makes an empty mark of each
_FIRST_DEFINITION = re.compile(r"<scoreDef\b[^>]*>")

_TIGHTER = {"spacingLinear": 0.22}
"""Where Verovio itself takes 0.25: room for one bar more on a line, and nobody sees the difference."""


class NotEngraved(Exception):
    """Verovio made nothing of a document."""


@dataclass(frozen=True)
class Sheet:
    """A sheet of paper, and how high a staff is on it, in mm. With `grows`, it is as high as the music needs."""

    width: float = 210.0
    height: float = 297.0
    staff: float = 6.5
    margin: float = 15.0
    grows: bool = False


def pages(musicxml: bytes, sheet: Sheet) -> list[str]:
    """An SVG document for each page. The same music gives the same text. Raises NotEngraved."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the wrapper that Verovio is called through
        import verovio

        verovio.enableLog(verovio.LOG_OFF)
        toolkit = verovio.toolkit()
    toolkit.setOptions(_options(sheet))
    if not toolkit.loadData(_HEARD.sub("", musicxml.decode())):
        raise NotEngraved("Verovio cannot read it")
    if (headed := _headed(toolkit.getMEI())) and not toolkit.loadData(headed):
        raise NotEngraved("Verovio cannot read what it wrote itself")
    found = _drawn(toolkit)
    if _ends_with_one_bar(found):
        toolkit.setOptions(_TIGHTER)
        toolkit.redoLayout()
        found = min(found, _drawn(toolkit), key=_ends_with_one_bar)
    return found


def _drawn(toolkit: Any) -> list[str]:
    found = [toolkit.renderToSVG(number) for number in range(1, toolkit.getPageCount() + 1)]
    if not found or not all(found):
        raise NotEngraved("Verovio made no pages of it")
    return found


def _ends_with_one_bar(pages: list[str]) -> bool:
    """Whether a single bar stands on a line of its own at the end."""
    before, _, last = pages[-1].rpartition('class="system"')
    return last.count('class="measure"') == 1 and (len(pages) > 1 or 'class="system"' in before)


def _headed(mei: str) -> str:
    """The music with its composer beside the title, whom Verovio itself does not show; empty if none is named."""
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


def _options(sheet: Sheet) -> dict[str, object]:
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
        "xmlIdSeed": 1,  # else each run names its elements otherwise
    }
