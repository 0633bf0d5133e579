"""A MIDI file's bytes as tracks of events, with what is wrong with its chunks; it knows no event and no music.

It is a parser of its own: it shares no code with the exporter, which it is to find fault with, nor with the reader, and
it goes on where those refuse. Source: Standard MIDI Files 1.0, RP-001, MIDI Manufacturers Association 1996.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from composer_midifile.linting.rules import Log
from composer_midifile.linting.walking import Broken, Event, Walk

MOST_EVENTS = 1_000_000
"""What comes after so many is not looked at."""

_DEEPEST_HEADER = 256  # where wrappers (RIFF: 20 bytes, MacBinary: 128) put it at the latest


@dataclass(frozen=True)
class Track:
    """The events of a track, counted from 1, where it ends, and whether these are all that it holds."""

    number: int
    events: list[Event]
    end: int
    is_whole: bool = True


@dataclass(frozen=True)
class File:
    """What a header says, and the tracks; `division` is in ticks to a quarter note, or 0 where it is in seconds."""

    kind: int
    division: int
    tracks: list[Track]


def scan(data: bytes, log: Log) -> File | None:
    """The events of a file as far as they can be told; None if it has no header."""
    at = data.find(b"MThd", 0, _DEEPEST_HEADER + 4)
    if at < 0 or at + 14 > len(data):
        what = "is empty" if not data else "is not a MIDI file: it has no whole header chunk 'MThd'"
        log.add("no-header", f"The file {what}.")
        return None
    length, kind, promised, division = struct.unpack_from(">IHHH", data, at + 4)
    if at:
        log.add("junk-before-header", f"There are {at} bytes before the header, and most programs refuse such a file.")
    if length < 6:
        log.add("header-length", f"The header has {length} bytes where there are 6.")
    elif length > 6:
        log.add("long-header", f"The header has {length} bytes where 6 are known.")
    chunks = list(_chunks(data, at + 8 + max(length, 6), log))
    _check_header(kind, promised, len(chunks), log)
    tracks: list[Track] = []
    left = MOST_EVENTS
    for number, (start, end) in enumerate(chunks, 1):
        tracks.append(_track(data, start, end, number, left, log))
        left -= len(tracks[-1].events)
    return File(kind, _ticks_to_a_quarter(division, log), tracks)


def _chunks(data: bytes, at: int, log: Log) -> Iterator[tuple[int, int]]:
    """Where the events of each track lie."""
    while at + 8 <= len(data):
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "big")
        start, at = at + 8, at + 8 + length
        if name == b"MTrk":
            if at > len(data):
                log.add(
                    "chunk-length", f"A track states {length:,} bytes, and the file ends {at - len(data):,} earlier."
                )
            yield start, min(at, len(data))
        elif at <= len(data) and name.isascii() and name.isalnum():
            log.add("alien-chunk", f"There is a chunk '{name.decode()}' that is no track.")
        else:
            at = start - 8
            break
    if at < len(data):
        log.add("trailing-bytes", f"There are {len(data) - at:,} bytes after the last track.")


def _check_header(kind: int, promised: int, found: int, log: Log) -> None:
    if kind > 2:
        log.add("file-type", f"The file is of type {kind}; there are the types 0, 1 and 2.")
    elif kind == 2:
        log.add("independent-sequences", "The file holds independent sequences (type 2), which most programs refuse.")
    elif kind == 0 and found > 1:
        log.add("file-type", f"Type 0 stands for one track, and there are {found:,}.")
    if promised != found:
        log.add("track-count", f"The header promises {promised:,} track(s), and there are {found:,}.")


def _ticks_to_a_quarter(division: int, log: Log) -> int:
    if division & 0x8000:
        frames = 256 - (division >> 8)
        if frames in (24, 25, 29, 30):
            log.add("film-frames", f"Time is counted in film frames ({frames} a second), so that there are no bars.")
        else:
            log.add("division", f"Time is counted in {frames} film frames a second; there are 24, 25, 29 and 30.")
        return 0
    if division == 0:
        log.add("division", "There are 0 ticks to a quarter note, so that no note has a length.")
    elif division < 24:
        log.add("coarse-division", f"There are {division} ticks to a quarter note, too few for most rhythms.")
    return division


def _track(data: bytes, start: int, end: int, number: int, most: int, log: Log) -> Track:
    walk = Walk(data, start, end, number, log)
    try:
        while walk.at < end and not walk.ended:
            walk.messages(most)
            if len(walk.events) >= most:
                raise Broken("too-many-events", f"There are {MOST_EVENTS:,} events, and more; the rest was left out.")
            walk.step()
        if not walk.ended:
            log.add("no-end-of-track", "The track has no end mark.", number, walk.tick)
        elif walk.at < end:
            log.add("after-end-of-track", f"There are {end - walk.at:,} bytes after the end mark.", number, walk.tick)
    except Broken as broken:
        rule, text = broken.args
        log.add(rule, text, number, walk.tick)
        return Track(number, walk.events, walk.tick, is_whole=False)
    return Track(number, walk.events, walk.tick)
