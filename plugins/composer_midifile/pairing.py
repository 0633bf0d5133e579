"""Note-ons paired with note-offs, for all tracks at once.

A note-off ends the first sounding note of its pitch, channel and track. One without a sounding note is ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from composer_midifile.chunks import Damaged
from composer_midifile.codes import AFTERTOUCH, NOTE_ON
from composer_midifile.messages import Messages
from composer_midifile.notes import Column

_Longs: TypeAlias = NDArray[np.int64]

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
