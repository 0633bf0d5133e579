"""Lanes of a picture: one for each pitch in range, and below them one for each drum sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from composer.music.score import Notes, Track

_FEWEST, _AROUND = 13, 2  # fewest pitches shown, and pitches shown beyond the range of the notes
_BLACK = (1, 3, 6, 8, 10)


@dataclass(frozen=True)
class Lanes:
    """From the highest pitch down to the lowest, then the sounds of drums."""

    highest: int
    lowest: int
    drums: tuple[int, ...]

    @property
    def pitches(self) -> int:
        """Number of pitch lanes."""
        return self.highest - self.lowest + 1 if self.highest >= self.lowest else 0

    @property
    def count(self) -> int:
        """Number of lanes."""
        return self.pitches + len(self.drums)

    def assign(self, track: Track, notes: Notes) -> np.ndarray:
        """Return the lane of each note, 0 at the top."""
        if not track.is_drum:
            return self.highest - notes["pitch"].astype(np.int64)
        indices = np.searchsorted(np.array(self.drums), notes["pitch"])
        return self.pitches + len(self.drums) - 1 - indices  # low sounds lie low

    def list_drums(self) -> list[tuple[int, int]]:
        """Return (lane, drum sound) of the drum lanes."""
        return [(self.pitches + len(self.drums) - 1 - index, sound) for index, sound in enumerate(self.drums)]


def make_lanes(tracks: Sequence[Track]) -> Lanes:
    """Make lanes for all notes of these tracks; without notes, an octave from middle C."""
    used = {kind: np.zeros(128, dtype=bool) for kind in (False, True)}
    for track in tracks:
        used[track.is_drum][np.clip(track.notes["pitch"], 0, 127)] = True
    sounds = tuple(np.flatnonzero(used[True]).tolist())
    pitches = np.flatnonzero(used[False]).tolist()
    if not pitches and sounds:
        return Lanes(-1, 0, sounds)
    lowest, highest = (pitches[0] - _AROUND, pitches[-1] + _AROUND) if pitches else (60, 72)
    missing = max(_FEWEST - (highest - lowest + 1), 0)
    lowest, highest = lowest - missing // 2, highest + missing - missing // 2
    return Lanes(min(highest, 127), max(lowest, 0), sounds)


def is_black(pitch: int) -> bool:
    """Tell whether a pitch is a black key."""
    return pitch % 12 in _BLACK
