"""Polyphonic texture: the pitches that several monophonic voices sound at once.

Voices are in the order of the tracks, the highest first. Times are exact, in ticks.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from composer.music.score import Notes, Score

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
    return lines if all((_compute_ends(line)[:-1] <= line["start"][1:]).all() for line in lines) else []


def build_texture(lines: list[Notes], cuts: NDArray[np.int64]) -> Texture:
    """Build the texture of monophonic voices, cut at these ticks too; without voices it is empty."""
    cuts = cuts if lines else cuts[:0]
    starts = np.concatenate([cuts[:0], *(line["start"] for line in lines)])
    times = np.unique(np.concatenate([cuts, starts, *map(_compute_ends, lines)]))
    pitches = np.array([_find_sounding(line, times[:-1]) for line in lines]).reshape(len(lines), len(times[:-1]))
    return Texture(pitches, np.isin(times[:-1], starts), times[:-1], np.diff(times))


def _compute_ends(notes: Notes) -> NDArray[np.int64]:
    return np.asarray(notes["start"] + notes["duration"])


def _find_sounding(line: Notes, times: NDArray[np.int64]) -> NDArray[np.int64]:
    note = np.searchsorted(line["start"], times, side="right") - 1
    return np.where((note >= 0) & (_compute_ends(line)[note] > times), line["pitch"][note], -1)


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
