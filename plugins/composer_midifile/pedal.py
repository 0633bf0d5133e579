"""Notes sustained by a sustain pedal.

A pedal belongs to a channel of a port, in whichever track its controller is. It is down from a value of 64 on. A note
released while it is down sounds until the pedal is released, or until the next onset of its pitch on its channel.
Source: MIDI 1.0 Detailed Specification, controller 64, and RP-015 (reset all controllers).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from composer_midifile.events import TrackEvents
from composer_midifile.messages import Messages
from composer_midifile.programs import DRUMS, combine_channel
from composer_midifile.walking import CONTROLLER

SUSTAIN, RESET = 64, 121
DOWN = 64

_NEVER = 2**32

_Longs: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SustainedEnds:
    """The tick at which each note ends, (notes,), and the number of channels whose pedal is never released."""

    end: _Longs
    never_released: int


def extend_notes(messages: Messages, tracks: Sequence[TrackEvents], begin: _Longs, end: _Longs) -> SustainedEnds:
    """Extend notes to the release of the pedal, given the indices of their messages, (notes,)."""
    released = messages.tick[end]
    moves = np.flatnonzero((messages.status & 0xF0 == CONTROLLER) & np.isin(messages.first, (SUSTAIN, RESET)))
    if not _is_pressed(messages, moves).any():
        return SustainedEnds(released, 0)
    ports = np.array([combine_channel(track, 0) for track in tracks])
    channel = ports[messages.track] | messages.status & 0xF
    rises, is_last = _find_releases(messages, channel, moves, end)
    held = np.flatnonzero((rises > released) & (messages.status[end] & 0xF != DRUMS))
    again = _find_next_onsets(channel[begin] << 7 | messages.first[begin], messages.tick[begin], released)
    sounds = released.copy()
    sounds[held] = np.minimum(rises, again)[held]
    return SustainedEnds(sounds, len(np.unique(channel[end[held[is_last[held]]]])))


def _is_pressed(messages: Messages, moves: _Longs) -> NDArray[np.bool_]:
    down: NDArray[np.bool_] = (messages.first[moves] == SUSTAIN) & (messages.second[moves] >= DOWN)
    return down


def _find_releases(messages: Messages, channel: _Longs, moves: _Longs, end: _Longs) -> tuple[_Longs, NDArray[np.bool_]]:
    """Find the tick at which the pedal, if down at a note-off, is released next, (notes,): -1 if it is up.

    Also marks notes whose pedal is never released: they last until the last note-off.
    """
    places = np.concatenate((moves, end))
    order = np.lexsort((places, messages.tick[places], channel[places]))
    places = places[order]
    is_move = order < len(moves)
    is_up = is_move.copy()
    is_up[is_move] = ~_is_pressed(messages, places[is_move])
    count = np.arange(len(order))
    before = np.maximum.accumulate(np.where(is_move, count, -1))
    after = np.minimum.accumulate(np.where(is_up, count, len(order))[::-1])[::-1]
    its = channel[places]
    down = (before >= 0) & (its[before] == its) & ~is_up[before]
    comes_up = (after < len(order)) & (np.append(its, -1)[after] == its)
    last = messages.tick[end].max()
    rises = np.where(down, np.where(comes_up, np.append(messages.tick[places], 0)[after], last), -1)
    notes = ~is_move
    found = np.empty(len(end), dtype=np.int64), np.empty(len(end), dtype=np.bool_)
    found[0][order[notes] - len(moves)] = rises[notes]
    found[1][order[notes] - len(moves)] = (down & ~comes_up)[notes]
    return found


def _find_next_onsets(line: _Longs, onset: _Longs, released: _Longs) -> _Longs:
    """Find the next onset of the pitch of each note, not before its key is released; `_NEVER` for none."""
    begins = np.sort(line << 32 | onset)
    found = np.searchsorted(begins, line << 32 | np.maximum(released, onset + 1))
    again = np.append(begins, -1)[found]
    return np.where(again >> 32 == line, again & 0xFFFFFFFF, _NEVER)
