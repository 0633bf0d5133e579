"""How given drums are played: each hit with another loudness and another offset from the grid, and no other change.

A tokenizer writes one hit of a class at a position. A file may have more: a flam, a roll of 32nds, a rim shot with the
snare. These go along with the loudest of them, at their distance.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np

from composer.errors import CannotExpress, RequestWarning, printable
from composer.generation.readings import find_grid
from composer.music.score import TICKS_PER_QUARTER, Notes, Score, compute_bars, concatenate_notes
from composer_drums.events import Events, Ints
from composer_drums.hits import find_hits
from composer_drums.kit import CLASS_OF_SOUND, SOUNDS
from composer_drums.placing import Hits

FINER = (TICKS_PER_QUARTER // 8, TICKS_PER_QUARTER // 6)
"""Steps of the grids on which written music may lie beside that of the positions: 32nds, and triplets of 16ths."""

MOST_SHOWN = 4
"""Tracks that a warning names."""


def check_drums(score: Score) -> None:
    """Raise CannotExpress for a score without drums; warn with RequestWarning of what stays as it is."""
    drums = concatenate_notes([track.notes for track in score.tracks if track.is_drum])
    others = [track.name for track in score.tracks if not track.is_drum and len(track.notes)]
    known = CLASS_OF_SOUND[drums["pitch"]] >= 0
    if not known.any():
        raise CannotExpress("there are no drums in it, and this model plays drums; other parts stay as they are.")
    if others:
        names = ", ".join(printable(name) or "one without a name" for name in others[:MOST_SHOWN])
        more = f" and {len(others) - MOST_SHOWN} more" if len(others) > MOST_SHOWN else ""
        _warn(f"this model plays drums; other parts stay as they are: {names}{more}.")
    if not known.all():
        sounds = ", ".join(map(str, np.unique(drums["pitch"][~known]).tolist()))
        _warn(f"the model has not these sounds of the drums, which stay as they are: {sounds}.")


def _warn(text: str) -> None:
    warnings.warn(text, RequestWarning, stacklevel=4)


def play_drums(events: Events, given: Score, answer: Score, strength: float) -> Score:
    """Return `given` with its drums between stiff and played: 0 is on the grid, 1 is as in `answer`.

    `answer` has the hits of `given` as the model writes them, with its own loudness and offsets. Of each note that the
    model has heard change onset, length and velocity; it stays in the order of its sound, and in the piece.
    """
    _, hits = find_hits(events, given)
    played = _read_answer(events, hits, answer)
    is_written = find_grid(concatenate_notes([track.notes for track in given.tracks if track.is_drum])) == 0
    moving = _Moving(events, hits, played, is_written, strength, int(compute_bars(given).starts[-1]))
    tracks = [replace(track, notes=moving.move(track.notes)) if track.is_drum else track for track in given.tracks]
    return replace(given, tracks=tuple(tracks))


def _read_answer(events: Events, hits: Hits, answer: Score) -> Hits:
    """Return `hits` with loudness and offsets of `answer`, which has the same hits of each class in the same order."""
    notes = concatenate_notes([track.notes for track in answer.tracks])
    velocities, offsets = np.zeros_like(hits.velocities), np.zeros_like(hits.offsets)
    for kind, sound in enumerate(SOUNDS.tolist()):
        there = hits.classes == kind
        own = np.sort(notes[notes["pitch"] == sound], order="start")
        velocities[there] = own["velocity"]
        offsets[there] = own["start"].astype(np.int64) // events.fine_ticks - hits.steps[there] * events.fine
    return replace(hits, velocities=velocities, offsets=offsets)


@dataclass(frozen=True)
class _Moving:
    """What moves the notes of a track."""

    events: Events
    hits: Hits  # as given
    played: Hits  # the same, as the model plays them
    is_written: bool  # on a grid, so that 32nds are where they are meant to be
    strength: float
    end: int  # of the last bar, in ticks

    def move(self, notes: Notes) -> Notes:
        """Move the notes (N,) of a track that have a class."""
        heard = np.flatnonzero(CLASS_OF_SOUND[notes["pitch"]] >= 0)
        heard = heard[np.lexsort((notes["start"][heard], notes["pitch"][heard]))]
        own = notes[heard]
        starts, pitches = own["start"].astype(np.int64), own["pitch"].astype(np.int64)
        index = self._find_hits(starts, CLASS_OF_SOUND[pitches])
        changed = notes.copy()
        onsets = self._move_onsets(own, index)
        onsets = _keep_order(np.clip(onsets, 0, max(self.end - 1, 0)), pitches)
        changed["start"][heard] = onsets
        changed["duration"][heard] = _cut_lengths(onsets, own["duration"].astype(np.int64), pitches, self.end)
        if self.events.velocities:
            more = self.strength * (self.played.velocities - self.hits.velocities)[index]
            changed["velocity"][heard] = np.clip(np.rint(own["velocity"] + more), 1, 127)
        return np.sort(changed, order=["start", "pitch"])

    def _find_hits(self, starts: Ints, classes: Ints) -> Ints:
        """Find (N,) the hit of each note: the nearest one of its class."""
        onsets = (self.hits.steps * self.events.fine + self.hits.offsets) * self.events.fine_ticks
        found = np.zeros_like(starts)
        for kind in np.unique(classes):
            of = np.flatnonzero(self.hits.classes == kind)
            here = classes == kind
            after = np.clip(np.searchsorted(onsets[of], starts[here]), 1, max(len(of) - 1, 1))
            pair = np.minimum(np.stack([after - 1, after]), len(of) - 1)
            nearer = np.abs(onsets[of][pair] - starts[here]).argmin(axis=0)
            found[here] = of[np.take_along_axis(pair, nearer[None], axis=0)[0]]
        return found

    def _move_onsets(self, notes: Notes, index: Ints) -> Ints:
        """Move onsets (N,): those of the grid, and the offset of each hit by its strength."""
        starts = notes["start"].astype(np.int64)
        if not self.events.fine_steps:
            return starts
        # Of one sound that a hit stands for several times, the loudest note is the hit, and the others go along.
        order = np.lexsort((starts, -notes["velocity"].astype(np.int64), notes["pitch"], index))
        keys = index[order] * 128 + notes["pitch"][order]
        begins = np.flatnonzero(np.append(True, np.diff(keys) != 0))
        leader = np.empty_like(order)
        leader[order] = np.repeat(order[begins], np.diff(np.append(begins, len(order))))
        anchors = self._find_anchors(starts, self.hits.steps[index] * self.events.grid.step_ticks)
        offsets = self.played.offsets[index] * self.events.fine_ticks
        moved: Ints = anchors[leader] + starts - starts[leader] + np.rint(self.strength * offsets).astype(np.int64)
        return moved

    def _find_anchors(self, starts: Ints, positions: Ints) -> Ints:
        """Find (N,) where each note is on the grid: at its position, or in written music where a finer grid has it."""
        if not self.is_written:
            return positions
        anchors = positions.copy()
        for step in FINER:
            nearest = (starts + step // 2) // step * step
            anchors = np.where(np.abs(starts - nearest) <= 2, nearest, anchors)
        return anchors


def _keep_order(onsets: Ints, pitches: Ints) -> Ints:
    """Delay onsets (N,), sorted by pitch and then as given, that come before the one before them, or with it."""
    place, far = np.arange(len(onsets)), 2**40
    raised: Ints = np.maximum.accumulate(pitches * far + onsets - place) + place - pitches * far
    return raised


def _cut_lengths(onsets: Ints, lengths: Ints, pitches: Ints, end: int) -> Ints:
    """Cut lengths (N,) at the next onset of the same pitch, and at the end of the piece."""
    ends = np.minimum(onsets + lengths, max(end, 1))
    again = np.flatnonzero(np.diff(pitches) == 0)
    ends[again] = np.minimum(ends[again], onsets[again + 1])
    return np.maximum(ends - onsets, 1)
