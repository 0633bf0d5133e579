"""Assignment of tracks to ports and channels.

A port has sixteen channels, the tenth of them for drums. A file with more than fifteen melodic tracks numbers its
ports (meta event 21 hex), as notation programs write it and most sequencers read it. A player without ports merges
them. So a track on a later port prefers a channel that has its program already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from composer.music.score import Track

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
