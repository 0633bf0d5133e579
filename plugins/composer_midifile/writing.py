"""The exporter of Standard MIDI files: pretty_midi makes the frame, and the notes are set in; it reads no file."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from composer.errors import CannotWrite, printable
from composer.files import whole_file
from composer.score import TICKS_PER_QUARTER, Score, Tempo, TimeSignature
from composer.types import Piece
from composer_midifile import conductor, upbeats
from composer_midifile.channels import places
from composer_midifile.events import MOST_CHARACTERS
from composer_midifile.note_events import events_of_parts
from composer_midifile.notes import apart
from composer_midifile.provenance import UPBEAT, pack
from composer_midifile.ranges import check, event_ticks

_END = b"\x01\xff\x2f\x00"  # as pretty_midi ends a track


@dataclass(frozen=True)
class MidiExporter:
    """Writes one piece to a Standard MIDI file of type 1, every tick as it is in the Score.

    The first track holds the title, tempos, signatures, markers, and one text event: `composer:` and the provenance as
    JSON, with the upbeat. An upbeat is shown as a short first bar as well, so that bar lines are right in other
    programs. Chord symbols are left out: the format has none.

    Every other track is named, has its own channel (see `channels`), and its program before its first note. Where notes
    of one pitch overlap in a track, which a channel cannot hold, the earlier one ends where the next begins. All tracks
    end where the piece does.
    """

    def __call__(self, pieces: Sequence[Piece], path: Path) -> None:
        """Write the file, whole or not at all. Raises CannotWrite."""
        shown = printable(str(path))
        if len(pieces) != 1:
            raise CannotWrite(f"{shown}: a MIDI file holds one piece, and here are {len(pieces)}; give each its own.")
        try:
            data = _bytes(pieces[0])
        except (TypeError, ValueError, RecursionError) as error:
            raise CannotWrite(f"{shown}: cannot be written as MIDI: {printable(str(error), 200)}.") from None
        with whole_file(path) as scratch:
            scratch.write_bytes(data)


def _bytes(piece: Piece) -> bytes:
    score = piece.score
    check(score)
    counted = tuple(replace(s, tick=0 if i == 0 else s.tick) for i, s in enumerate(score.time_signatures))
    signatures = upbeats.shown(counted, score.upbeat)
    own_text = _own_text(piece.provenance, score.upbeat, signatures)
    buffer = io.BytesIO()
    _frame(score, signatures, own_text).write(buffer)
    header, first, *others = _chunks(buffer.getvalue())
    end = max(score.length, *event_ticks(score), 0)
    first = conductor.settled(
        first,
        name=_encodable(piece.title)[:MOST_CHARACTERS],
        end=end,
        own_text=bool(own_text),
        signatures=bool(signatures),
    )
    tracks = [first, *_filled(others, score, end)]
    return b"".join([b"MThd", _size(header), header, *(b"MTrk" + _size(track) + track for track in tracks)])


def _chunks(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "big")
        yield data[at + 8 : end]
        at = end


def _size(chunk: bytes) -> bytes:
    return len(chunk).to_bytes(4, "big")


def _filled(frames: Sequence[bytes], score: Score, end: int) -> Iterator[bytes]:
    """The tracks of a frame, each of which ends with its program, with their channels and notes."""
    found = places(score.tracks)
    notes = apart([track.notes for track in score.tracks])
    has_ports = any(place.port for place in found)
    events_of = events_of_parts(notes, [place.channel for place in found])
    for frame, place, its, events in zip(frames, found, notes, events_of, strict=True):
        if not frame.endswith(_END) or frame[-6] >> 4 != 0xC:
            raise ValueError("pretty_midi wrote a track that does not end with its program")
        port = bytes([0, 0xFF, 0x21, 1, place.port]) if has_ports else b""
        program = bytes([0, 0xC0 | place.channel, frame[-5]])
        last = int((its["start"] + its["duration"]).max()) if len(its) else 0
        yield frame[:-7] + port + program + events + conductor.end_of_track(end - last)


def _own_text(provenance: Mapping[str, Any], upbeat: int, signatures: tuple[TimeSignature, ...]) -> str:
    """What made the piece, and the upbeat where a reader would take it for another."""
    values = {key: value for key, value in provenance.items() if key != UPBEAT}
    if upbeat or (not values and upbeats.guessed(signatures)[1]):
        values[UPBEAT] = int(upbeat)
    return pack(values) if values else ""


def _frame(score: Score, signatures: tuple[TimeSignature, ...], own_text: str) -> Any:
    """Everything but the notes."""
    import pretty_midi

    midi = pretty_midi.PrettyMIDI(resolution=TICKS_PER_QUARTER, charset="utf-8")
    midi.time_to_tick = int  # its times are seconds, which round: it is given ticks, and left to take them as they are
    midi._tick_scales = [(int(tempo.tick), _seconds_a_tick(tempo)) for tempo in score.tempos]
    midi.time_signature_changes = [
        pretty_midi.TimeSignature(s.numerator, s.denominator, int(s.tick)) for s in signatures
    ]
    midi.key_signature_changes = [
        pretty_midi.KeySignature(s.key.tonic + 12 * s.key.minor, int(s.tick)) for s in score.key_signatures
    ]
    texts = [(own_text, 0)] if own_text else []
    texts += [(_encodable(marker.text), int(marker.tick)) for marker in score.markers]
    midi.text_events = [pretty_midi.Text(text, tick) for text, tick in texts]
    midi.instruments = [
        pretty_midi.Instrument(int(track.program), is_drum=track.is_drum, name=_encodable(track.name))
        for track in score.tracks
    ]
    return midi


def _seconds_a_tick(tempo: Tempo) -> float:
    micros = round(60_000_000 / tempo.bpm)
    return (micros + 0.5) / (1_000_000 * TICKS_PER_QUARTER)  # pretty_midi cuts the fraction off again


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
