"""What is counted in a piece of four single-line voices: ranges, crossings, parallels, spacing, leaps; it knows no key.

Voices are in the order of the tracks, the highest first. Times are exact, in ticks.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from composer.listening.heard import ends, lasting
from composer.listening.tallies import counts, pair, steps
from composer.score import Notes, Score

VOICES = ("soprano", "alto", "tenor", "bass")
PITCHES = 128
_PAIRS = tuple(combinations(range(len(VOICES)), 2))
_UPPER, _LOWER = (np.array(voices) for voices in zip(*_PAIRS, strict=True))
_OCTAVE, _FIFTH = 12, 7


def voices_tally(score: Score, beats: float) -> dict[str, NDArray[np.float64]]:
    """The counts of a piece in four voices; for any other piece all are zero but the whole of `four voices`."""
    lines = single_lines(score)
    if len(lines) != len(VOICES):
        return {**{name: np.zeros(size) for name, size in _SIZES.items()}, "four voices": pair(0, 1)}
    texture = texture_of(lines)
    pitches = [line["pitch"].astype(np.int64) for line in lines]
    leaps = sum(int(np.sum(np.abs(steps(line)) > _OCTAVE)) for line in pitches)
    return {
        **{voice: counts(line, PITCHES) for voice, line in zip(VOICES, pitches, strict=True)},
        "four voices": pair(1, 1),
        "crossings": crossings(texture),
        "wide": wide_spacing(texture),
        "fifths": pair(parallels(texture, _FIFTH), beats),
        "octaves": pair(parallels(texture, 0), beats),
        "leaps": pair(leaps, sum(map(len, pitches))),
    }


_SIZES = dict.fromkeys(VOICES, PITCHES) | dict.fromkeys(("crossings", "wide", "fifths", "octaves", "leaps"), 2)


def single_lines(score: Score) -> list[Notes]:
    """The voices of `score`: its tracks with notes, drums left out; none if in one of them two notes overlap."""
    lines = [lasting(track.notes) for track in score.tracks if not track.is_drum]
    lines = [line for line in lines if len(line)]
    return lines if all((ends(line)[:-1] <= line["start"][1:]).all() for line in lines) else []


@dataclass(frozen=True, eq=False)
class Texture:
    """What the voices sound (voices, M) in each stretch of time (M,) in which nothing begins or ends."""

    pitches: NDArray[np.int64]  # -1 for silence
    struck: NDArray[np.bool_]  # (M,) whether any voice strikes at the beginning
    ticks: NDArray[np.int64]  # (M,) how long it lasts


def texture_of(lines: list[Notes]) -> Texture:
    """The texture of single-line voices."""
    times = np.unique(np.concatenate([moment for line in lines for moment in (line["start"], ends(line))]))
    starts = np.concatenate([line["start"] for line in lines])
    pitches = np.array([_sounding(line, times[:-1]) for line in lines])
    return Texture(pitches, np.isin(times[:-1], starts), np.diff(times))


def _sounding(line: Notes, times: NDArray[np.int64]) -> NDArray[np.int64]:
    note = np.searchsorted(line["start"], times, side="right") - 1
    return np.where((note >= 0) & (ends(line)[note] > times), line["pitch"][note], -1)


def crossings(texture: Texture) -> NDArray[np.float64]:
    """(2,) ticks with some voice below a lower one, and ticks in which two voices or more sound."""
    upper, lower = texture.pitches[_UPPER], texture.pitches[_LOWER]
    both = (upper >= 0) & (lower >= 0)
    crossed = (both & (upper < lower)).any(axis=0)
    return pair(texture.ticks[crossed].sum(), texture.ticks[both.any(axis=0)].sum())


def wide_spacing(texture: Texture) -> NDArray[np.float64]:
    """(2,) ticks with more than an octave between neighbours of the upper three voices, and ticks with all three."""
    three = texture.pitches[:3]
    complete = (three >= 0).all(axis=0)
    apart = (np.abs(np.diff(three, axis=0)) > _OCTAVE).any(axis=0)
    return pair(texture.ticks[complete & apart].sum(), texture.ticks[complete].sum())


def parallels(texture: Texture, interval: int) -> int:
    """How often two voices move the same way from this interval (semitones within an octave) to the same again."""
    struck = texture.pitches[:, texture.struck]
    upper, lower = struck[_UPPER], struck[_LOWER]
    there = (upper >= 0) & (lower >= 0) & (np.abs(upper - lower) % _OCTAVE == interval)
    together = np.sign(np.diff(upper)) * np.sign(np.diff(lower)) > 0
    return int(np.sum(there[:, :-1] & there[:, 1:] & together))
