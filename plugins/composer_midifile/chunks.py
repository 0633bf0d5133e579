"""A MIDI file's header and where its tracks lie, by the sizes it states; it knows no event.

Source: Standard MIDI Files 1.0, RP-001, MIDI Manufacturers Association 1996.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

MOST_CHUNKS = 65_535
"""As many tracks as a header can promise."""

_DEEPEST_HEADER = 256  # where wrappers (RIFF: 20 bytes, MacBinary: 128) put it at the latest


class Damaged(Exception):
    """The bytes are no MIDI file that can be read; the text says why, without the file's name."""


@dataclass(frozen=True)
class Header:
    """What the first chunk says; `end` is where the next one begins."""

    kind: int
    tracks: int
    division: int
    end: int


@dataclass(frozen=True)
class Chunks:
    """Ticks to a quarter note, the (start, end) of every track's events in the file, and what is to be said."""

    division: int
    tracks: tuple[tuple[int, int], ...]
    broken_off: bool  # the last track should be longer than the file
    remarks: tuple[str, ...]


def find_chunks(data: bytes) -> Chunks:
    """The tracks of a MIDI file. Raises Damaged if it is none, or if its music cannot be told from its bytes."""
    remarks: list[str] = []
    header = _header(data, remarks)
    tracks, broken_off = _tracks(data, header.end, remarks)
    _check_count(header, len(tracks), remarks)
    return Chunks(header.division, tuple(tracks), broken_off, tuple(remarks))


def _header(data: bytes, remarks: list[str]) -> Header:
    if not data:
        raise Damaged("is empty.")
    at = data.find(b"MThd", 0, _DEEPEST_HEADER + 4)
    if at < 0:
        raise Damaged("is not a MIDI file: it does not begin with 'MThd'.")
    if at + 14 > len(data):
        raise Damaged("ends within its header; copy or export it again.")
    length, kind, tracks, division = struct.unpack_from(">IHHH", data, at + 4)
    if length < 6:
        raise Damaged(f"has a header of {length} bytes where there are at least 6; export it again.")
    _check_division(division)
    if at:
        remarks.append(f"the first {at} bytes, before the MIDI header, were skipped")
    if length > 6:
        remarks.append(f"the header is {length - 6} bytes longer than known; they were skipped")
    return Header(kind, tracks, division, at + 8 + length)


def _check_division(division: int) -> None:
    if division == 0:
        raise Damaged("states 0 ticks to a quarter note, so that no note has a length; export it again.")
    if division & 0x8000:
        raise Damaged("counts time in film frames (SMPTE), not in beats; export it with ticks per quarter note.")


def _tracks(data: bytes, at: int, remarks: list[str]) -> tuple[list[tuple[int, int]], bool]:
    tracks: list[tuple[int, int]] = []
    alien = 0
    while at + 8 <= len(data):
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "big")
        start, end = at + 8, at + 8 + length
        if name == b"MTrk":
            tracks.append((start, min(end, len(data))))
        elif end > len(data) or not (name.isascii() and name.isalnum()):
            break
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
