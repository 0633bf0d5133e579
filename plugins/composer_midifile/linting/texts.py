"""Rules for names and other texts."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from composer.errors import printable
from composer_midifile.linting.rules import Log
from composer_midifile.linting.scanning import Event, File, Track
from composer_midifile.linting.sounding import Note
from composer_midifile.walking import INSTRUMENT, NAME

TEXTS = range(0x01, 0x10)
"""Meta events with a text."""

LONGEST_NAME = 255
"""Bytes that every program can show."""

_WHITE = "\t\r\n"


def check(file: File, notes: Sequence[list[Note]], log: Log) -> dict[int, str]:
    """Log breaches of these rules. Returns the name of each track that has one."""
    names: dict[int, str] = {}
    for track, its in zip(file.tracks, notes, strict=True):
        for event in track.events:
            if event.kind in TEXTS:
                _check_text(track.number, event, log)
        name = _check_name(track, log)
        if name is not None:
            names[track.number] = name
        elif its and file.kind == 1:
            log.add("no-name", "The track has no name.", track.number)
        if not its and track.number > 1 and track.is_whole:
            log.add("empty-track", "The track has no notes.", track.number)
    if not any(notes) and all(track.is_whole for track in file.tracks):
        log.add("no-notes", "There are no notes in the file.")
    return names


def decode_text(raw: bytes) -> str | None:
    """Decode UTF-8, of which ASCII is a part; None for another encoding."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _check_text(track: int, event: Event, log: Log) -> None:
    text = decode_text(event.data[: 2**16])
    if text is None and len(event.data) <= 2**16:
        shown = printable(event.data.decode("latin-1"), 40)
        log.add("text-encoding", f"The text '{shown}' is not UTF-8; programs show it differently.", track, event.tick)
    if any(unicodedata.category(c) == "Cc" and c not in _WHITE for c in text or ""):
        shown = printable(text or "", 40)
        log.add("control-characters", f"The text '{shown}' holds control characters.", track, event.tick)
    if event.kind in (NAME, INSTRUMENT) and len(event.data) > LONGEST_NAME:
        log.add("long-name", f"A name has {len(event.data):,} bytes.", track, event.tick)


def _check_name(track: Track, log: Log) -> str | None:
    """Return the first name of a track, and log a late or a second one."""
    name, played = None, False
    for event in track.events:
        played = played or event.status < 0xF0
        if event.kind != NAME:
            continue
        if name is not None:
            log.add("second-name", "The track is named twice.", track.number, event.tick)
            continue
        name = decode_text(event.data[:LONGEST_NAME]) or event.data[:LONGEST_NAME].decode("latin-1")
        if event.tick or played:
            log.add("late-name", "The track is named after its beginning.", track.number, event.tick)
    return name
