"""The reader of Standard MIDI files; how a damaged file is mended it leaves to others."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from composer.errors import ReadingWarning, RoundingWarning, UnreadableFile, printable
from composer.score import TICKS_PER_QUARTER, Score, TimeSignature
from composer.types import Finding
from composer_midifile import upbeats
from composer_midifile.chunks import Damaged
from composer_midifile.conversion import Conversion
from composer_midifile.inspection import Inspected, inspect
from composer_midifile.provenance import UPBEAT, bytes_of, provenance, unpack


@dataclass(frozen=True)
class MidiReader:
    """Reads Standard MIDI files of type 0 and 1.

    Ticks become the nearest ones of a Score. Notes of one pitch in a track do not overlap afterwards: of those that
    begin together the longest stays, and an earlier one ends where the next begins. Where notes of one pitch and
    channel overlap in the file, the first to begin is the first to end. A first bar that is cut short by a second time
    signature is an upbeat. The title is the name of a first track without notes, or else the file's.
    """

    is_bounded: ClassVar[bool] = True

    drums_by_name: Annotated[bool, "take a track whose name speaks of drums for one, on any channel"] = False

    def __call__(self, path: Path) -> Score:
        """The score in the file. Raises UnreadableFile; warns with ReadingWarning of what was dropped or mended.

        Notes between the ticks of a Score are a RoundingWarning.
        """
        try:
            score, to = _read(bytes_of(path), path.stem, self.drums_by_name)
        except Damaged as error:
            raise UnreadableFile(f"{printable(str(path))}: {error}") from None
        shown = printable(str(path))
        for text, times in (+to.remarks).items():
            often = f" ({times:,} times)" if times > 1 else ""
            warnings.warn(f"{shown}: {text}{often}.", ReadingWarning, stacklevel=2)
        if to.moved:
            text = f"{to.moved:,} of {score.note_count:,} notes are moved by less than a tick"
            text = f"{shown}: {text}, from {to.division} ticks to a quarter note to {TICKS_PER_QUARTER}."
            warnings.warn(text, RoundingWarning, stacklevel=2)
        return score

    def provenance(self, path: Path) -> dict[str, Any]:
        """What made the piece, as the file says; `{}` if it does not. Raises UnreadableFile."""
        return provenance(path)

    def inspect(self, path: Path) -> Sequence[Finding]:
        """What a sequencer's user would object to in a file. Raises UnreadableFile if it cannot be opened."""
        from composer_midifile.linting import lint

        try:
            return lint(bytes_of(path))
        except Damaged as error:
            return [Finding("error", "too-large", f"The file {error}")]


def _read(data: bytes, stem: str, drums_by_name: bool) -> tuple[Score, Conversion]:
    found = inspect(data)
    parsed = _parsed(found)
    to = Conversion(found.division, found.remarks)
    others = sum(len(track.controls) + len(track.pitch_bends) for track in parsed.tracks)
    to.remark("a note that never ends was left out", found.unfinished(parsed.note_num(), others))
    tracks = to.tracks(parsed.tracks, drums_by_name)
    if not tracks:
        to.remark("there are no notes in it")
    signatures, upbeat = _metre(
        to.time_signatures(parsed.time_signatures), unpack(found.own_text) if found.own_text else {}, to
    )
    score = Score(
        tracks,
        tempos=to.tempos(parsed.tempos) if parsed.tempos else (),
        time_signatures=signatures,
        key_signatures=to.key_signatures(parsed.key_signatures),
        upbeat=upbeat,
        markers=to.markers(parsed.markers) if parsed.markers else (),
        title=found.title or stem,
    )
    return score, to


def _parsed(found: Inspected) -> Any:
    import symusic

    try:
        return symusic.Score.from_midi(found.clean)
    except (RuntimeError, ValueError) as error:
        raise Damaged(f"cannot be read ({printable(' '.join(str(error).split()))}).") from None


def _metre(
    signatures: tuple[TimeSignature, ...], own: dict[str, Any], to: Conversion
) -> tuple[tuple[TimeSignature, ...], int]:
    """The signatures and the upbeat: the one that the file states if it is ours, and else the one it shows."""
    if not own:
        return upbeats.guessed(signatures)
    upbeat = own.get(UPBEAT, 0)
    folded = upbeats.folded(signatures, upbeat) if type(upbeat) is int else signatures
    first = folded[0] if folded else TimeSignature(0, 4, 4)
    if type(upbeat) is int and 0 <= upbeat < first.bar_ticks:
        return folded, upbeat
    to.remark("the upbeat that it states does not fit its first bar, and was left out")
    return signatures, 0
