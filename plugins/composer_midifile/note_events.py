"""Notes as the bytes of note events, for all tracks at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from composer.music.score import Notes, concatenate_notes
from composer_midifile.codes import NOTE_ON

_VELOCITY_OF_END = 0


def encode_notes(notes: Notes, channel: int) -> bytes:
    """Encode note-ons and note-offs from tick 0, sorted by time. At one tick, note-offs and lower pitches come first.

    An end is a beginning of velocity 0. Ticks are below 2^28.
    """
    return encode_parts([notes], [channel])[0]


def encode_parts(parts: Sequence[Notes], channels: Sequence[int]) -> list[bytes]:
    """Encode the notes of several parts, each from tick 0 and on its own channel."""
    notes = concatenate_notes(parts)
    part = np.tile(np.repeat(np.arange(len(parts)), [len(its) for its in parts]), 2)
    tick = np.concatenate((notes["start"], notes["start"] + notes["duration"]))
    pitch = np.tile(notes["pitch"], 2)
    begins = np.arange(len(tick)) < len(notes)
    order = np.argsort((part << 36) | (tick << 8) | (begins << 7) | pitch)
    part, tick = part[order], tick[order]
    time = tick.copy()
    time[1:] -= np.where(part[1:] == part[:-1], tick[:-1], 0)
    status = np.asarray([NOTE_ON | channel for channel in channels], dtype=np.uint8)[part]
    velocity = np.concatenate((notes["velocity"], np.full(len(notes), _VELOCITY_OF_END)))
    return _split(_lay_out(time, status, pitch[order], velocity[order]), part, len(parts))


def _lay_out(
    time: NDArray[np.int64], status: NDArray[np.uint8], pitch: NDArray[np.int16], velocity: NDArray[np.int16]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Lay out seven bytes for each event (events, 7), and a mask of the bytes in use: short times need fewer."""
    events = np.empty((len(time), 7), dtype=np.uint8)
    stands = np.ones(events.shape, dtype=np.bool_)
    for place in range(4):
        events[:, 3 - place] = time >> 7 * place & 0x7F | (0x80 if place else 0)
        if place:
            stands[:, 3 - place] = time >= 1 << 7 * place
    events[:, 4], events[:, 5], events[:, 6] = status, pitch, velocity
    return events, stands


def _split(found: tuple[NDArray[np.uint8], NDArray[np.bool_]], part: NDArray[np.int64], parts: int) -> list[bytes]:
    events, stands = found
    written = events[stands].tobytes()
    sizes = np.concatenate(([0], np.cumsum(stands.sum(axis=1))))
    ends = sizes[np.searchsorted(part, np.arange(parts), side="right")].tolist()
    return [written[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
