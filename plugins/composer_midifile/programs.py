"""Programs and channels: the program of each note of a file, and the channel of each track to write.

The program of a note is the last one that its channel received. A channel belongs to a port, and to all tracks that use
it. Programs of the own track precede those of other tracks: if tracks share a channel, each means its own.

A port has sixteen channels, the tenth of them for drums. A file with more than fifteen melodic tracks numbers its ports
(meta event 21 hex), as notation programs write it and most sequencers read it. A player without ports merges them. So a
track on a later port prefers a channel that has its program already.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from composer.music.score import Track
from composer_midifile.events import TrackEvents
from composer_midifile.messages import Messages
from composer_midifile.pairing import Pairs
from composer_midifile.walking import PROGRAM

# --- programs of notes ------------------------------------------------------------------------------------------------


_Longs: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """The notes of one track on one channel with one program."""

    track: int
    channel: int
    program: int


class _Change(NamedTuple):
    """A program change of a part at a tick, after `place` messages of the file."""

    tick: int
    place: int
    part: int
    program: int


def divide_parts(pairs: Pairs, messages: Messages, tracks: Sequence[TrackEvents]) -> tuple[Pairs, list[Part]]:
    """Divide the notes of `pairs` where a channel changes its program. Returns the notes and their parts."""
    given = _ProgramChanges(messages, tracks)
    numbers = np.bincount(pairs.line >> 7).nonzero()[0].tolist()
    programs = [given.get_constant(part) for part in numbers]
    if None not in programs:
        return pairs, [Part(n >> 4, n & 0xF, program or 0) for n, program in zip(numbers, programs, strict=True)]
    bounds = np.searchsorted(pairs.line, np.array([*numbers, numbers[-1] + 1]) << 7)
    program = np.empty(len(pairs.line), dtype=np.int64)
    for number, constant, begin, end in zip(numbers, programs, bounds, bounds[1:], strict=False):
        its = slice(begin, end)
        program[its] = given.find_programs(number, pairs.begin[its]) if constant is None else constant
    keys, part = np.unique(pairs.line >> 7 << 7 | program, return_inverse=True)
    line = part << 7 | pairs.line & 0x7F
    order = line.argsort(kind="stable")
    divided = replace(pairs, line=line[order], begin=pairs.begin[order], end=pairs.end[order])
    return divided, [Part(key >> 11, key >> 7 & 0xF, key & 0x7F) for key in keys.tolist()]


class _ProgramChanges:
    """The program changes of a file, by track and channel, and by channel alone."""

    def __init__(self, messages: Messages, tracks: Sequence[TrackEvents]) -> None:
        self.messages, self.tracks = messages, tracks
        self.by_part: dict[int, list[_Change]] = defaultdict(list)
        self.by_channel: dict[int, list[_Change]] = defaultdict(list)
        self.lines: dict[int, _ChannelChanges] = {}  # by channel, filled on demand
        for number, track in enumerate(tracks):
            for stretches, others, kind, content in track.events:
                if kind & 0xF0 == PROGRAM:
                    at = messages.compute_tick(number, stretches, others), messages.count_before(number, stretches)
                    change = _Change(*at, number << 4 | kind & 0xF, content[0])
                    self.by_part[change.part].append(change)
                    self.by_channel[combine_channel(track, kind)].append(change)

    def get_constant(self, part: int) -> int | None:
        """Return the one program of a track and channel; None if it may change."""
        own = self.by_part.get(part)
        if own:
            return (
                own[0].program if len(own) == 1 and own[0].place == self.messages.count_before(part >> 4, 0) else None
            )
        return None if combine_channel(self.tracks[part >> 4], part) in self.by_channel else 0

    def find_programs(self, part: int, begin: _Longs) -> _Longs:
        """Return the program of each of these notes of a track and channel, (notes,)."""
        others = self._get_channel(combine_channel(self.tracks[part >> 4], part))
        from_others = others.find_last(self.messages.tick[begin], part)
        own = self.by_part.get(part, [])
        programs = np.array([-1, *(change.program for change in own)])
        from_own = programs[np.searchsorted([change.place for change in own], begin, side="right")]
        return np.where(from_own >= 0, from_own, from_others)

    def _get_channel(self, channel: int) -> _ChannelChanges:
        if channel not in self.lines:
            changes = sorted(self.by_channel[channel], key=lambda change: change.tick)
            tick, _, part, program = np.array(changes, dtype=np.int64).reshape(-1, 4).T
            begins = np.where(np.append(True, part[1:] != part[:-1])[: len(part)], np.arange(len(part)), 0)
            self.lines[channel] = _ChannelChanges(tick, part, program, np.maximum.accumulate(begins))
        return self.lines[channel]


class _ChannelChanges(NamedTuple):
    """The program changes of a channel by any part, sorted by time. Each column is (changes,)."""

    tick: _Longs
    part: _Longs
    program: _Longs
    begins: _Longs  # where the run of changes by the same part begins

    def find_last(self, ticks: _Longs, part: int) -> _Longs:
        """Return the last program at each of these ticks from any other part; 0 for none."""
        last = np.searchsorted(self.tick, ticks, side="right") - 1
        last = np.where((last >= 0) & (self.part[last] == part), self.begins[last] - 1, last)
        return np.where(last >= 0, self.program[last], 0)


def combine_channel(track: TrackEvents, channel: int) -> int:
    """Combine a port and a channel into one number; only the last four bits of `channel` count."""
    return track.port << 4 | channel & 0xF


# --- channels of tracks -----------------------------------------------------------------------------------------------


DRUMS = 9
"""Channel 10, counted from 1."""

MELODIC = tuple(channel for channel in range(16) if channel != DRUMS)

PORTS = 128
"""Most ports of a file; further tracks share channels with the first ones."""


@dataclass(frozen=True)
class PortChannel:
    """A channel, 0..15, of a port, 0..127."""

    port: int
    channel: int


def assign_channels(tracks: Sequence[Track]) -> list[PortChannel]:
    """Assign a channel to each track: one for each melodic track, and channel 10 for all drums with the same kit."""
    found: dict[int, PortChannel] = {}
    drums = [number for number, track in enumerate(tracks) if track.is_drum]
    kits = list(dict.fromkeys(int(tracks[number].program) for number in drums))
    for number in drums:
        found[number] = PortChannel(kits.index(int(tracks[number].program)) % PORTS, DRUMS)
    melodic = [number for number, track in enumerate(tracks) if not track.is_drum]
    programs: dict[int, int] = {}  # of the channels of the first port
    for begin in range(0, len(melodic), len(MELODIC)):
        free = list(MELODIC)
        for number in melodic[begin : begin + len(MELODIC)]:
            program = int(tracks[number].program)
            channel = next((channel for channel in free if programs.get(channel) == program), free[0])
            free.remove(channel)
            programs.setdefault(channel, program)
            found[number] = PortChannel(begin // len(MELODIC) % PORTS, channel)
    return [found[number] for number in range(len(tracks))]
