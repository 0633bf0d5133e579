"""Notes of all tracks at once: paired from note-ons and note-offs, and turned into those of a Score or into bytes.

A note-off ends the first sounding note of its pitch, channel and track. One without a sounding note is ignored. All
tracks are processed together, since a call of NumPy costs more than the notes of a short track. A `line` is one pitch
of one part, as `part << 7 | pitch`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from composer.music.score import NOTE, Notes, concatenate_notes
from composer_midifile.events import Damaged
from composer_midifile.messages import Messages
from composer_midifile.walking import AFTERTOUCH, NOTE_ON

Column: TypeAlias = NDArray[Any]

_Longs: TypeAlias = NDArray[np.int64]


# --- pairs of note-ons and note-offs ----------------------------------------------------------------------------------


MOST_NOTES = 1_000_000


@dataclass(frozen=True, eq=False)
class Pairs:
    """Notes as indices of their messages, sorted by line, then onset.

    A part is the notes of a track on a channel, as `track << 4 | channel`.
    """

    line: _Longs  # (notes,) part << 7 | pitch
    begin: _Longs  # (notes,)
    end: _Longs  # (notes,)
    unfinished: int = 0  # notes without an end, which are left out


def pair_notes(messages: Messages) -> Pairs:
    """Pair the note-ons and note-offs of each track. Raises Damaged for too many notes."""
    status = messages.status
    is_note = status < AFTERTOUCH
    is_begin = is_note & (status >= NOTE_ON) & (messages.second > 0)
    (begin,) = is_begin.nonzero()
    if len(begin) > MOST_NOTES:
        raise Damaged(f"holds {len(begin):,} notes; at most {MOST_NOTES:,} are read. Split it.")
    line = (messages.track << 4 | status & 0xF) << 7 | messages.first
    of_begin, begin = _sort_by_line(line, begin)
    of_end, end = _sort_by_line(line, (is_note ^ is_begin).nonzero()[0])
    if len(begin) == len(end) and ((of_begin == of_end) & (begin < end)).all():
        return Pairs(of_begin.astype(np.int64), begin, end)
    return _pair_unmatched(line.astype(np.int64), begin, end)


def _sort_by_line(line: Column, places: _Longs) -> tuple[Column, _Longs]:
    """Sort messages by line, then index. Returns their lines and indices."""
    its = line[places]
    order = its.argsort(kind="stable")
    return its[order], places[order]


def _pair_unmatched(line: _Longs, begin: _Longs, end: _Longs) -> Pairs:
    """Pair notes where some messages have no counterpart."""
    end = end[~_mark_orphan_ends(line, begin, end)]
    of_begin, of_end = line[begin], line[end]
    number = np.arange(len(begin)) - np.searchsorted(of_begin, of_begin)  # in its line
    its_end = np.searchsorted(of_end, of_begin) + number
    has_end = its_end < np.searchsorted(of_end, of_begin, side="right")
    finished = int(np.count_nonzero(has_end))
    return Pairs(of_begin[has_end], begin[has_end], end[its_end[has_end]], len(begin) - finished)


def _mark_orphan_ends(line: _Longs, begin: _Longs, end: _Longs) -> NDArray[np.bool_]:
    """Mark note-offs without a sounding note: ends exceed onsets in their line by more than ever before."""
    places = np.concatenate((begin, end))
    order = np.lexsort((places, line[places]))
    line, is_begin = line[places[order]], order < len(begin)
    first = np.flatnonzero(np.append(True, line[1:] != line[:-1]))
    sizes = np.diff(first, append=len(line))
    step = np.where(is_begin, 1, -1)
    sounding = np.cumsum(step)
    sounding -= np.repeat((sounding - step)[first], sizes)
    apart = np.repeat(np.arange(len(first)) * (len(line) + 1), sizes)  # puts each line below those before it
    lowest = np.minimum.accumulate(np.minimum(sounding, 0) - apart) + apart
    before = np.append(0, lowest[:-1])
    before[first] = 0
    found = np.empty(len(places), dtype=np.bool_)
    found[order] = lowest < before
    return found[len(begin) :]


# --- notes of a Score -------------------------------------------------------------------------------------------------


def build_notes(line: _Longs, start: _Longs, end: _Longs, velocity: Column, remarks: Counter[str]) -> list[Notes]:
    """Build the sorted notes of each part that has any, without overlaps of one pitch.

    The arguments are sorted by line, then start; times are in ticks of a Score, below 2^32. Dropped and shortened notes
    are counted in `remarks`.
    """
    end = np.maximum(end, start + 1)
    if _find_overlaps(line, start, end).any():
        line, start, end, velocity = _untangle(line, start, end, velocity, remarks)
    part, pitch = line >> 7, line & 0x7F
    order = ((part << 32 | start) << 7 | pitch).argsort()
    notes = np.empty(len(order), dtype=NOTE)
    notes["start"], notes["pitch"], notes["velocity"] = start[order], pitch[order], velocity[order]
    notes["duration"] = (end - start)[order]
    counts = np.bincount(part)
    ends = counts[counts > 0].cumsum().tolist()
    return [notes[a:b] for a, b in zip([0, *ends], ends, strict=False)]


def separate_notes(parts: Sequence[Notes]) -> list[Notes]:
    """Separate overlapping notes of one pitch, in the parts of a Score. Parts may be empty."""
    used = [number for number, notes in enumerate(parts) if len(notes)]
    found = list(parts)
    if used:
        notes = concatenate_notes([parts[number] for number in used])
        part = np.repeat(np.arange(len(used)), [len(parts[number]) for number in used])
        line = part << 7 | notes["pitch"]
        order = np.lexsort((notes["start"], line))
        line, notes = line[order], notes[order]
        columns = notes["start"], notes["start"] + notes["duration"], notes["velocity"]
        for number, its in zip(used, build_notes(line, *columns, Counter()), strict=True):
            found[number] = its
    return found


def _untangle(
    line: _Longs, start: _Longs, end: _Longs, velocity: Column, remarks: Counter[str]
) -> tuple[_Longs, _Longs, _Longs, Column]:
    """Keep the longest of notes with one onset, and cut a note at the next onset of its line."""
    order = np.lexsort((end, start, line))
    line, start, end, velocity = line[order], start[order], end[order], velocity[order]
    stays = np.append((line[:-1] != line[1:]) | (start[:-1] != start[1:]), True)
    remarks["a note struck twice at once was left out once"] += int(np.count_nonzero(~stays))
    line, start, end, velocity = line[stays], start[stays], end[stays], velocity[stays]
    over = np.flatnonzero(_find_overlaps(line, start, end))
    end[over] = start[over + 1]
    remarks["a note that the next of its pitch overlaps was shortened"] += len(over)
    return line, start, end, velocity


def _find_overlaps(line: _Longs, start: _Longs, end: _Longs) -> NDArray[np.bool_]:
    """Tell whether each note but the last ends after the next onset of its line, (notes - 1,)."""
    over: NDArray[np.bool_] = (line[:-1] == line[1:]) & (end[:-1] > start[1:])
    return over


# --- bytes of note events ---------------------------------------------------------------------------------------------


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
