"""The exporter of pages: `.html`, one file that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from composer.errors import CannotWrite, printable
from composer.storage.atomic import write_whole_file
from composer.types import Piece
from composer_page import content, document, forms, places

MOST_NOTES, MOST_TRACKS, MOST_PIECES = 200_000, 200, 500
"""Limits of a page, so that a browser shows it without delay."""
ENGRAVED_PIECES, NOTATED_NOTES = 24, 20_000
"""A page with more pieces has no score, and one with more notes no MusicXML either: writing them takes minutes."""


@dataclass(frozen=True)
class PageExporter:
    """Writes one page that opens from disk: piano roll, score, sound, downloads. Several pieces are a gallery.

    The browser makes the sound itself, note by note (`sound.js`). Recordings of each track, for mute, solo, tempo and
    loops, would make the page thousands of times as large. For better instruments, export `.wav`.

    Other plugins write the score and the downloads (`.svg`, `.musicxml` and `.mid`); formats without an exporter are
    left out. The score is shown as an image: in an image no script runs and nothing is loaded, which no sanitiser can
    promise.
    """

    score: Annotated[bool, "whether the engraved score is on the page"] = True

    def __call__(self, pieces: Sequence[Piece], path: Path) -> None:
        """Write the file, whole or not at all. Raises CannotWrite."""
        shown = printable(str(path))
        _check(pieces, shown)
        wanted = (
            _choose_forms(pieces) if self.score else [form for form in _choose_forms(pieces) if form != forms.ENGRAVED]
        )
        try:
            values = [_make_values(piece, number, wanted) for number, piece in enumerate(pieces)]
        except ValueError as error:
            raise CannotWrite(f"{shown}: cannot be shown: {printable(str(error), 200)}.") from None
        with write_whole_file(path) as scratch:
            scratch.write_text(document.build_page(values), encoding="utf-8")


def _choose_forms(pieces: Sequence[Piece]) -> Sequence[str]:
    """Choose the forms that do not take too long to write."""
    if sum(piece.score.note_count for piece in pieces) > NOTATED_NOTES:
        return forms.SOUNDING
    return forms.ALL if len(pieces) <= ENGRAVED_PIECES else forms.PLAIN


def _make_values(piece: Piece, number: int, wanted: Sequence[str]) -> dict[str, Any]:
    values = content.describe_piece(piece, number)
    found = forms.write_forms(piece, wanted)
    values["forms"] = {suffix: content.pack(data) for suffix, data in found.data.items()}
    values["missing"] = found.missing
    if engraving := found.data.get(forms.ENGRAVED):
        values["places"] = places.find_bars(engraving, len(values["bars"]) - 1)
    return values


def _check(pieces: Sequence[Piece], shown: str) -> None:
    if not pieces:
        raise CannotWrite(f"{shown}: no piece to show.")
    if len(pieces) > MOST_PIECES:
        raise CannotWrite(f"{shown}: a page holds {MOST_PIECES} pieces at most, and here are {len(pieces):,}.")
    if (tracks := max(len(piece.score.tracks) for piece in pieces)) > MOST_TRACKS:
        raise CannotWrite(f"{shown}: a page shows {MOST_TRACKS} tracks at most, and the piece has {tracks:,}.")
    if (notes := sum(piece.score.note_count for piece in pieces)) > MOST_NOTES:
        raise CannotWrite(f"{shown}: a page holds {MOST_NOTES:,} notes at most, and here are {notes:,}.")
