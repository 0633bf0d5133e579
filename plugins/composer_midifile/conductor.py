"""The first track of a file as bytes: title, tempos, signatures, texts and markers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from composer.music.score import TICKS_PER_QUARTER, Score, TimeSignature
from composer_midifile.codes import END_OF_TRACK, KEY_SIGNATURE, MARKER, META, NAME, TEMPO, TEXT, TIME_SIGNATURE

CLOCKS_PER_QUARTER = 24


def encode_conductor(score: Score, title: str, signatures: Sequence[TimeSignature], own_text: str, end: int) -> bytes:
    """Encode the first track, with the end mark at tick `end` or after its last event.

    At one tick, tempos come before time and key signatures, and those before texts. `signatures` have the
    pickup as a short first bar.
    """
    events = [
        *_encode_tempos(score),
        *_encode_time_signatures(signatures),
        *_encode_key_signatures(score),
        *_encode_texts(score, own_text),
    ]
    written = bytearray(encode_name(title))
    now = 0
    for tick, event in sorted(events, key=lambda one: one[0]):
        written += encode_quantity(tick - now) + event
        now = tick
    return bytes(written + encode_end(end - now))


def encode_name(name: str) -> bytes:
    """Encode the name of a track as an event at tick 0. An empty name has no event."""
    raw = name.encode("utf-8", "replace")
    return b"\x00" + _encode_meta(NAME, raw) if raw else b""


def encode_end(time: int) -> bytes:
    """Encode the end mark, `time` ticks after the event before it."""
    return encode_quantity(max(time, 0)) + _encode_meta(END_OF_TRACK, b"")


def encode_quantity(number: int) -> bytes:
    """Encode a variable-length quantity."""
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(number & 0x7F | 0x80)
    return bytes(reversed(digits))


def _encode_meta(kind: int, content: bytes) -> bytes:
    return bytes([META, kind]) + encode_quantity(len(content)) + content


def _encode_tempos(score: Score) -> Iterator[tuple[int, bytes]]:
    for tempo in score.tempos:
        yield int(tempo.tick), _encode_meta(TEMPO, round(60_000_000 / tempo.bpm).to_bytes(3, "big"))


def _encode_time_signatures(signatures: Sequence[TimeSignature]) -> Iterator[tuple[int, bytes]]:
    """Encode time signatures. The metronome clicks once a beat, such as every 36 MIDI clocks in 6/8."""
    for signature in signatures:
        clocks = signature.beat_ticks * CLOCKS_PER_QUARTER // TICKS_PER_QUARTER
        power = signature.denominator.bit_length() - 1
        content = bytes([signature.numerator, power, min(max(clocks, 1), 255), 8])
        yield int(signature.tick), _encode_meta(TIME_SIGNATURE, content)


def _encode_key_signatures(score: Score) -> Iterator[tuple[int, bytes]]:
    for signature in score.key_signatures:
        key = signature.key
        yield int(signature.tick), _encode_meta(KEY_SIGNATURE, bytes([key.fifths & 0xFF, key.minor]))


def _encode_texts(score: Score, own_text: str) -> Iterator[tuple[int, bytes]]:
    if own_text:
        yield 0, _encode_meta(TEXT, own_text.encode("utf-8", "replace"))
    for marker in score.markers:
        yield int(marker.tick), _encode_meta(MARKER, marker.text.encode("utf-8", "replace"))
