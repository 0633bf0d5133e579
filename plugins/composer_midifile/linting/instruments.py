"""Rules for ports, channels, programs, drums and controllers."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from composer_midifile.linting.rules import Log
from composer_midifile.linting.scanning import Event, File, Track
from composer_midifile.linting.sounding import Note, spell_pitch
from composer_midifile.programs import DRUMS
from composer_midifile.walking import BEND, CONTROLLER, NOTE_ON, PORT, PROGRAM, SYSEX, SYSEX_REST

SUSTAIN, SOSTENUTO, ALL_SOUND_OFF, ALL_NOTES_OFF = 64, 66, 120, 123
PEDALS = {SUSTAIN: "sustain pedal", SOSTENUTO: "sostenuto pedal"}

DRUM_SOUNDS = range(35, 82)
"""Drum sounds of General MIDI."""

MORE_DRUM_SOUNDS = range(27, 88)
"""Drum sounds of General MIDI 2."""

_DRUM_NAME = re.compile(r"drum|percussion|\bkit\b", re.IGNORECASE)
_PITCHED_DRUMS = {47, *range(112, 120)}  # timpani, steel drums, taiko…: melodic programs

_PortChannel = tuple[int, int]


def check(file: File, notes: Sequence[list[Note]], names: Mapping[int, str], log: Log) -> None:
    """Log breaches of these rules; `notes` has those of each track."""
    programs: dict[_PortChannel, dict[int, int]] = defaultdict(
        dict
    )  # by port and channel: the first program of each track
    for track, its in zip(file.tracks, notes, strict=True):
        port = _find_port(track, log)
        channels = _collect_channels(its)
        for channel, program in _find_programs(track, its, log).items():
            if channel in channels:
                programs[port, channel][track.number] = program
        _check_drums(track, its, names.get(track.number, ""), log)
        if file.kind == 1 and len(channels) > 1:
            log.add("several-channels", f"The track plays on {len(channels)} channels.", track.number)
        _check_controllers(track, log)
    _check_shared(programs, log)
    _check_missing(file, notes, log)
    _check_crossing(file, notes, log)


def _collect_channels(notes: Iterable[Note]) -> set[int]:
    return {note.channel for note in notes}


def _find_port(track: Track, log: Log) -> int:
    """Return the first port that a track states."""
    port, played = None, False
    for event in track.events:
        if event.kind == PORT and port is None:
            port = event.data[0]
            if played:
                log.add("late-port", "The track names its port after its first message.", track.number, event.tick)
        played = played or event.status < 0xF0
    return port or 0


def _find_programs(track: Track, notes: Sequence[Note], log: Log) -> dict[int, int]:
    """Return the first program of each channel of a track."""
    first_note: dict[int, int] = {}
    for note in notes:
        first_note[note.channel] = min(note.start, first_note.get(note.channel, note.start))
    found: dict[int, int] = {}
    played: set[int] = set()
    for event in track.events:
        channel = event.status & 0xF
        if event.status & 0xF0 == NOTE_ON and event.data[1]:
            played.add(channel)
        if event.status & 0xF0 == PROGRAM:
            _check_program(track.number, event, found.get(channel), channel in played, log)
            found.setdefault(channel, event.data[0])
    return found


def _check_program(track: int, event: Event, before: int | None, played: bool, log: Log) -> None:
    channel = (event.status & 0xF) + 1
    if before is None and played:
        text = f"Channel {channel} gets its program after its first note, which sounds with another one."
        log.add("late-program", text, track, event.tick)
    elif played and before != event.data[0]:
        log.add("program-change", f"Channel {channel} changes its program in the piece.", track, event.tick)


def _check_drums(track: Track, notes: Sequence[Note], name: str, log: Log) -> None:
    programs = {event.data[0] for event in track.events if event.status & 0xF0 == PROGRAM}
    channels = _collect_channels(notes)
    if notes and DRUMS not in channels and _DRUM_NAME.search(name) and not programs & _PITCHED_DRUMS:
        text = f"The track is named for drums and plays on channel {min(channels) + 1}; drums belong on channel 10."
        log.add("drums-off-channel-10", text, track.number)
    for note in notes if DRUMS in channels else ():
        if note.channel == DRUMS and note.pitch not in DRUM_SOUNDS:
            known = note.pitch in MORE_DRUM_SOUNDS
            where = f"General MIDI{'' if known else ' 2'}"
            text = f"There is no drum sound {note.pitch} ({spell_pitch(note.pitch)}) in {where}."
            log.add("rare-drum-sound" if known else "outside-drum-map", text, track.number, note.start)


def _check_controllers(track: Track, log: Log) -> None:
    last: dict[tuple[int, int], Event] = {}
    for event in track.events:
        kind = event.status & 0xF0
        if kind == CONTROLLER and event.data[0] in (ALL_SOUND_OFF, ALL_NOTES_OFF):
            text = "All notes are switched off by a controller, which many programs leave out."
            log.add("all-notes-off", text, track.number, event.tick)
        if kind == CONTROLLER and event.data[0] in PEDALS:
            last[event.status, event.data[0]] = event
        elif kind == BEND:
            last[event.status, -1] = event
        elif event.status in (SYSEX, SYSEX_REST):
            text = "There is a system exclusive message, which speaks to one make of instrument."
            log.add("sysex", text, track.number, event.tick)
    for (_, controller), event in last.items():
        if controller in PEDALS and event.data[1] >= 64:
            log.add("hanging-pedal", f"The {PEDALS[controller]} is never released.", track.number, event.tick)
        elif controller < 0 and event.data != b"\x00\x40":
            log.add("hanging-bend", "The pitch bend does not return to its middle.", track.number, event.tick)


def _check_shared(programs: Mapping[_PortChannel, Mapping[int, int]], log: Log) -> None:
    for (_, channel), by_track in programs.items():
        first = next(iter(by_track))
        for track, program in by_track.items():
            if program != by_track[first]:
                text = (
                    f"Channel {channel + 1} has program {program + 1} here, and {by_track[first] + 1} in track {first}."
                )
                log.add("shared-channel", text, track)


def _check_missing(file: File, notes: Sequence[list[Note]], log: Log) -> None:
    """Log channels without a program in any track, except drums."""
    told = {event.status & 0xF for track in file.tracks for event in track.events if event.status & 0xF0 == PROGRAM}
    for track, its in zip(file.tracks, notes, strict=True):
        for channel in sorted(_collect_channels(its) - told - {DRUMS}):
            log.add("no-program", f"Channel {channel + 1} has no program; a piano is meant.", track.number)


def _check_crossing(file: File, notes: Sequence[list[Note]], log: Log) -> None:
    """Log pitches that sound in two tracks on one channel: the first note-off ends both."""
    ports = [_find_port(track, Log()) for track in file.tracks]
    shared = Counter(
        (port, channel) for port, its in zip(ports, notes, strict=True) for channel in _collect_channels(its)
    )
    by_key: dict[tuple[int, int, int], list[tuple[int, int, int]]] = defaultdict(list)
    for track, port, its in zip(file.tracks, ports, notes, strict=True):
        for note in its:
            if shared[port, note.channel] > 1:
                by_key[port, note.channel, note.pitch].append((note.start, note.end, track.number))
    for (_, channel, pitch), found in by_key.items():
        if len({track for _, _, track in found}) > 1:
            _check_pitch(channel, pitch, sorted(found), log)


def _check_pitch(channel: int, pitch: int, found: Sequence[tuple[int, int, int]], log: Log) -> None:
    until, before = found[0][1], found[0][2]
    for start, end, track in found[1:]:
        if start < until and track != before:
            text = f"{spell_pitch(pitch)} sounds on channel {channel + 1} in track {before} as well."
            log.add("shared-drums" if channel == DRUMS else "crossing-tracks", text, track, start)
        if end > until:
            until, before = end, track
