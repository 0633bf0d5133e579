"""The exporters of MusicXML, plain and packed, and of ABC."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

import numpy as np

from composer import __version__
from composer.errors import CannotWrite, LeftOutWarning, ReadingWarning, printable
from composer.music.score import END, Score, Track
from composer.storage.atomic import write_whole_file
from composer.types import Piece

if TYPE_CHECKING:
    from composer_notation.writing.folding import Folded
    from composer_notation.writing.musicxml import Heading
    from composer_notation.writing.pages import Pages

_Text = TypeVar("_Text", bytes, str)
_CONTAINER = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<container><rootfiles><rootfile full-path="score.musicxml" '
    'media-type="application/vnd.recordare.musicxml+xml"/></rootfiles></container>\n'
)
_LONGEST_TITLE = 200
_DYNAMICS = "dynamics"  # the transform that shapes velocities


@dataclass(frozen=True)
class MusicXmlExporter:
    """Writes one piece as a score in MusicXML 4.0, packed where the file is called `.mxl`.

    A four-part chorale has two staves, a keyboard two where it needs them, and any other track one. Notes off the grid
    of notation (64ths, triplets, quintuplets) are moved to it, with a warning.
    """

    title: Annotated[str, "what stands over the music; else the piece's own title, or its model and seed"] = ""
    composer: Annotated[str, "who stands beside it"] = ""
    repeats: Annotated[bool, "repeat signs where a section comes twice"] = True
    fermatas: Annotated[bool, "fermatas where the phrases of four new voices end"] = True

    reading: ClassVar[Mapping[str, Any]] = {"pedal": "ignore"}

    def __call__(self, pieces: Sequence[Piece], path: Path) -> None:
        """Write the file, whole or not at all. Raises CannotWrite; warns with ReadingWarning of notes moved."""
        how: dict[str, Any] = {"repeats": self.repeats, "fermatas": self.fermatas}
        data = build_musicxml(pieces, path, title=self.title, composer=self.composer, **how)
        if path.suffix.lower() == ".mxl":
            data = _pack(data)
        with write_whole_file(path) as scratch:
            scratch.write_bytes(data)


@dataclass(frozen=True)
class AbcExporter:
    """Writes one piece as a tune in ABC 2.1: a melody, or several voices (`V:`).

    Drums and dynamics are left out, with a warning. Notes off the grid of notation are moved to it, as in MusicXML.
    Tempos are whole numbers, and marks inside a tuplet are moved to the next note.
    """

    title: Annotated[str, "the T: line; else the piece's own title, or its model and seed"] = ""
    composer: Annotated[str, "the C: line"] = ""
    repeats: Annotated[bool, "repeat signs where a section comes twice"] = True
    fermatas: Annotated[bool, "fermatas where the phrases of four new voices end"] = True

    holds: ClassVar[tuple[str, ...]] = ("start", "duration", "pitch", "metre", "upbeat", "tempo")
    reading: ClassVar[Mapping[str, Any]] = {"pedal": "ignore"}

    def __call__(self, pieces: Sequence[Piece], path: Path) -> None:
        """Write the file, whole or not at all. Raises CannotWrite; warns with ReadingWarning of what changed."""
        from composer_notation.writing.abc import write_tune

        head: dict[str, Any] = {"title": self.title, "composer": self.composer, "repeats": self.repeats}
        head["fermatas"] = self.fermatas
        text = _write_piece(pieces, path, write_tune, **head, has_drums=False)
        with write_whole_file(path) as scratch:
            scratch.write_text(text, encoding="utf-8")
        changes = sum(map(_count_velocity_changes, pieces[0].score.tracks))
        if changes and not _is_shaped(pieces[0].provenance):
            warnings.warn(LeftOutWarning(printable(str(path)), {"changes of loudness": changes}), stacklevel=2)


def build_musicxml(
    pieces: Sequence[Piece],
    path: Path,
    *,
    title: str = "",
    composer: str = "",
    repeats: bool = True,
    fermatas: bool = True,
) -> bytes:
    """Build the MusicXML of the one piece, for a file called `path`. Raises CannotWrite, warns as the exporter."""
    from composer_notation.writing.musicxml import build_document

    how: dict[str, Any] = {"title": title, "composer": composer, "repeats": repeats, "fermatas": fermatas}
    return _write_piece(pieces, path, build_document, **how)


def _write_piece(
    pieces: Sequence[Piece],
    path: Path,
    write: Callable[[Pages, Heading], _Text],
    *,
    title: str,
    composer: str,
    repeats: bool,
    fermatas: bool,
    has_drums: bool = True,
) -> _Text:
    from composer_notation.writing.folding import Folded
    from composer_notation.writing.musicxml import Heading
    from composer_notation.writing.pages import Unwritable, lay_out
    from composer_notation.writing.xmltext import clean

    shown = printable(str(path))
    if len(pieces) != 1:
        raise CannotWrite(f"{shown}: a score holds one piece, and here are {len(pieces)}; give each its own.")
    piece = pieces[0]
    drums = [track for track in piece.score.tracks if track.is_drum and len(track.notes)]
    pitched = tuple(track for track in piece.score.tracks if not track.is_drum)
    if drums and not has_drums and not any(len(track.notes) for track in pitched):
        raise CannotWrite(f"{shown}: has only drums, which ABC cannot hold; write it as .musicxml or .mid.")
    try:
        score = piece.score if has_drums else replace(piece.score, tracks=pitched)
        folded = _fold(score, piece.provenance) if repeats else Folded(score, {})
        score = folded.score
        pages = lay_out(score, folded.signs, _find_fermatas(folded, piece.provenance) if fermatas else frozenset())
        heading = Heading(
            clean(title or piece.title or describe_origin(piece.provenance))[:_LONGEST_TITLE],
            clean(composer)[:_LONGEST_TITLE],
            f"composer {__version__}",
            piece.provenance,
        )
        data = write(pages, heading)
    except Unwritable as error:
        raise CannotWrite(f"{shown}: {error}.") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise CannotWrite(f"{shown}: cannot be written as notation: {printable(str(error), 200)}.") from None
    if pages.moved:
        text = f"{shown}: notes off the grid of notation were moved, by {pages.moved} ticks (480 to a quarter) at most."
        warnings.warn(text, ReadingWarning, stacklevel=4)
    if any((left_out := _count_omissions(score, pages)).values()):
        warnings.warn(LeftOutWarning(shown, left_out), stacklevel=4)
    if drums and not has_drums:
        warnings.warn(f"{shown}: drums were left out; write them as .musicxml or .mid.", ReadingWarning, stacklevel=4)
    return data


def _count_omissions(score: Score, pages: Pages) -> dict[str, int]:
    signs = [*score.tempos, *score.chords, *(mark for mark in score.markers if mark.text != END)]
    return {
        "notes that fall together with another one": score.note_count - sum(len(track.notes) for track in pages.tracks),
        "signs after the last bar": len(signs) - len(pages.tempos) - len(pages.chords) - len(pages.markers),
    }


def _count_velocity_changes(track: Track) -> int:
    return 0 if track.is_drum else int(np.count_nonzero(np.diff(track.notes["velocity"])))


def _fold(score: Score, provenance: Mapping[str, Any]) -> Folded:
    """Fold a score; one of too many bars, which cannot be written, stays as it is."""
    from composer_notation.writing.folding import Folded, fold

    try:
        return fold(score, hears_velocity=not _is_shaped(provenance))
    except ValueError:
        return Folded(score, {})


def _find_fermatas(folded: Folded, provenance: Mapping[str, Any]) -> frozenset[int]:
    """Find the fermatas of a score; none in one of too many bars, which cannot be written."""
    from composer_notation.writing.fermatas import find_fermatas

    try:
        return find_fermatas(folded.score, folded.signs, provenance)
    except ValueError:
        return frozenset()


def _is_shaped(provenance: Mapping[str, Any]) -> bool:
    """Tell whether a piece has its dynamics from a transform, which makes them again: then nothing is lost."""
    request = provenance.get("request")
    specs = request.get("transforms", ()) if isinstance(request, Mapping) else ()
    return any(isinstance(spec, Mapping) and spec.get("name") == _DYNAMICS for spec in specs)


def describe_origin(provenance: Mapping[str, Any]) -> str:
    """Describe the model and the seed of a piece, for want of a title: `chorales, seed 7`."""
    model, request = provenance.get("model"), provenance.get("request")
    if not isinstance(model, str) or not isinstance(request, Mapping):
        return ""
    words = [Path(model).stem]
    words += [f"{word} {request[name]}" for name, word in (("seed", "seed"), ("index", "piece")) if request.get(name)]
    return ", ".join(words)


def _pack(data: bytes) -> bytes:
    """Pack a score; its bytes are the same whenever it is made."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (("META-INF/container.xml", _CONTAINER.encode()), ("score.musicxml", data)):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
