"""The notes of a score, rounded to the grids of its time signatures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.errors import CannotExpress
from composer.music.score import NOTE, Notes, Score, concatenate_notes
from composer.tokens.bar_encoding import Measures

DRUMS = -1
"""MidiTok's program number of drums."""

SOUNDS = 32
"""Number of notes that a state remembers; no more can be sustained at once."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Sounds:
    """Notes by start, then program, then pitch. All arrays are (notes,), times in MidiTok's ticks."""

    starts: NDArray[Any]
    ends: NDArray[Any]
    programs: Ints
    pitches: Ints
    velocities: Ints

    def __getitem__(self, which: Any) -> Sounds:
        return Sounds(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


def gather_notes(score: Score, *, programs: bool, tick: int) -> Sounds:
    """Gather all notes, in ticks of `tick`. Without `programs` all are of one program, and drums are left out.

    Raises CannotExpress if there are none.
    """
    tracks = [track for track in score.tracks if programs or not track.is_drum]
    notes = concatenate_notes([track.notes for track in tracks])
    if not len(notes):
        raise CannotExpress("contains no notes.")
    of = [(DRUMS if track.is_drum else track.program) if programs else 0 for track in tracks]
    starts = notes["start"] / tick
    return Sounds(
        starts=starts,
        ends=starts + notes["duration"] / tick,
        programs=np.repeat(np.array(of, dtype=np.int64), [len(track.notes) for track in tracks]),
        pitches=notes["pitch"].astype(np.int64),
        velocities=notes["velocity"].astype(np.int64),
    )


@dataclass(frozen=True)
class BarLines:
    """Bar lines and the step of each bar's grid; the last bar has no end."""

    starts: Ints
    steps: Ints

    @staticmethod
    def build(found: Measures, step: Ints, first: int) -> BarLines:
        """Build the bar lines of a score, with a whole first bar; `first` is the token of the first time signature."""
        starts = found.starts[:-1] - found.origins[0]
        starts[0] = 0
        return BarLines(starts, step[found.time_signatures - first])

    def find_bar(self, times: NDArray[Any]) -> Ints:
        """Return the index of the bar at each time."""
        return np.searchsorted(self.starts, times, side="right") - 1

    def round_times(self, times: NDArray[Any]) -> Ints:
        """Round each time to the grid of its bar."""
        bar = self.find_bar(times)
        begin, step = self.starts[bar], self.steps[bar]
        return begin + _round_half_up((times - begin) / step) * step

    def get_step(self, times: Ints) -> Ints:
        """Return the step of the grid at each time."""
        return self.steps[self.find_bar(times)]


def _round_half_up(values: NDArray[Any]) -> Ints:
    return np.floor(values + 0.5).astype(np.int64)


def quantise(sounds: Sounds, lines: BarLines, longest: int | None) -> Sounds:
    """Quantise notes. Durations are at most `longest` steps; if that is None, notes end on the grid.

    Of notes with one onset and pitch the longest remains. A re-articulated note ends there.
    """
    starts = lines.round_times(sounds.starts)
    step = lines.get_step(starts)
    if longest is None:
        ends = np.maximum(lines.round_times(sounds.ends), starts + step)
    else:
        ends = starts + np.clip(_round_half_up((sounds.ends - starts) / step), 1, longest) * step
    return remove_overlaps(Sounds(starts, ends, sounds.programs, sounds.pitches, sounds.velocities))


def remove_overlaps(sounds: Sounds) -> Sounds:
    """Sort notes, and cut those that overlap another of the same pitch."""
    order = np.lexsort((-sounds.ends, sounds.starts, sounds.pitches, sounds.programs))
    sounds = sounds[order]
    line = sounds.programs * 128 + sounds.pitches
    fresh = np.ones(len(line), dtype=bool)
    fresh[1:] = (line[1:] != line[:-1]) | (sounds.starts[1:] != sounds.starts[:-1])
    sounds, line = sounds[fresh], line[fresh]
    again = np.append(np.where(line[1:] == line[:-1], sounds.starts[1:], sounds.ends[:-1]), sounds.ends[-1:])
    cut = Sounds(sounds.starts, np.minimum(sounds.ends, again), *_rest(sounds))
    return cut[np.lexsort((cut.pitches, cut.programs, cut.starts))]


def _rest(sounds: Sounds) -> tuple[Ints, Ints, Ints]:
    return sounds.programs, sounds.pitches, sounds.velocities


def make_notes(columns: Mapping[str, NDArray[Any]], tick: int) -> Notes:
    """Return the notes of one symusic track without overlaps, in the ticks of a Score."""
    starts = columns["time"].astype(np.int64)
    pitches, velocities = columns["pitch"].astype(np.int64), columns["velocity"].astype(np.int64)
    found = remove_overlaps(Sounds(starts, starts + columns["duration"], np.zeros_like(starts), pitches, velocities))
    notes = np.empty(len(found.starts), dtype=NOTE)
    notes["start"], notes["duration"] = found.starts * tick, (found.ends - found.starts) * tick
    notes["pitch"], notes["velocity"] = found.pitches, found.velocities
    return notes


def check_held(sounds: Sounds, most: int) -> None:
    """Raise CannotExpress if more than `most` notes sound at once."""
    begun = np.searchsorted(np.sort(sounds.starts), sounds.starts, side="right")
    ended = np.searchsorted(np.sort(sounds.ends), sounds.starts, side="left")
    if (found := int((begun - ended).max())) > most:
        raise CannotExpress(f"{found} notes sound at once; at most {most} can be sustained.")


def check_onsets(sounds: Sounds, most: int) -> None:
    """Raise CannotExpress if more than `most` notes begin at once."""
    if (found := int(np.unique(sounds.starts, return_counts=True)[1].max(initial=0))) > most:
        raise CannotExpress(f"{found} notes begin at once; at most {most} can.")
