"""Reads notation files, most through music21, after a look at size and safety; it knows suffixes, and no notes."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from composer.errors import ReadingWarning, UnreadableFile, printable
from composer.score import TICKS_PER_QUARTER, Score
from composer_notation.abc import reading as abc
from composer_notation.owntracks import provenance
from composer_notation.xmlcheck import check_archive, check_xml, xml_of

MOST_BYTES = 20 * 1024 * 1024
LONGEST = 100_000 * 4 * TICKS_PER_QUARTER
_FORMATS = {".musicxml": "musicxml", ".xml": "musicxml", ".mxl": "musicxml", ".krn": "humdrum"}
_KERN = re.compile(rb"^(?:\*\*[^\n]*\t)?\*\*kern", re.MULTILINE)
_ENDLESS = re.compile(rb"\*M[0-9+]*[0-9]{3}")


@dataclass(frozen=True)
class NotationReader:
    """Reads MusicXML (plain or packed), Humdrum kern and ABC: one piece a file."""

    def provenance(self, path: Path) -> Mapping[str, Any]:
        """What made the piece, as a MusicXML file of ours says; `{}` otherwise. Raises UnreadableFile."""
        if _FORMATS.get(path.suffix.lower()) != "musicxml":
            return {}
        _check(path, printable(str(path)))
        return provenance(xml_of(path))

    def pieces(self, path: Path) -> Iterator[tuple[str, Score | Exception]]:
        """Each tune of a book in ABC, or the one piece of another file. Raises UnreadableFile; warns as `__call__`."""
        _check(path, printable(str(path)))
        if path.suffix.lower() == ".abc":
            yield from abc.pieces(path)
        else:
            yield "", self(path)

    def __call__(self, path: Path) -> Score:
        """The score in a file, repeats played. Raises UnreadableFile and what music21 raises; warns ReadingWarning."""
        shown = printable(str(path))
        _check(path, shown)
        if path.suffix.lower() == ".abc":
            return abc.read(path)
        with warnings.catch_warnings(record=True) as caught:  # music21 warns of its own matters
            warnings.simplefilter("always", ReadingWarning)
            score = _read(path)
        for text in sorted({str(w.message) for w in caught if issubclass(w.category, ReadingWarning)}):
            warnings.warn(f"{shown}: {text}.", ReadingWarning, stacklevel=2)
        if not score.note_count:
            raise UnreadableFile(f"{shown}: holds no notes.")
        if score.end > LONGEST:
            raise UnreadableFile(f"{shown}: lasts for more than 100,000 bars; a note in it must be far too long.")
        is_named = score.title not in ("", path.name)  # music21 gives the file's name for want of a better
        return score if is_named else replace(score, title=path.stem)


def _read(path: Path) -> Score:
    from music21 import converter

    from composer_notation.conversion import score_from_music21

    said = io.StringIO()
    with redirect_stderr(said):  # music21 says there, as it stands in the file, what it does not understand
        stream = converter.parse(path, format=_FORMATS[path.suffix.lower()], forceSource=True)
    if puzzled := said.getvalue().count("WARNING"):
        warnings.warn(f"{puzzled} places in it were not understood", ReadingWarning, stacklevel=2)
    return score_from_music21(stream)


def _check(path: Path, shown: str) -> None:
    """Raise UnreadableFile for what should not be parsed."""
    if path.stat().st_size > MOST_BYTES:
        raise UnreadableFile(f"{shown}: is larger than {MOST_BYTES // 1024**2} MB; split it into pieces.")
    match path.suffix.lower():
        case ".mxl":
            check_archive(path)
        case ".krn":
            check_kern(path)
        case ".xml" | ".musicxml":
            check_xml(path)


def check_kern(path: Path) -> None:
    """Raise UnreadableFile for a file without kern, or with bars so long that music21 would never be done."""
    text, shown = path.read_bytes(), printable(str(path))
    if not _KERN.search(text):
        raise UnreadableFile(f"{shown}: is not Humdrum kern; it has no line that begins with '**kern'.")
    if _ENDLESS.search(text):
        raise UnreadableFile(f"{shown}: has a time signature of a hundred beats or more; correct it first.")
