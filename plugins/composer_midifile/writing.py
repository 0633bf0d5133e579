"""The exporter of Standard MIDI files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from composer.errors import CannotWrite, printable
from composer.music.score import TICKS_PER_QUARTER, Score, TimeSignature
from composer.storage.atomic import write_whole_file
from composer.types import Piece
from composer_midifile import conductor
from composer_midifile.conductor import encode_conductor, encode_end, encode_name
from composer_midifile.events import MOST_CHARACTERS
from composer_midifile.omissions import check_limits, list_ticks
from composer_midifile.pairing import encode_parts, separate_notes
from composer_midifile.programs import assign_channels
from composer_midifile.reading import PICKUP, pack
from composer_midifile.walking import META, PORT, PROGRAM

_TYPE = 1  # parallel tracks


@dataclass(frozen=True)
class MidiExporter:
    """Writes one piece to a Standard MIDI file of type 1, every tick as it is in the Score.

    The first track holds the title, tempos, signatures, markers, and one text event: `composer:` and the provenance as
    JSON, with the pickup. A pickup is also written as a short first bar, so that bar lines are right in other programs.
    Chord symbols are left out: the format has none.

    Every other track is named, has its own channel (see `channels`), and its program before its first note. A channel
    cannot hold overlapping notes of one pitch: the earlier one ends where the next begins. All tracks end with the
    piece.
    """

    def __call__(self, pieces: Sequence[Piece], path: Path) -> None:
        """Write the file, whole or not at all. Raises CannotWrite."""
        shown = printable(str(path))
        if len(pieces) != 1:
            raise CannotWrite(f"{shown}: a MIDI file holds one piece, and here are {len(pieces)}; give each its own.")
        try:
            data = _encode(pieces[0])
        except (TypeError, ValueError, RecursionError) as error:
            raise CannotWrite(f"{shown}: cannot be written as MIDI: {printable(str(error), 200)}.") from None
        with write_whole_file(path) as scratch:
            scratch.write_bytes(data)


def _encode(piece: Piece) -> bytes:
    score = piece.score
    check_limits(score)
    counted = tuple(replace(s, tick=0 if i == 0 else s.tick) for i, s in enumerate(score.time_signatures))
    signatures = conductor.show_pickup(counted, score.upbeat)
    own_text = _encode_own_text(piece.provenance, score.upbeat, signatures)
    end = max(score.length, *list_ticks(score), 0)
    title = piece.title[:MOST_CHARACTERS]
    tracks = [encode_conductor(score, title, signatures, own_text, end), *_encode_tracks(score, end)]
    header = b"".join(number.to_bytes(2, "big") for number in (_TYPE, len(tracks), TICKS_PER_QUARTER))
    return b"".join([_encode_chunk(b"MThd", header), *(_encode_chunk(b"MTrk", track) for track in tracks)])


def _encode_chunk(kind: bytes, content: bytes) -> bytes:
    return kind + len(content).to_bytes(4, "big") + content


def _encode_tracks(score: Score, end: int) -> Iterator[bytes]:
    """Encode the tracks of the score: name, port if there are several, program, notes, and the end of the piece."""
    found = assign_channels(score.tracks)
    notes = separate_notes([track.notes for track in score.tracks])
    has_ports = any(place.port for place in found)
    events_of = encode_parts(notes, [place.channel for place in found])
    for track, place, its, events in zip(score.tracks, found, notes, events_of, strict=True):
        port = bytes([0, META, PORT, 1, place.port]) if has_ports else b""
        program = bytes([0, PROGRAM | place.channel, int(track.program)])
        last = int((its["start"] + its["duration"]).max()) if len(its) else 0
        yield encode_name(track.name) + port + program + events + encode_end(end - last)


def _encode_own_text(provenance: Mapping[str, Any], upbeat: int, signatures: tuple[TimeSignature, ...]) -> str:
    """Encode the provenance, and the pickup if a reader would guess another, or move a bar line."""
    values = {key: value for key, value in provenance.items() if key != PICKUP}
    if upbeat or (not values and not conductor.is_plain(signatures)):
        values[PICKUP] = int(upbeat)
    return pack(values) if values else ""
