"""Parts: a track of a score by its name or number, the one that has the melody, and the ranges of singers."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace

import numpy as np

from composer.errors import BadOption, RequestWarning, printable, suggest
from composer.music.keys import name_pitch
from composer.music.score import Notes, Score, Track

LINE = 0.9
"""Share of the onsets of a melody that have one note alone."""

DOUBLE = 2.2
"""Notes at an onset, on average, of a melody in double stops."""

RANGES = {"soprano": (60, 81), "alto": (53, 74), "tenor": (48, 69), "bass": (40, 64)}
"""The usual ranges of a choir's voices, as pitches."""

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


def make_monophonic(notes: Notes, *, lowest: bool = False) -> Notes:
    """Return the highest (or lowest) note at each onset, cut at the next onset."""
    order = np.lexsort((notes["pitch"] if lowest else -notes["pitch"], notes["start"]))
    _, first = np.unique(notes["start"][order], return_index=True)
    melody = notes[order][first].copy()
    melody["duration"][:-1] = np.minimum(melody["duration"][:-1], np.diff(melody["start"]))
    return melody


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


def warn_of_symbols(score: Score) -> None:
    """Warn with RequestWarning of chord symbols that are unknown: of these, root and third count at most."""
    if unknown := sorted({symbol.text for symbol in score.chords if symbol.chord is None}):
        shown = ", ".join(map(printable, unknown[:5])) + (", …" if len(unknown) > 5 else "")
        warnings.warn(f"chord symbols that are taken in part: {shown}.", RequestWarning, stacklevel=3)


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
