"""The reader of notation files: it checks their size, and reads them by suffix."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from composer.errors import LeftOutWarning, ReadingWarning, UnreadableFile, printable
from composer.music.score import Score
from composer_notation.abc import reading as abc
from composer_notation.abc.tunebook import read_text
from composer_notation.bargrid import MOST_TICKS
from composer_notation.kern.score import read_score as read_kern
from composer_notation.kern.spines import Malformed
from composer_notation.musicxml.document import open_document, read_bytes
from composer_notation.musicxml.score import read_score
from composer_notation.musicxml.values import TooLarge
from composer_notation.owntracks import parse_provenance
from composer_notation.unfolding import Unplayable

MOST_BYTES = 20 * 1024 * 1024
_WITHOUT_PROVENANCE = (".krn", ".abc")


@dataclass(frozen=True)
class NotationReader:
    """Reads MusicXML (plain or packed), Humdrum kern and ABC: one piece, of a book the first."""

    tune: Annotated[int, "which tune of an ABC book, from 1"] = 1

    is_bounded: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse a number that no tune has."""
        if self.tune < 1:
            raise ValueError("tunes are counted from 1")

    def read_provenance(self, path: Path) -> Mapping[str, Any]:
        """Read the provenance of a MusicXML file of ours; `{}` for other files. Raises UnreadableFile."""
        if path.suffix.lower() in _WITHOUT_PROVENANCE:
            return {}
        open_document(path)
        return parse_provenance(read_bytes(path))

    def read_pieces(self, path: Path) -> Iterator[tuple[str, Score | Exception]]:
        """Read each tune of an ABC book, or the one piece of another file. Raises and warns as `__call__`."""
        if path.suffix.lower() == ".abc":
            _check_size(path)
            yield from abc.read_pieces(path)
        else:
            yield "", self(path)

    def __call__(self, path: Path) -> Score:
        """Read the score in a file, repeats played. Raises UnreadableFile; warns with ReadingWarning."""
        shown = printable(str(path))
        _check_size(path)
        if path.suffix.lower() == ".abc":
            return abc.read_tune(path, self.tune)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ReadingWarning)
            score = _read_file(path, shown)
        for text in sorted({str(w.message) for w in caught if w.category is ReadingWarning}):
            warnings.warn(f"{shown}: {text}.", ReadingWarning, stacklevel=2)
        for left_out in (w.message for w in caught if isinstance(w.message, LeftOutWarning)):
            warnings.warn(left_out, stacklevel=2)
        if not score.note_count:
            raise UnreadableFile(f"{shown}: contains no notes.")
        if score.end > MOST_TICKS:
            raise UnreadableFile(f"{shown}: lasts for more than 100,000 bars; a note in it must be far too long.")
        return score if score.title else replace(score, title=path.stem)


def _check_size(path: Path) -> None:
    if path.stat().st_size > MOST_BYTES:
        raise UnreadableFile(
            f"{printable(str(path))}: is larger than {MOST_BYTES // 1024**2} MB; split it into pieces."
        )


def _read_file(path: Path, shown: str) -> Score:
    return _read_kern_file(path, shown) if path.suffix.lower() == ".krn" else _read_musicxml(path, shown)


def _read_musicxml(path: Path, shown: str) -> Score:
    left_out: Counter[str] = Counter()
    try:
        score = read_score(open_document(path), left_out)
    except TooLarge as error:
        raise UnreadableFile(f"{shown}: {error}.") from None
    if +left_out:
        warnings.warn(LeftOutWarning(shown, left_out), stacklevel=2)
    return score


def _read_kern_file(path: Path, shown: str) -> Score:
    left_out: Counter[str] = Counter()
    try:
        score = read_kern(read_text(path), left_out)
    except (Malformed, Unplayable) as error:
        raise UnreadableFile(f"{shown}: {error}.") from None
    if +left_out:
        warnings.warn(LeftOutWarning(shown, left_out), stacklevel=2)
    return score
