"""Transforms of time: `quantize`, `humanize` and `tempo`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from composer.errors import CannotExpress
from composer.music.score import TICKS_PER_QUARTER, Bars, Notes, Score, Tempo, Track, compute_bars, concatenate_notes
from composer.music.tempo_map import USUAL_TEMPO

Ticks = NDArray[np.int64]

FINEST = 48
"""Steps a quarter note, at most."""

SLOWEST, FASTEST = 5.0, 1000.0
"""Quarter notes a minute that every format holds."""


def _check_grid(grid: int) -> None:
    if not 1 <= grid <= FINEST:
        raise ValueError(f"'grid' is {grid}, and must be from 1 to {FINEST} steps a quarter note")


def _check_share(name: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"'{name}' is {share}, and must be from 0 to 1")


def _find_bars(score: Score) -> Bars:
    """Return the bars of a score, one at its end included. Raises CannotExpress for too many."""
    try:
        return compute_bars(score, score.length + 1)
    except ValueError as error:
        raise CannotExpress(f"the piece has {error}, and cannot be put on a grid.") from None


@dataclass(frozen=True, eq=False)
class _Grid:
    """The grid of a score: quarters from each bar line, each divided in straight steps, or in triplets."""

    bars: Bars
    steps: int  # of a straight quarter
    triplets: Ticks  # the begins of quarters that are divided in triplets

    @cached_property
    def _rows(self) -> int:
        return len(self.bars.nominal)

    def find_quarter(self, ticks: Ticks) -> tuple[Ticks, Ticks]:
        """Return the bar (n,) of each tick, and the begin (n,) of its quarter."""
        row = np.clip(np.searchsorted(self.bars.starts, ticks, side="right") - 1, 0, self._rows - 1)
        origin = self.bars.nominal[row]
        return row, origin + (ticks - origin) // TICKS_PER_QUARTER * TICKS_PER_QUARTER

    def round(self, ticks: Ticks, steps: int | None = None) -> Ticks:
        """Return the nearest point (n,) of each tick; a bar line is one."""
        row, point = self._find_point(ticks, steps, 0)
        line = self.bars.starts[row + 1]
        return np.where(line - ticks < np.abs(ticks - point), line, point)

    def advance(self, points: Ticks) -> Ticks:
        """Return the next point (n,) after each point, which may be a bar line."""
        return self._find_point(points, None, 1)[1]

    def _find_point(self, ticks: Ticks, steps: int | None, later: int) -> tuple[Ticks, Ticks]:
        """Return the bar (n,) of each tick, and the nearest point (n,) of its quarter, or one so many steps later."""
        row, begin = self.find_quarter(ticks)
        count = steps or np.where(np.isin(begin, self.triplets), self.steps * 3 // 2, self.steps)
        step = ((ticks - begin) * count * 2 + TICKS_PER_QUARTER) // (2 * TICKS_PER_QUARTER) + later
        point = begin + (2 * step * TICKS_PER_QUARTER + count) // (2 * count)
        return row, np.clip(point, self.bars.starts[row], self.bars.starts[row + 1])


def _make_grid(score: Score, steps: int, *, triplets: bool) -> _Grid:
    """Make the grid of a score. With `triplets`, a quarter is divided in them if that moves its onsets less."""
    grid = _Grid(_find_bars(score), steps, np.zeros(0, dtype=np.int64))
    if not triplets:
        return grid
    onsets = concatenate_notes([track.notes for track in score.tracks])["start"]
    begins, at = np.unique(grid.find_quarter(onsets)[1], return_inverse=True)
    straight, three = (
        np.bincount(at, (onsets - grid.round(onsets, count)) ** 2.0, len(begins)) for count in (steps, steps * 3 // 2)
    )
    return replace(grid, triplets=begins[three < straight])


def _sort_notes(notes: Notes) -> Notes:
    return notes[np.lexsort((notes["pitch"], notes["start"]))]


def _set_times(notes: Notes, starts: Ticks, ends: Ticks) -> Notes:
    """Give notes other times. Those of one pitch that did not overlap still do not; each lasts a tick at least."""
    order = np.lexsort((notes["start"], notes["pitch"]))
    old, starts, ends = notes[order], starts[order], ends[order]
    was_apart = (old["pitch"][1:] == old["pitch"][:-1]) & (old["start"][:-1] + old["duration"][:-1] <= old["start"][1:])
    ends[:-1] = np.where(was_apart, np.minimum(ends[:-1], starts[1:]), ends[:-1])
    moved = old.copy()
    moved["start"], moved["duration"] = starts, np.maximum(ends - starts, 1)
    return _sort_notes(moved)


def _merge_equal(notes: Notes) -> Notes:
    """Merge notes of one pitch at one tick: the longest and loudest of them."""
    if not len(notes):
        return notes
    first = np.ones(len(notes), dtype=bool)
    first[1:] = (notes["start"][1:] != notes["start"][:-1]) | (notes["pitch"][1:] != notes["pitch"][:-1])
    merged = notes[first]
    for name in ("duration", "velocity"):
        merged[name] = np.maximum.reduceat(notes[name], np.flatnonzero(first))
    return merged


# --- quantize ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Quantize:
    """Move onsets and ends to a grid that begins at each bar line.

    Ends go to the grid of their beat as onsets do, so that a long and a short note of a swung pair stay long and short,
    and notes that met still meet; none is shorter than a step. With `triplets`, each quarter note is divided straight
    (in `grid` steps) or in triplets (three for two of them), whichever moves its onsets less. Notes of one pitch that
    fall on one step become one.
    """

    of_notes: ClassVar[bool] = True

    grid: Annotated[int, "steps a quarter note", "4"] = 4
    strength: Annotated[float, "share of the way to the grid, 0 to 1"] = 1.0
    triplets: Annotated[bool, "whether a quarter note may be divided in triplets"] = False

    def __post_init__(self) -> None:
        """Check every value."""
        _check_grid(self.grid)
        _check_share("strength", self.strength)
        if self.triplets and self.grid % 2:
            raise ValueError(f"'grid' is {self.grid}, and triplets need an even number of steps")

    @property
    def idempotent(self) -> bool:
        """Whether a piece on the grid stays as it is."""
        return self.strength == 1

    def __call__(self, score: Score, rng: np.random.Generator) -> Score:
        """Quantize a score. Raises CannotExpress for one of too many bars."""
        if not score.note_count:
            return score
        grid = _make_grid(score, self.grid, triplets=self.triplets)
        return replace(
            score, tracks=tuple(replace(track, notes=self._move_notes(grid, track.notes)) for track in score.tracks)
        )

    def _move_notes(self, grid: _Grid, notes: Notes) -> Notes:
        starts, ends = notes["start"], notes["start"] + notes["duration"]
        onsets, targets = grid.round(starts), grid.round(ends)
        targets = np.where(targets <= onsets, grid.advance(onsets), targets)
        return _merge_equal(_set_times(notes, self._approach(starts, onsets), self._approach(ends, targets)))

    def _approach(self, ticks: Ticks, targets: Ticks) -> Ticks:
        return ticks + np.rint(self.strength * (targets - ticks)).astype(np.int64)


# --- humanize ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Humanize:
    """Play as a person does: onsets a little early or late, the strong beats of a bar louder than the weak ones.

    Onsets keep their order, and stay within half a step of `grid`, so that quantizing leads back. The parts move
    together, and notes of a chord nearly so. Notes that met still meet.
    """

    of_notes: ClassVar[bool] = True

    timing: Annotated[float, "most that an onset moves, as a share of half a step, 0 to 1"] = 0.3
    loudness: Annotated[int, "most that velocities change at random"] = 8
    accents: Annotated[int, "how much louder a bar begins; other beats less so, and off the beat softer"] = 6
    grid: Annotated[int, "steps a quarter note", "4"] = 4

    def __post_init__(self) -> None:
        """Check every value."""
        _check_grid(self.grid)
        _check_share("timing", self.timing)
        for name, value in (("loudness", self.loudness), ("accents", self.accents)):
            if not 0 <= value <= 127:
                raise ValueError(f"'{name}' is {value}, and must be from 0 to 127")

    def __call__(self, score: Score, rng: np.random.Generator) -> Score:
        """Humanize a score. Raises CannotExpress for one of too many bars."""
        if not score.note_count:
            return score
        bars = _find_bars(score)
        onsets = np.unique(concatenate_notes([track.notes for track in score.tracks])["start"])
        shifts = _Shifts(onsets, *self._find_room(onsets, score.length), self._reach, rng)
        tracks = [self._play(track, shifts, self._weigh(bars, track.notes["start"]), rng) for track in score.tracks]
        return replace(score, tracks=tuple(tracks))

    @property
    def _half(self) -> int:
        """Half a step, in ticks; onsets stay nearer than that."""
        return TICKS_PER_QUARTER // (2 * self.grid)

    @property
    def _reach(self) -> float:
        return self.timing * max(self._half - 1, 0)

    def _find_room(self, onsets: Ticks, end: int) -> tuple[Ticks, Ticks]:
        """Return how far each onset may move (n,) early and late: less than half the way to the next."""
        gaps = np.diff(onsets)
        reach = np.full(len(onsets), int(self._reach))
        before, after = reach.copy(), reach.copy()
        before[1:] = np.minimum(before[1:], (gaps - 1) // 2)
        after[:-1] = np.minimum(after[:-1], (gaps - 1) // 2)
        return -np.minimum(before, onsets), np.clip(np.minimum(after, end - 1 - onsets), 0, None)

    def _weigh(self, bars: Bars, onsets: Ticks) -> NDArray[np.float64]:
        """Weigh onsets (n,) by the metre: 1 at a bar line, less on a beat, below 0 off it."""
        near = max(min(self._half, TICKS_PER_QUARTER // 8), 1)
        row = np.clip(np.searchsorted(bars.starts, onsets + near, side="right") - 1, 0, len(bars.nominal) - 1)
        beat = np.array([one.beat_ticks for one in bars.time_signatures])[bars.signature_index[row]]
        position = onsets - bars.nominal[row]
        on_beat = np.abs((position + beat // 2) % beat - beat // 2) < near
        return np.where(np.abs(position) < near, 1.0, np.where(on_beat, 0.4, -0.4))

    def _play(self, track: Track, shifts: _Shifts, weights: NDArray[np.float64], rng: np.random.Generator) -> Track:
        notes = track.notes.copy()
        drawn = np.clip(rng.normal(0, self.loudness / 2, len(notes)), -self.loudness, self.loudness)
        louder = notes["velocity"] + np.rint(self.accents * weights + drawn)
        notes["velocity"] = np.clip(louder, 1, 127)
        return replace(track, notes=shifts.move_notes(notes, rng))


@dataclass(frozen=True, eq=False)
class _Shifts:
    """How far the onsets of a score move: all parts together, each part a little by itself."""

    onsets: Ticks  # (n,) of the whole score, sorted
    least: Ticks  # (n,) 0 or below
    most: Ticks  # (n,) 0 or above
    reach: float
    rng: np.random.Generator

    @cached_property
    def common(self) -> NDArray[np.float64]:
        """The shifts (n,) that all parts share."""
        return self.rng.normal(0, 0.4 * self.reach, len(self.onsets))

    def move_notes(self, notes: Notes, rng: np.random.Generator) -> Notes:
        """Move the notes of one track. Those that ended at an onset of the track end there again."""
        if not len(notes):
            return notes
        at = np.searchsorted(self.onsets, notes["start"])
        own = rng.normal(0, 0.2 * self.reach, len(self.onsets))
        alone = rng.normal(0, 0.05 * self.reach, len(notes))
        shift = np.clip(np.rint(self.common[at] + own[at] + alone), self.least[at], self.most[at]).astype(np.int64)
        starts = notes["start"] + shift
        ends = notes["start"] + notes["duration"]
        return _set_times(notes, starts, self._follow_onsets(notes, starts, ends, shift))

    def _follow_onsets(self, notes: Notes, starts: Ticks, ends: Ticks, shift: Ticks) -> Ticks:
        """Return the new ends (n,): with the onset they met, or else with their note, but not past the last end."""
        met, first = np.unique(notes["start"], return_index=True)
        earliest = np.minimum.reduceat(starts, first)
        place = np.minimum(np.searchsorted(met, ends), len(met) - 1)
        return np.where(met[place] == ends, earliest[place], np.minimum(ends + shift, max(int(ends.max()), 1)))


# --- tempo ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ScaleTempo:
    """Play faster or slower: every tempo times `factor`, or times one drawn within `reach`.

    A piece without a tempo has 120 quarter notes a minute.
    """

    factor: Annotated[float | None, "1.1 is a tenth faster; none: drawn at random", "1.1"] = None
    reach: Annotated[float, "where it is drawn: 0.1 is from 1/1.1 to 1.1"] = 0.1

    def __post_init__(self) -> None:
        """Check both values."""
        if self.factor is not None and not 0.01 <= self.factor <= 100:
            raise ValueError(f"'factor' is {self.factor}, and must be from 0.01 to 100")
        if not 0 <= self.reach <= 10:
            raise ValueError(f"'reach' is {self.reach}, and must be from 0 to 10")

    def __call__(self, score: Score, rng: np.random.Generator) -> Score:
        """Scale the tempos of a score. Raises CannotExpress beyond 5 to 1000 quarter notes a minute."""
        tempos = score.tempos
        if not tempos or tempos[0].tick > 0:
            tempos = (Tempo(0, USUAL_TEMPO), *tempos)
        slowest, fastest = min(one.bpm for one in tempos), max(one.bpm for one in tempos)
        factor = self._draw_factor(slowest, fastest, rng) if self.factor is None else self.factor
        if not (slowest * factor >= SLOWEST and fastest * factor <= FASTEST):
            raise CannotExpress(f"{factor:g} times the tempo is not from {SLOWEST:g} to {FASTEST:g} beats a minute.")
        return replace(score, tempos=tuple(Tempo(one.tick, round(one.bpm * factor, 6)) for one in tempos))

    def _draw_factor(self, slowest: float, fastest: float, rng: np.random.Generator) -> float:
        least = max(1 / (1 + self.reach), SLOWEST / slowest)
        most = max(min(1 + self.reach, FASTEST / fastest), least)
        return float(np.exp(rng.uniform(np.log(least), np.log(most))))
