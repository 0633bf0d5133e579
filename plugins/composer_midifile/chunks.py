"""The chunks of a MIDI file, checked for the reader."""

from __future__ import annotations

from dataclasses import dataclass

from composer_midifile.walking import DEEPEST_HEADER, HEADER, TRACK, Header, find_header, walk_chunks

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
