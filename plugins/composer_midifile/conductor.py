"""The first track of a file that pretty_midi wrote, with what pretty_midi has no words for; it knows no Score."""

from __future__ import annotations

from collections.abc import Iterator

from composer.score import TICKS_PER_QUARTER, TimeSignature
from composer_midifile.stretches import QUANTITY, quantity

_TEXT, _NAME, _MARKER, _END_OF_TRACK, _TIME_SIGNATURE = 1, 3, 6, 0x2F, 0x58

CLOCKS_PER_QUARTER = 24


def settled(track: bytes, *, name: str, end: int, own_text: bool, signatures: bool) -> bytes:
    """The track's events with the piece's name before them and the end mark at tick `end`, or after the last of them.

    Texts become markers, but with `own_text` the first one stays. A metronome clicks once a beat, also where that is
    not a quarter note. Without `signatures`, the 4/4 that pretty_midi adds is left out.
    """
    written = bytearray(name_event(name))
    tick = 0
    for time, kind, content in _events(track):
        if kind == _END_OF_TRACK or (kind == _TIME_SIGNATURE and not signatures):
            continue  # that 4/4 stands at tick 0: nothing moves
        tick += quantity(time)
        is_marker = kind == _TEXT and not own_text
        own_text = own_text and kind != _TEXT
        content = _with_clicks(content) if kind == _TIME_SIGNATURE else content
        written += time + bytes([0xFF, _MARKER if is_marker else kind]) + size_of(len(content)) + content
    return bytes(written + end_of_track(end - tick))


def name_event(name: str) -> bytes:
    """The event at tick 0 that names a track; nothing for no name."""
    raw = name.encode("utf-8", "replace")
    return b"\x00" + bytes([0xFF, _NAME]) + size_of(len(raw)) + raw if raw else b""


def end_of_track(time: int) -> bytes:
    """The end mark, so many ticks after the event before it."""
    return size_of(max(time, 0)) + bytes([0xFF, _END_OF_TRACK, 0])


def size_of(number: int) -> bytes:
    """A variable-length quantity."""
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(number & 0x7F | 0x80)
    return bytes(reversed(digits))


def _with_clicks(content: bytes) -> bytes:
    """A time signature with the MIDI clocks of its own beat: 36, a dotted quarter, in 6/8."""
    beat = TimeSignature(0, content[0], 2 ** content[1]).beat_ticks
    clocks = beat * CLOCKS_PER_QUARTER // TICKS_PER_QUARTER
    return content[:2] + bytes([min(max(clocks, 1), 255)]) + content[3:]


def _events(track: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Time, kind and content of each event; there are none but meta events."""
    at = 0
    while time := QUANTITY.match(track, at):
        kind = time.end() + 1
        length = QUANTITY.match(track, kind + 1)
        if not length:
            return
        at = length.end() + quantity(length[0])
        yield time[0], track[kind], track[length.end() : at]
