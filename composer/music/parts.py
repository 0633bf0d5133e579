"""Parts: a track of a score by its name or number, the melody among them, and the ranges of singers."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np

from composer.errors import BadOption, RequestWarning, printable, suggest
from composer.music.keys import name_pitch
from composer.music.score import Score, Track

RANGES = {"soprano": (60, 81), "alto": (53, 74), "tenor": (48, 69), "bass": (40, 64)}
"""The usual ranges of a choir's voices, as pitches."""


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


def select_melody(score: Score, name: str | None) -> Score:
    """Return a score with the track of a melody alone, by name or number, or the only one that has notes.

    Warns with RequestWarning of tracks that are left out. Raises BadOption for several, and for one without pitches.
    """
    parts = [track for track in score.tracks if len(track.notes)]
    if all(track.is_drum for track in parts):
        raise BadOption("a melody is one part with pitches, and there is none.")
    if name is not None:
        part = score.tracks[find_voice(score, name)]
        if part.is_drum or not len(part.notes):
            raise BadOption(f"track '{printable(name)}' has no pitches, and cannot be the melody.")
        if len(parts) > 1:
            text = f"{len(parts) - 1} other track{'s are' if len(parts) > 2 else ' is'} left out."
            warnings.warn(text, RequestWarning, stacklevel=3)
        return replace(score, tracks=(part,))
    if len(parts) > 1 or parts[0].is_drum:
        shown = ", ".join(printable(track.name) or str(number) for number, track in enumerate(score.tracks, start=1))
        raise BadOption(
            f"a melody is one part, and there are {len(parts)}; to keep one voice of several, fill the others, or "
            f"choose one with --track: {shown}."
        )
    return replace(score, tracks=(parts[0],))


def warn_of_range(voice: str, melody: Track, semitones: int) -> None:
    """Warn with RequestWarning of a melody, read so many semitones higher, that lies beyond what the voice sings."""
    low, high = RANGES.get(voice.casefold(), (0, 127))
    pitches = melody.notes["pitch"].astype(int) + semitones
    if np.mean((pitches < low - 2) | (pitches > high + 2)) <= 0.1:
        return
    octaves = [12 * octave for octave in (1, -1, 2, -2, 3, -3) if _count_outside(pitches + 12 * octave, low, high) == 0]
    moved = semitones + min(octaves, key=abs) if octaves else 0
    advice = f"; --transpose {moved} lets the model read it there, and moves all back" if octaves else ""
    text = f"the melody goes from {name_pitch(pitches.min())} to {name_pitch(pitches.max())}, and the {voice.lower()} "
    text += f"of this model from {name_pitch(low)} to {name_pitch(high)}{advice}."
    warnings.warn(text, RequestWarning, stacklevel=3)


def _count_outside(pitches: np.ndarray, low: int, high: int) -> int:
    return int(np.count_nonzero((pitches < low) | (pitches > high)))
