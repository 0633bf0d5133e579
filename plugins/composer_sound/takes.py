"""A score as takes: notes in samples, divided so that a synthesiser of 16 channels can play them.

A take holds the notes that begin within 20 seconds, of as many tracks as one synthesiser can play. The sounds of takes
are added. So a piece of any length, with many tracks, is played in bounded memory, and each track has its own channel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from composer.music.score import TICKS_PER_QUARTER, Notes, Score, Tempo, Track

RATE = 48_000
"""Samples per second, the only rate of the synthesiser."""

BLOCK = 64
"""Samples between two moments at which notes can begin: 1.3 ms."""

WINDOW = 20 * RATE
"""Samples in which the notes of a take begin: whole blocks, frames of 10 ms and steps of 100 ms. Shorter windows keep
more processors busy, but each adds the time in which its last notes die away."""

LONGEST_PIECE = 2 * 3600
LONGEST_NOTE = 5 * 60
MOST_TRACKS = 1_000

_MOST_AT_ONCE = 24  # notes at once in a take of several tracks: each is up to two of the 64 voices, and some die away
_MELODIC = [channel for channel in range(16) if channel != 9]
_DRUMS = 9


@dataclass(frozen=True, eq=False)
class Part:
    """The notes of one track in a take, with times in samples from the beginning of the window."""

    channel: int
    program: int
    notes: Notes


@dataclass(frozen=True)
class Window:
    """A stretch of a piece: the takes of the notes that begin in it."""

    takes: tuple[tuple[Part, ...], ...]


def divide_into_windows(score: Score) -> Iterator[Window]:
    """Divide a score into windows. Raises ValueError for a piece that is empty, too long or has too many tracks."""
    tracks = [track for track in score.tracks if len(track.notes)]
    if not tracks:
        raise ValueError("it contains no notes")
    if len(tracks) > MOST_TRACKS:
        raise ValueError(f"it has {len(tracks):,} tracks, and at most {MOST_TRACKS:,} are played")
    played = [replace(track, notes=convert_to_samples(track.notes, score.tempos)) for track in tracks]
    _check_lengths(played)
    last = max(int(track.notes["start"].max()) for track in played)
    return (Window(_make_takes(played, begin)) for begin in range(0, last + 1, WINDOW))


def convert_to_seconds(ticks: NDArray[np.int64], tempos: tuple[Tempo, ...]) -> NDArray[np.float64]:
    """Convert ticks to seconds by the tempo map; 120 quarter notes a minute before the first tempo."""
    begins = np.array([0, *(tempo.tick for tempo in tempos)])
    lengths = 60 / TICKS_PER_QUARTER / np.array([120.0, *(tempo.bpm for tempo in tempos)])
    when = np.concatenate(([0.0], np.cumsum(np.diff(begins) * lengths[:-1])))
    index = np.searchsorted(begins, ticks, "right") - 1
    return when[index] + (ticks - begins[index]) * lengths[index]


def convert_to_samples(notes: Notes, tempos: tuple[Tempo, ...]) -> Notes:
    """Convert notes to samples, rounded to the synthesiser's blocks. Each lasts at least one block."""
    start = _round_to_blocks(convert_to_seconds(notes["start"], tempos))
    end = _round_to_blocks(convert_to_seconds(notes["start"] + notes["duration"], tempos))
    played = notes.copy()
    played["start"], played["duration"] = start, np.maximum(end - start, BLOCK)
    return played


def _round_to_blocks(when: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.rint(np.minimum(when, 1e9) * (RATE / BLOCK)).astype(np.int64) * BLOCK


def _check_lengths(played: list[Track]) -> None:
    end = max(int((track.notes["start"] + track.notes["duration"]).max()) for track in played) / RATE
    if end > LONGEST_PIECE:
        raise ValueError(f"it lasts {end / 3600:,.1f} hours, and a sound file at most {LONGEST_PIECE // 3600}")
    note = max(int(track.notes["duration"].max()) for track in played) / RATE
    if note > LONGEST_NOTE:
        raise ValueError(f"a note of it lasts {note / 60:.1f} minutes, and one can sound for {LONGEST_NOTE // 60}")


def _make_takes(tracks: list[Track], begin: int) -> tuple[tuple[Part, ...], ...]:
    """Divide the notes that begin in the window at `begin` into as few takes as channels and voices allow."""
    takes: list[list[Part]] = []
    voices = 0
    for track in tracks:
        notes = _select_notes(track.notes, begin)
        if not len(notes):
            continue
        voices += (more := _count_simultaneous(notes))
        channel = _find_channel(takes[-1], track.is_drum) if takes and voices <= _MOST_AT_ONCE else None
        if channel is None:
            takes.append([])
            voices, channel = more, _DRUMS if track.is_drum else _MELODIC[0]
        takes[-1].append(Part(channel, track.program, notes))
    return tuple(map(tuple, takes))


def _select_notes(notes: Notes, begin: int) -> Notes:
    first, last = np.searchsorted(notes["start"], (begin, begin + WINDOW))
    found = notes[first:last].copy()
    found["start"] -= begin
    return found


def _find_channel(take: list[Part], drums: bool) -> int | None:
    taken = {part.channel for part in take}
    return next((channel for channel in ([_DRUMS] if drums else _MELODIC) if channel not in taken), None)


def _count_simultaneous(notes: Notes) -> int:
    ends = np.sort(notes["start"] + notes["duration"])
    return int((np.arange(1, len(notes) + 1) - np.searchsorted(ends, notes["start"], "right")).max())
