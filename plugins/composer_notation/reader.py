"""Reads notation files through music21, after a look at their size and safety; it knows suffixes, and no notes."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

from composer.errors import ReadingWarning, UnreadableFile, printable
from composer.score import Score
from composer_notation.xmlcheck import check_archive, check_xml

MOST_BYTES = 20 * 1024 * 1024
_FORMATS = {".musicxml": "musicxml", ".xml": "musicxml", ".mxl": "musicxml", ".krn": "humdrum", ".abc": "abc"}


@dataclass(frozen=True)
class NotationReader:
    """Reads MusicXML (plain or packed), Humdrum kern and ABC: one piece a file."""

    def __call__(self, path: Path) -> Score:
        """The score in a file, its repeats played. Raises UnreadableFile, and what music21 raises; warns with ReadingWarning."""
        shown = printable(str(path))
        _check(path, shown)
        with warnings.catch_warnings(record=True) as caught:  # music21 warns of its own matters
            warnings.simplefilter("always", ReadingWarning)
            score = _read(path)
        for text in sorted({str(w.message) for w in caught if issubclass(w.category, ReadingWarning)}):
            warnings.warn(f"{shown}: {text}.", ReadingWarning, stacklevel=2)
        if not score.note_count:
            raise UnreadableFile(f"{shown}: holds no notes.")
        return score if score.title else replace(score, title=path.stem)


def _read(path: Path) -> Score:
    from music21 import converter

    from composer_notation.conversion import score_from_music21

    stream = converter.parse(path, format=_FORMATS[path.suffix.lower()], forceSource=True)
    return score_from_music21(stream)


def _check(path: Path, shown: str) -> None:
    """Raise UnreadableFile for what music21 should not be given."""
    if path.stat().st_size > MOST_BYTES:
        raise UnreadableFile(f"{shown}: is larger than {MOST_BYTES // 1024**2} MB; split it into pieces.")
    match path.suffix.lower():
        case ".mxl":
            check_archive(path)
        case ".abc":
            _check_abc(path.read_bytes(), shown)
        case ".krn":
            _check_kern(path.read_bytes(), shown)
        case _:
            check_xml(path)


def _check_abc(text: bytes, shown: str) -> None:
    tunes = len(re.findall(rb"^X:", text, re.MULTILINE))
    if tunes > 1:
        raise UnreadableFile(f"{shown}: holds {tunes} tunes; split it into files of one tune each.")
    if not re.search(rb"^K:", text, re.MULTILINE):
        raise UnreadableFile(f"{shown}: is not ABC; a tune has a line that begins with 'K:'.")


def _check_kern(text: bytes, shown: str) -> None:
    if not re.search(rb"^\*\*kern", text, re.MULTILINE) and not re.search(rb"^\*\*.*\t\*\*kern", text, re.MULTILINE):
        raise UnreadableFile(f"{shown}: is not Humdrum kern; it has no line that begins with '**kern'.")
