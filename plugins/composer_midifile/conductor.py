"""The first track of a file that pretty_midi wrote, with what pretty_midi has no words for; it knows no Score."""

from __future__ import annotations

from collections.abc import Iterator

from composer_midifile.stretches import QUANTITY, quantity

_TEXT, _MARKER, _TIME_SIGNATURE = 1, 6, 0x58


def settle(track: bytes, *, own_text: bool, signatures: bool) -> bytes:
    """The track's events with its texts made markers, without the 4/4 that was added if there are no `signatures`.

    With `own_text`, the first text stays one.
    """
    settled = bytearray()
    for time, kind, rest in _events(track):
        if kind == _TIME_SIGNATURE and not signatures:
            continue  # it stands at tick 0: nothing moves
        becomes = _MARKER if kind == _TEXT and not own_text else kind
        own_text = own_text and kind != _TEXT
        settled += time + bytes([0xFF, becomes]) + rest
    return bytes(settled)


def _events(track: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Time, kind, and length with content of each event; there are none but meta events."""
    at = 0
    while time := QUANTITY.match(track, at):
        kind = time.end() + 1
        length = QUANTITY.match(track, kind + 1)
        at = length.end() + quantity(length[0]) if length else len(track)
        yield time[0], track[kind], track[kind + 1 : at]
