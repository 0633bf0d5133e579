"""Sounds: the notes of a score on the grids of its time signatures; it knows no tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.errors import CannotExpress
from composer.music.score import NOTE, Notes, Score, joined
from composer.tokens.bar_encoding import Measures

DRUMS = -1
"""The program of the drums, as MidiTok numbers it."""

SOUNDS = 32
"""Notes of which it is known whether they sound; of notes that are held, no more can be."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Sounds:
    """Notes by start, then program, then pitch; all arrays are (notes,), times in MidiTok's ticks."""

    starts: NDArray[Any]
    ends: NDArray[Any]
    programs: Ints
    pitches: Ints
    velocities: Ints

    def __getitem__(self, which: Any) -> Sounds:
        return Sounds(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


def gathered(score: Score, *, programs: bool, tick: int) -> Sounds:
    """All notes, times rounded to ticks of `tick`. Without `programs` they are all of one, and drums are left out.

    Raises CannotExpress if there are none.
    """
    tracks = [track for track in score.tracks if programs or not track.is_drum]
    notes = joined([track.notes for track in tracks])
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
class Lines:
    """Where bars begin and how fine their grids are, by bar; the last one goes on for ever."""

    starts: Ints
    steps: Ints

    @staticmethod
    def of(found: Measures, step: Ints, first: int) -> Lines:
        """The bars of a score, the first of them whole; `first` is the token of the first time signature."""
        starts = found.starts[:-1] - found.origins[0]
        starts[0] = 0
        return Lines(starts, step[found.metres - first])

    def bar(self, times: NDArray[Any]) -> Ints:
        """The bar in which each time is."""
        return np.searchsorted(self.starts, times, side="right") - 1

    def rounded(self, times: NDArray[Any]) -> Ints:
        """The nearest places on the grid of the bar that each time is in."""
        bar = self.bar(times)
        begin, step = self.starts[bar], self.steps[bar]
        return begin + _nearest((times - begin) / step) * step

    def step(self, times: Ints) -> Ints:
        """The step of the grid at each time."""
        return self.steps[self.bar(times)]


def _nearest(values: NDArray[Any]) -> Ints:
    return np.floor(values + 0.5).astype(np.int64)


def on_grid(sounds: Sounds, lines: Lines, longest: int | None) -> Sounds:
    """Sounds on the grid, in order. Lengths are at most `longest` steps, or end on the grid if that is None.

    Of notes that fall together the longest stays; one that is struck again ends there.
    """
    starts = lines.rounded(sounds.starts)
    step = lines.step(starts)
    if longest is None:
        ends = np.maximum(lines.rounded(sounds.ends), starts + step)
    else:
        ends = starts + np.clip(_nearest((sounds.ends - starts) / step), 1, longest) * step
    return tidy(Sounds(starts, ends, sounds.programs, sounds.pitches, sounds.velocities))


def tidy(sounds: Sounds) -> Sounds:
    """The same in order, never two notes of one pitch at once."""
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


def notes_of(columns: Mapping[str, NDArray[Any]], tick: int) -> Notes:
    """The notes of one track of symusic, tidied, in the ticks of a Score."""
    starts = columns["time"].astype(np.int64)
    pitches, velocities = columns["pitch"].astype(np.int64), columns["velocity"].astype(np.int64)
    found = tidy(Sounds(starts, starts + columns["duration"], np.zeros_like(starts), pitches, velocities))
    notes = np.empty(len(found.starts), dtype=NOTE)
    notes["start"], notes["duration"] = found.starts * tick, (found.ends - found.starts) * tick
    notes["pitch"], notes["velocity"] = found.pitches, found.velocities
    return notes


def check_held(sounds: Sounds, most: int) -> None:
    """Raise CannotExpress if more than `most` notes sound at once."""
    begun = np.searchsorted(np.sort(sounds.starts), sounds.starts, side="right")
    ended = np.searchsorted(np.sort(sounds.ends), sounds.starts, side="left")
    if (found := int((begun - ended).max())) > most:
        raise CannotExpress(f"{found} notes sound at once; at most {most} can be held.")


def check_struck(sounds: Sounds, most: int) -> None:
    """Raise CannotExpress if more than `most` notes are struck at once."""
    if (found := int(np.unique(sounds.starts, return_counts=True)[1].max(initial=0))) > most:
        raise CannotExpress(f"{found} notes are struck at once; at most {most} can be.")
