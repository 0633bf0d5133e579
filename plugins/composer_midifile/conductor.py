"""The first track of a file as bytes: title, tempos, signatures, texts and markers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from composer.music.score import TICKS_PER_QUARTER, Score, TimeSignature
from composer_midifile.codes import END_OF_TRACK, KEY_SIGNATURE, MARKER, META, NAME, TEMPO, TEXT, TIME_SIGNATURE

CLOCKS_PER_QUARTER = 24


def conductor(score: Score, title: str, signatures: Sequence[TimeSignature], own_text: str, end: int) -> bytes:
    """Encode the first track, with the end mark at tick `end` or after its last event.

    At one tick, tempos come before time and key signatures, and those before texts. `signatures` have the
    pickup as a short first bar.
    """
    events = [*_tempos(score), *_time_signatures(signatures), *_key_signatures(score), *_texts(score, own_text)]
    written = bytearray(name_event(title))
    now = 0
    for tick, event in sorted(events, key=lambda one: one[0]):
        written += size_of(tick - now) + event
        now = tick
    return bytes(written + end_of_track(end - now))


def name_event(name: str) -> bytes:
    """Encode the name of a track as an event at tick 0. An empty name has no event."""
    raw = name.encode("utf-8", "replace")
    return b"\x00" + _meta(NAME, raw) if raw else b""


def end_of_track(time: int) -> bytes:
    """Encode the end mark, `time` ticks after the event before it."""
    return size_of(max(time, 0)) + _meta(END_OF_TRACK, b"")


def size_of(number: int) -> bytes:
    """Encode a variable-length quantity."""
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(number & 0x7F | 0x80)
    return bytes(reversed(digits))


def _meta(kind: int, content: bytes) -> bytes:
    return bytes([META, kind]) + size_of(len(content)) + content


def _tempos(score: Score) -> Iterator[tuple[int, bytes]]:
    for tempo in score.tempos:
        yield int(tempo.tick), _meta(TEMPO, round(60_000_000 / tempo.bpm).to_bytes(3, "big"))


def _time_signatures(signatures: Sequence[TimeSignature]) -> Iterator[tuple[int, bytes]]:
    """Encode time signatures. The metronome clicks once a beat, such as every 36 MIDI clocks in 6/8."""
    for signature in signatures:
        clocks = signature.beat_ticks * CLOCKS_PER_QUARTER // TICKS_PER_QUARTER
        power = signature.denominator.bit_length() - 1
        content = bytes([signature.numerator, power, min(max(clocks, 1), 255), 8])
        yield int(signature.tick), _meta(TIME_SIGNATURE, content)


def _key_signatures(score: Score) -> Iterator[tuple[int, bytes]]:
    for signature in score.key_signatures:
        key = signature.key
        yield int(signature.tick), _meta(KEY_SIGNATURE, bytes([key.fifths & 0xFF, key.minor]))


def _texts(score: Score, own_text: str) -> Iterator[tuple[int, bytes]]:
    if own_text:
        yield 0, _meta(TEXT, own_text.encode("utf-8", "replace"))
    for marker in score.markers:
        yield int(marker.tick), _meta(MARKER, marker.text.encode("utf-8", "replace"))
