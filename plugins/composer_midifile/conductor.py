"""The first track of a file as bytes: title, tempos, signatures, texts and markers.

Music programs derive bar lines from time signatures, which begin at tick 0 here. MIDI has no pickups, and shows them as
a short first bar.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from composer.music.score import TICKS_PER_QUARTER, Score, TimeSignature
from composer_midifile.walking import END_OF_TRACK, KEY_SIGNATURE, MARKER, META, NAME, TEMPO, TEXT, TIME_SIGNATURE

# --- events -----------------------------------------------------------------------------------------------------------


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


# --- time signatures and pickups --------------------------------------------------------------------------------------


BESIDE = 2
"""Ticks by which a misplaced time signature may miss a bar line."""

MOST_REACH = TICKS_PER_QUARTER // 32
"""A time signature farther from a bar line is intended."""

_Signatures = tuple[TimeSignature, ...]


def show_pickup(signatures: _Signatures, upbeat: int) -> _Signatures:
    """Insert a short first bar for the pickup, if a time signature of that length exists."""
    short = _make_short_bar(upbeat)
    if not signatures or short is None or upbeat >= signatures[0].bar_ticks:
        return signatures
    if len(signatures) > 1 and signatures[1].tick <= upbeat:
        return signatures
    return (short, replace(signatures[0], tick=upbeat), *signatures[1:])


def fold_pickup(signatures: _Signatures, upbeat: int) -> _Signatures:
    """Remove the short first bar of `shown` for this pickup; other signatures stay as they are."""
    if upbeat and len(signatures) > 1 and signatures[0] == _make_short_bar(upbeat) and signatures[1].tick == upbeat:
        return (replace(signatures[1], tick=0), *signatures[2:])
    return signatures


def guess_pickup(signatures: _Signatures) -> tuple[_Signatures, int]:
    """Guess the pickup from a second signature before the first bar is full. Returns the signatures and the pickup.

    A first bar shorter than those after it also counts as a pickup.
    """
    if len(signatures) < 2:
        return signatures, 0
    first, second = signatures[:2]
    if second.tick <= first.bar_ticks and second.tick < second.bar_ticks:
        return (replace(second, tick=0), *signatures[2:]), second.tick
    return signatures, 0


def align_signatures(signatures: _Signatures, reach: int) -> tuple[_Signatures, int]:
    """Move signatures beside a bar line to it. Returns the signatures and the number of moves.

    Beside means at most `reach` ticks, and a small part of a bar. Of signatures at one tick the last one counts.
    """
    found: dict[int, TimeSignature] = {}
    line, bar, moved = 0, TimeSignature(0, 4, 4).bar_ticks, 0
    for signature in signatures:
        most = min(reach, MOST_REACH, bar // 8)
        beyond = (signature.tick - line + most) % bar - most  # after the nearest bar line; before it where negative
        if beyond and abs(beyond) <= most:
            signature = replace(signature, tick=signature.tick - beyond)
            moved += 1
        found[signature.tick] = signature
        line, bar = signature.tick, signature.bar_ticks
    return tuple(sorted(found.values())), moved


def is_plain(signatures: _Signatures) -> bool:
    """Tell whether a reader takes signatures as they are, without a pickup, in a file with the ticks of a Score."""
    return guess_pickup(align_signatures(signatures, BESIDE)[0]) == (signatures, 0)


def _make_short_bar(ticks: int) -> TimeSignature | None:
    for denominator in (4, 8, 16, 32, 64):
        numerator, rest = divmod(ticks * denominator, TICKS_PER_QUARTER * 4)
        if not rest and 1 <= numerator <= 64:
            return TimeSignature(0, numerator, denominator)
    return None
