"""The exporter of engraved scores as PDF."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar

from composer.errors import CannotWrite, printable
from composer.storage.atomic import write_whole_file
from composer.types import Piece
from composer_engraving import drawing, outlines
from composer_engraving.drawing import Drawn, Glyph, Run, Shape, Words
from composer_engraving.engraver import Sheet, check_staff, engrave_piece
from composer_engraving.outlines import Matrix, Segment, multiply

PAPERS = {"a4": (210.0, 297.0), "letter": (215.9, 279.4), "a3": (297.0, 420.0), "a5": (148.0, 210.0)}
"""Width and height in mm."""

_POINTS_PER_UNIT = 72 / 254  # Verovio's pages count tenths of a millimetre
_STYLES = {(False, False): "", (True, False): "Bol", (False, True): "Italic", (True, True): "BolIta"}


@dataclass(frozen=True)
class PdfExporter:
    """Writes one piece as an engraved score in PDF, on as many pages as it takes.

    Text is set in STIX, which is like Times, and has Greek and Cyrillic letters. Fonts and music signs are embedded.
    """

    title: Annotated[str, "what stands over the music; else the piece's own title, or its model and seed"] = ""
    composer: Annotated[str, "who stands beside it"] = ""
    paper: Annotated[str, "a3, a4, a5 or letter"] = "a4"
    staff: Annotated[float, "height of a staff, in mm"] = 6.5
    repeats: Annotated[bool, "repeat signs where a section comes twice"] = True
    fermatas: Annotated[bool, "fermatas where the phrases of four new voices end"] = True

    reading: ClassVar[Mapping[str, Any]] = {"pedal": "ignore"}

    def __post_init__(self) -> None:
        """Refuse invalid options."""
        if self.paper.lower() not in PAPERS:
            raise ValueError(f"the paper is one of {', '.join(sorted(PAPERS))}, not '{printable(self.paper, 20)}'")
        check_staff(self.staff)

    def __call__(self, pieces: Sequence[Piece], path: Path) -> None:
        """Write the file, whole or not at all. Raises CannotWrite; warns with ReadingWarning of notes moved."""
        sheet = Sheet(*PAPERS[self.paper.lower()], self.staff)
        heading = {"title": self.title, "composer": self.composer}
        pages = engrave_piece(pieces, path, sheet, **heading, repeats=self.repeats, fermatas=self.fermatas)
        try:
            data = make_document([drawing.parse_page(page) for page in pages], self.title or pieces[0].title)
        except ValueError as error:
            raise CannotWrite(f"{printable(str(path))}: cannot be drawn: {printable(str(error), 200)}.") from None
        with write_whole_file(path) as scratch:
            scratch.write_bytes(data)


def make_document(pages: Sequence[drawing.Page], title: str = "") -> bytes:
    """Draw pages as a PDF document; the same pages give the same bytes."""
    from reportlab.pdfgen.canvas import Canvas

    buffer = io.BytesIO()
    canvas = Canvas(buffer, invariant=1, pageCompression=1)
    canvas.setTitle(printable(title, 200) or "Score")
    canvas.setCreator("composer")
    pen = _Pen(canvas)
    for page in pages:
        canvas.setPageSize((page.width * _POINTS_PER_UNIT, page.height * _POINTS_PER_UNIT))
        canvas.transform(_POINTS_PER_UNIT, 0, 0, -_POINTS_PER_UNIT, 0, page.height * _POINTS_PER_UNIT)
        canvas.setLineCap(0)
        for item in page.drawn:
            pen.draw(item, page)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


@dataclass
class _Pen:
    """A canvas, with the glyphs and fonts that the document already contains."""

    canvas: Any
    forms: dict[tuple[Segment, ...], str] = field(default_factory=dict)
    fonts: set[str] = field(default_factory=set)

    def draw(self, item: Drawn, page: drawing.Page) -> None:
        """Draw one thing of a page."""
        if isinstance(item, Shape):
            self._draw_shape(item)
        elif isinstance(item, Glyph):
            self._draw_glyph(page.glyphs.get(item.name, ()), item.matrix)
        else:
            self._draw_words(item)

    def _draw_shape(self, shape: Shape) -> None:
        self.canvas.saveState()
        self.canvas.transform(*shape.matrix)
        self.canvas.setLineWidth(shape.stroke)
        if shape.dashes:
            self.canvas.setDash(list(shape.dashes))
        self.canvas.drawPath(
            _make_path(self.canvas, shape.outline), stroke=int(shape.stroke > 0), fill=int(shape.is_filled), fillMode=1
        )
        self.canvas.restoreState()

    def _draw_glyph(self, outline: tuple[Segment, ...], matrix: Matrix) -> None:
        """Draw a sign; its outline is stored once in the document."""
        if not outline:
            return
        if outline not in self.forms:
            self.forms[outline] = f"sign{len(self.forms)}"
            self.canvas.beginForm(self.forms[outline], -4000, -4000, 4000, 4000)
            self.canvas.drawPath(_make_path(self.canvas, outline), stroke=0, fill=1, fillMode=1)
            self.canvas.endForm()
        self.canvas.saveState()
        self.canvas.transform(*matrix)
        self.canvas.doForm(self.forms[outline])
        self.canvas.restoreState()

    def _draw_words(self, words: Words) -> None:
        widths = [self._measure_run(run) for run in words.runs]
        x = words.x - sum(widths) * {"start": 0.0, "middle": 0.5, "end": 1.0}.get(words.anchor, 0.0)
        for run, width in zip(words.runs, widths, strict=True):
            matrix = multiply(words.matrix, (1, 0, 0, -1, x, words.y))
            if run.is_music:
                self._draw_signs(run, matrix)
            else:
                self._draw_run(run, matrix)
            x += width

    def _measure_run(self, run: Run) -> float:
        from reportlab.pdfbase.pdfmetrics import stringWidth

        if run.is_music:
            return sum(outlines.read_widths().get(ord(letter), 0.0) for letter in run.text) * run.size / 1000
        return float(stringWidth(run.text, self._find_font(run), run.size))

    def _draw_signs(self, run: Run, matrix: Matrix) -> None:
        x = 0.0
        for letter in run.text:
            scale = run.size / 1000
            self._draw_glyph(outlines.read_sign(ord(letter)), multiply(matrix, (scale, 0, 0, scale, x, 0)))
            x += outlines.read_widths().get(ord(letter), 0.0) * scale

    def _draw_run(self, run: Run, matrix: Matrix) -> None:
        self.canvas.saveState()
        self.canvas.transform(*matrix)
        self.canvas.setFont(self._find_font(run), run.size)
        self.canvas.drawString(0, 0, run.text)
        self.canvas.restoreState()

    def _find_font(self, run: Run) -> str:
        name = "STIXGeneral" + _STYLES[run.is_bold, run.is_italic]
        if name not in self.fonts:
            _register_font(name)
            self.fonts.add(name)
        return name


def _register_font(name: str) -> None:
    """Register one of matplotlib's fonts with ReportLab."""
    from reportlab.pdfbase.pdfmetrics import registerFont
    from reportlab.pdfbase.ttfonts import TTFont

    found = find_spec("matplotlib")
    assert found is not None  # noqa: S101  (a dependency)
    assert found.submodule_search_locations  # noqa: S101
    registerFont(TTFont(name, str(Path(found.submodule_search_locations[0]) / f"mpl-data/fonts/ttf/{name}.ttf")))


def _make_path(canvas: Any, outline: Sequence[Segment]) -> Any:
    path = canvas.beginPath()
    draw = {"M": path.moveTo, "L": path.lineTo, "C": path.curveTo, "Z": path.close}
    for command, points in outline:
        draw[command](*points)
    return path
