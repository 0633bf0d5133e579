"""Parts: a track of a score by its name or number, and the one that has the melody."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from composer.errors import BadOption, printable, suggest
from composer.music.score import Notes, Score, Track

LINE = 0.9
"""Share of the onsets of a melody that have one note alone."""

DOUBLE = 2.2
"""Notes at an onset, on average, of a melody in double stops."""

_NAMES = re.compile(r"\b(melody|lead|tune|vocals?|voice|singer|solo|soprano|fiddle)\b", re.IGNORECASE)


def find_voice(score: Score, name: str) -> int:
    """Find a track by its name, or its number from 1. Raises BadOption."""
    names = [track.name.casefold() for track in score.tracks]
    wanted = name.strip().casefold()
    if wanted in names:
        return names.index(wanted)
    if wanted.isdecimal() and 1 <= int(wanted) <= len(names):
        return int(wanted) - 1
    shown = [track_name or str(number) for number, track_name in enumerate(names, start=1)]
    raise BadOption(f"unknown voice '{printable(name.strip())}'; {suggest(wanted, shown)}")


def keep_melody(score: Score) -> Score:
    """Keep the melody alone: the track that is named so, or else the highest single line, cut at the next onset.

    Of chords in it the top notes are kept; beside other parts it may be in double stops. A score without any such track
    stays as it is.
    """
    pitched = [track for track in score.tracks if not track.is_drum and len(track.notes)]
    singles = [_compute_single_share(track) for track in pitched]
    if singles == [1.0]:
        return score
    lines = [track for track, share in zip(pitched, singles, strict=True) if share >= LINE]
    if not lines and len(pitched) > 1:
        lines = [track for track in pitched if len(track.notes) <= DOUBLE * len(np.unique(track.notes["start"]))]
    if not lines:
        return score
    best = max(lines, key=lambda track: (bool(_NAMES.search(track.name)), float(track.notes["pitch"].mean())))
    return replace(score, tracks=(replace(best, notes=_cut_top_line(best)),))


def _compute_single_share(track: Track) -> float:
    """Compute the share of onsets with one note alone."""
    return float(np.mean(np.unique(track.notes["start"], return_counts=True)[1] == 1))


def _cut_top_line(track: Track) -> Notes:
    notes = np.sort(track.notes, order=["start", "pitch"])
    top = notes[np.append(notes["start"][1:] != notes["start"][:-1], True)].copy()
    top["duration"][:-1] = np.minimum(top["duration"][:-1], np.diff(top["start"]))
    return top
