"""The tracks of a file, and the events that the reader keeps of each.

Kept are channel messages, names, markers, tempos and signatures. All sizes are checked. Anything else is dropped, with
a remark if it matters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from composer_midifile import walking
from composer_midifile.walking import (
    DEEPEST_HEADER,
    HEADER,
    KEY_SIGNATURE,
    MARKER,
    TEMPO,
    TEXT,
    TIME_SIGNATURE,
    TRACK,
    Fault,
    Header,
    TrackData,
    TrackWalk,
    find_header,
    walk_chunks,
)

# --- chunks -----------------------------------------------------------------------------------------------------------


MOST_CHUNKS = 65_535
"""The most tracks that a header can promise."""


class Damaged(Exception):
    """The bytes are not a readable MIDI file; the text is the reason, without the file's name."""


@dataclass(frozen=True)
class Chunks:
    """Ticks to a quarter note, the (start, end) of every track's events in the file, and remarks."""

    division: int
    tracks: tuple[tuple[int, int], ...]
    broken_off: bool  # whether the last track is longer than the file
    remarks: tuple[str, ...]


def find_chunks(data: bytes) -> Chunks:
    """Find the tracks of a MIDI file. Raises Damaged for anything else, and for music without a clear meaning."""
    remarks: list[str] = []
    header = _check_header(data, remarks)
    tracks, broken_off = _find_tracks(data, header.end, remarks)
    _check_count(header, len(tracks), remarks)
    return Chunks(header.division, tuple(tracks), broken_off, tuple(remarks))


def _check_header(data: bytes, remarks: list[str]) -> Header:
    if not data:
        raise Damaged("is empty.")
    header = find_header(data)
    if header is None and HEADER in data[: DEEPEST_HEADER + len(HEADER)]:
        raise Damaged("ends within its header; copy or export it again.")
    if header is None:
        raise Damaged("is not a MIDI file: it does not begin with 'MThd'.")
    if header.length < 6:
        raise Damaged(f"has a header of {header.length} bytes where there are at least 6; export it again.")
    _check_division(header.division)
    if header.begin:
        remarks.append(f"the first {header.begin} bytes, before the MIDI header, were skipped")
    if header.length > 6:
        remarks.append(f"the header is {header.length - 6} bytes longer than known; they were skipped")
    return header


def _check_division(division: int) -> None:
    if division == 0:
        raise Damaged("states 0 ticks to a quarter note, so that no note has a length; export it again.")
    if division & 0x8000:
        raise Damaged("counts time in film frames (SMPTE), not in beats; export it with ticks per quarter note.")


def _find_tracks(data: bytes, at: int, remarks: list[str]) -> tuple[list[tuple[int, int]], bool]:
    tracks: list[tuple[int, int]] = []
    alien = 0
    for name, start, end in walk_chunks(data, at):
        if name == TRACK:
            tracks.append((start, min(end, len(data))))
        else:
            alien += 1
        if len(tracks) + alien > MOST_CHUNKS:
            raise Damaged(f"holds more than {MOST_CHUNKS:,} tracks.")
        at = end
    if alien:
        remarks += ["a chunk that is no track was skipped"] * alien
    if at < len(data):
        remarks.append(f"what comes after the last track was skipped, {len(data) - at} byte(s)")
    if at > len(data):
        remarks.append("the last track should be longer than the file; it was read as far as it goes")
    return tracks, at > len(data)


def _check_count(header: Header, found: int, remarks: list[str]) -> None:
    if header.kind > 2:
        raise Damaged(f"is a MIDI file of type {header.kind}; there are the types 0, 1 and 2.")
    if header.kind == 2 and found > 1:
        raise Damaged(f"holds {found} independent sequences (type 2); split it into {found} files.")
    if found == 0 and header.tracks:
        raise Damaged("ends before its first track; copy or export it again.")
    if found != header.tracks:
        remarks.append(f"the header promises {header.tracks} track(s), and there are {found}; all were read")
    elif header.kind == 0 and found > 1:
        remarks.append(f"type 0 stands for one track, and there are {found}; all were read")


# --- events -----------------------------------------------------------------------------------------------------------


MOST_CHARACTERS = 100
"""Longer names and markers are cut."""

OWN_TEXT = b"composer:"
"""The beginning of the text event with the provenance of a piece."""

_NAMES = {TEMPO: "tempo", TIME_SIGNATURE: "time signature", KEY_SIGNATURE: "key signature"}
_LEFT_OUT = {walking.LYRIC: "lyrics", walking.SMPTE_OFFSET: "SMPTE offsets"}


class Event(NamedTuple):
    """A tempo, signature, text, marker or program; the kind of a program includes its channel.

    It follows `stretches` stretches of its track. The other events before it, and its own delta time, last `others`
    ticks.
    """

    stretches: int
    others: int
    kind: int
    content: bytes


@dataclass
class TrackEvents(TrackData):
    """The contents of a track."""

    events: list[Event] = field(default_factory=list)
    name: str = ""
    port: int = 0
    own_text: bytes = b""  # the rest of the first text event that begins with `OWN_TEXT`
    remarks: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def read_events(data: bytes, start: int, end: int, most_others: int, *, broken_off: bool = False) -> TrackEvents:
    """Read the events of `data[start:end]`; a track that is `broken_off` may stop anywhere.

    Raises Damaged, with the byte in `data`, if the next event cannot be decoded, and for more than `most_others` events
    other than notes, controllers and bends.
    """
    walk = _ReaderWalk(data, start, end, most_others, broken_off)
    while walk.at < walk.end:
        walk.step()
    if not (walk.ended or walk.broken_off):
        walk.found.remarks.append("a track without an end mark was read to its last byte")
    return walk.found


class _ReaderWalk(TrackWalk):
    """The walk of the reader."""

    found: TrackEvents

    def __init__(self, data: bytes, start: int, end: int, most_others: int, broken_off: bool) -> None:
        super().__init__(data, start, end, most_others)
        self.broken_off = broken_off
        self.found = TrackEvents()

    def refuse(self, fault: Fault, at: int, size: int = 0) -> None:
        """Raise Damaged, or end the walk where a track breaks off."""
        match fault:
            case Fault.LONG_TIME:
                raise Damaged(f"has at byte {at} a time of more than 4 bytes; export it again.")
            case Fault.NO_STATUS:
                raise Damaged(f"has at byte {at} an event without a kind, and none before it; export it again.")
            case Fault.DATA_BYTE:
                at = next(place for place in range(at, self.end) if self.data[place] > 127)
                value = self.data[at]
                raise Damaged(f"has at byte {at} the value {value}, where there is at most 127; export it again.")
            case Fault.CROWDED:
                raise Damaged("is full of events that are no music; export it again with notes and tempos alone.")
        if not self.broken_off:
            raise Damaged(f"has a track that ends in the middle of an event, at byte {self.end}; export it again.")
        self.at = self.end

    def take_crossing(self) -> None:
        """Keep a remark."""
        self.found.remarks.append("an event without a kind was taken for one like those before")

    def take_short(self, status: int, value: int) -> None:
        """Keep a program; count aftertouch as left out."""
        if status < 0xD0:
            self._add(status, bytes([value]))
        elif value:
            self.found.left_out["aftertouch"] += 1

    def take_system(self, status: int, at: int) -> None:
        """Skip it, with a remark."""
        self.found.remarks.append("a message that belongs on a cable, not in a file, was skipped")

    def take_sysex(self, status: int, content: bytes) -> None:
        """Count it as left out."""
        self.found.left_out["system exclusive messages"] += 1

    def take_plain(self, metas: Sequence[tuple[int, bytes]]) -> None:
        """Keep them."""
        for kind, content in metas:
            self._add(kind, content)

    def take_meta(self, kind: int, content: bytes) -> None:
        """Keep what a Score has, and count lyrics and the like as left out."""
        found = self.found
        if kind == walking.END_OF_TRACK:
            self._end()
        elif kind == MARKER or (kind == walking.NAME and not found.name):
            self._keep_words(kind, content)
        elif kind in _NAMES:
            self._keep_known(kind, content)
        elif kind == walking.PORT and len(content) == 1:
            found.port = content[0]
        elif kind == TEXT and content.startswith(OWN_TEXT):
            found.own_text = found.own_text or content.removeprefix(OWN_TEXT)
        elif kind in (TEXT, walking.CUE):
            self._add(TEXT, b"")
        elif kind in _LEFT_OUT and any(content):
            found.left_out[_LEFT_OUT[kind]] += 1

    def _add(self, kind: int, content: bytes) -> None:
        self.found.events.append(Event(len(self.found.stretches), self.found.ticks, kind, content))

    def _keep_known(self, kind: int, content: bytes) -> None:
        size = walking.META_SIZES[kind]
        if len(content) == size:
            self._add(kind, content)
        else:
            text = f"a {_NAMES[kind]} of {len(content)} bytes, where there are {size}, was skipped"
            self.found.remarks.append(text)

    def _end(self) -> None:
        if self.at < self.end:
            self.found.remarks.append("what comes after the end mark of a track was skipped")
        self.at, self.ended = self.end, True

    def _keep_words(self, kind: int, content: bytes) -> None:
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            text = content.decode("latin-1")
        if len(text) > MOST_CHARACTERS:
            self.found.remarks.append(f"a name or marker of more than {MOST_CHARACTERS} characters was cut")
            text = text[:MOST_CHARACTERS]
        if kind == walking.NAME:
            self.found.name = text
        elif text:
            self._add(MARKER, text.encode())
