"""The view of a score in which metrics count: pitched notes, bars and beats, top line, voices.

The texture of a piece is the pitches that several monophonic voices sound at once. Voices are in the order of the
tracks, the highest first. Times are exact, in ticks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from composer.errors import CannotExpress, printable
from composer.music.keys import Key
from composer.music.score import NOTE, Notes, Score, compute_bars
from composer.tokens.bar_encoding import find_key

# --- the texture of voices --------------------------------------------------------------------------------------------


OCTAVE, FIFTH, UNISON = 12, 7, 0


@dataclass(frozen=True, eq=False)
class Texture:
    """The pitches of the voices (voices, M) in each stretch of time (M,) in which nothing begins or ends."""

    pitches: NDArray[np.int64]  # -1 for silence
    is_onset: NDArray[np.bool_]  # (M,) whether any note begins there
    starts: NDArray[np.int64]  # (M,) its start
    ticks: NDArray[np.int64]  # (M,) its duration


def find_voices(score: Score) -> list[Notes]:
    """List the voices: the tracks with notes, without drums; none if notes overlap within a track."""
    lines = [track.notes[track.notes["duration"] > 0] for track in score.tracks if not track.is_drum]
    lines = [line for line in lines if len(line)]
    return lines if all((compute_ends(line)[:-1] <= line["start"][1:]).all() for line in lines) else []


def build_texture(lines: list[Notes], cuts: NDArray[np.int64]) -> Texture:
    """Build the texture of monophonic voices, cut at these ticks too; without voices it is empty."""
    cuts = cuts if lines else cuts[:0]
    starts = np.concatenate([cuts[:0], *(line["start"] for line in lines)])
    times = np.unique(np.concatenate([cuts, starts, *map(compute_ends, lines)]))
    pitches = np.array([_find_sounding(line, times[:-1]) for line in lines]).reshape(len(lines), len(times[:-1]))
    return Texture(pitches, np.isin(times[:-1], starts), times[:-1], np.diff(times))


def _find_sounding(line: Notes, times: NDArray[np.int64]) -> NDArray[np.int64]:
    note = np.searchsorted(line["start"], times, side="right") - 1
    return np.where((note >= 0) & (compute_ends(line)[note] > times), line["pitch"][note], -1)


def pair_voices(pitches: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair the upper and the lower voice (pairs, M) of every two voices."""
    pairs = np.array(list(combinations(range(len(pitches)), 2)), dtype=np.int64).reshape(-1, 2)
    return pitches[pairs[:, 0]], pitches[pairs[:, 1]]


def find_parallels(texture: Texture, interval: int) -> NDArray[np.int64]:
    """Find the ticks at which two voices move in parallel from this interval to the same again.

    The interval is in semitones within an octave; a tick comes once for each pair of voices.
    """
    upper, lower = pair_voices(texture.pitches[:, texture.is_onset])
    there = (upper >= 0) & (lower >= 0) & (np.abs(upper - lower) % OCTAVE == interval)
    together = np.sign(np.diff(upper)) * np.sign(np.diff(lower)) > 0
    moved = there[:, :-1] & there[:, 1:] & together
    return texture.starts[texture.is_onset][1:][np.nonzero(moved)[1]]


# --- the view of a score ----------------------------------------------------------------------------------------------


VOICES = 4
"""Voices of a piece for which voice-leading is measured."""


@dataclass(frozen=True, eq=False)
class ScoreView:
    """The view of a score in which metrics count. A row is a bar or a pickup; a piece without bars has one row.

    Bars extend to the end of the last note, or to the marker of the piece's end.
    """

    score: Score
    notes: Notes  # (N,) of all tracks but drums, by start, then pitch; none shorter than a tick
    key: Key  # of the first key signature, or else estimated from the notes
    starts: NDArray[np.int64]  # (rows + 1,) ticks
    origins: NDArray[np.int64]  # (rows,) where each bar would begin if complete: earlier for a pickup
    is_bar: NDArray[np.bool_]  # (rows,) whether it begins with a downbeat; a pickup does not
    beat_ticks: NDArray[np.int64]  # (rows,) a beat is a dotted value in compound time

    @property
    def rows(self) -> int:
        """Bars, with the pickup; at least 1."""
        return len(self.origins)

    @property
    def bars(self) -> int:
        """Bars, without the pickup, that begin before the last note ends."""
        return int(np.sum(self.is_bar & (self.starts[:-1] < self.score.end)))

    @cached_property
    def bar_beats(self) -> NDArray[np.float64]:
        """(rows,) the beats of each bar, up to the end of the last note."""
        return np.asarray(np.diff(np.minimum(self.starts, self.score.end)) / self.beat_ticks)

    @property
    def beats(self) -> float:
        """From the first tick to the end of the last note."""
        return float(np.sum(self.bar_beats))

    def find_bar(self, ticks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Find the row in which each tick lies; the end of the piece lies in the last."""
        return np.asarray(np.clip(np.searchsorted(self.starts, ticks, side="right") - 1, 0, self.rows - 1))

    @cached_property
    def rows_of_notes(self) -> NDArray[np.int64]:
        """(N,) the row in which each note begins."""
        return self.find_bar(self.notes["start"])

    @cached_property
    def top_line(self) -> Notes:
        """The notes with no higher one sounding at their onset."""
        return find_top_line(self.notes)

    @cached_property
    def lines(self) -> list[Notes]:
        """The four voices, in the order of the tracks; empty unless the piece has four monophonic voices."""
        lines = find_voices(self.score)
        return lines if len(lines) == VOICES else []

    @cached_property
    def texture(self) -> Texture:
        """The pitches of the four voices in each stretch of time, cut at bar lines too; empty without voices."""
        return build_texture(self.lines, self.starts)


def view_score(score: Score) -> ScoreView:
    """View `score` for counting. Raises CannotExpress for more bars than `composer.music.score.compute_bars` allows."""
    parts = [
        notes for track in score.tracks if not track.is_drum for notes in [select_lasting(track.notes)] if len(notes)
    ]
    notes = np.concatenate(parts) if parts else np.empty(0, NOTE)
    in_order = notes[np.lexsort((notes["pitch"], notes["start"]))]
    try:
        found = compute_bars(score, score.length)
    except ValueError as error:
        raise CannotExpress(f"the piece '{printable(score.title)}' cannot be measured: it has {error}.") from None
    key = find_key(score)
    if not len(found.signature_index):
        nothing = np.zeros(1, dtype=np.int64)
        return ScoreView(score, in_order, key, np.zeros(2, dtype=np.int64), nothing, nothing > 0, nothing + 1)
    beats = np.array([metre.beat_ticks for metre in found.time_signatures])[found.signature_index]
    return ScoreView(score, in_order, key, found.starts, found.nominal, found.nominal == found.starts[:-1], beats)


def select_lasting(notes: Notes) -> Notes:
    """Select the notes that last at least a tick."""
    return notes[notes["duration"] > 0]


def compute_ends(notes: Notes) -> NDArray[np.int64]:
    """Compute (N,) the tick at which each note ends."""
    return np.asarray(notes["start"] + notes["duration"])


def find_top_line(notes: Notes) -> Notes:
    """Find the notes with no higher one sounding at their onset, by start; one of each unison."""
    times = np.unique(notes["start"])
    highest = _find_highest(notes, times)
    top = notes[notes["pitch"] == highest[np.searchsorted(times, notes["start"])]]
    first = np.unique(top["start"], return_index=True)[1]
    return np.asarray(top[first])


def _find_highest(notes: Notes, times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find (times,) the highest pitch that sounds at each of these onsets."""
    highest = np.full(len(times), -1)
    for pitch in np.unique(notes["pitch"]):  # rising, so that the highest overwrites the others
        own = notes[notes["pitch"] == pitch]
        begun = np.bincount(np.searchsorted(times, own["start"]), minlength=len(times) + 1)
        ended = np.bincount(np.searchsorted(times, compute_ends(own)), minlength=len(times) + 1)
        highest[np.cumsum(begun - ended)[:-1] > 0] = pitch
    return highest


def find_final_chord(notes: Notes) -> NDArray[np.int64]:
    """Find the pitches that sound at the last onset, rising; empty for a piece without notes."""
    if not len(notes):
        return np.empty(0, np.int64)
    last = notes["start"].max()
    return np.sort(notes["pitch"][compute_ends(notes) > last].astype(np.int64))
