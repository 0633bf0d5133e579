"""What drums follow: the rhythm of given music, with its accents, as hits that stand for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from composer.errors import CannotExpress
from composer.music.score import TICKS_PER_QUARTER, Notes, Score, Track, compute_bars, concatenate_notes, make_notes
from composer_drums.events import Ints
from composer_drums.hits import VELOCITY
from composer_drums.kit import KIT

ACCENT, PLAIN = 0, 2
"""Classes that stand for an accent, and for any other onset: bass drum and closed hi-hat."""

LIGHT = (2, 3, 8)
"""Classes that make no accent: hi-hats and ride."""

LOUDER = 16
"""Degrees of velocity between the softest and the loudest onset of music that has accents by loudness."""


def make_guide(given: Score) -> tuple[Score, int]:
    """Make hits with the rhythm of all onsets, in the bars of `given`; return them, and the end of the last bar.

    There is a hit at the beginning of the last bar, too, so that drums last as long. Raises CannotExpress for music
    that has drums already, or no notes.
    """
    notes = concatenate_notes([track.notes for track in given.tracks if not track.is_drum])
    if sum(len(track.notes) for track in given.tracks) > len(notes):
        raise CannotExpress("there are drums already; leave that part out, or rewrite bars of it with `fill`.")
    if not len(notes):
        raise CannotExpress("there are no notes whose rhythm drums could follow.")
    end = int((notes["start"].astype(np.int64) + notes["duration"]).max())
    starts = compute_bars(given, end).starts
    onsets, place = np.unique(notes["start"].astype(np.int64), return_inverse=True)
    classes = np.where(_find_accents(notes, onsets, place, end), ACCENT, PLAIN).tolist()
    last = [] if onsets[-1] >= starts[-2] else [(int(starts[-2]), PLAIN)]
    rows = [
        (tick, 1, KIT[number].sound, VELOCITY) for tick, number in [*zip(onsets.tolist(), classes, strict=True), *last]
    ]
    return replace(given, tracks=(Track(make_notes(rows), is_drum=True),)), int(starts[-1])


def _find_accents(notes: Notes, onsets: Ints, place: Ints, end: int) -> NDArray[np.bool_]:
    """Find (N,) the onsets that are accents: louder than most, or where all are alike, longer: a quarter note at least.

    `place` is the onset of each note.
    """
    loudness = np.zeros(len(onsets), dtype=np.int64)
    np.maximum.at(loudness, place, notes["velocity"].astype(np.int64))
    if np.ptp(loudness) >= LOUDER:
        return loudness >= loudness.mean() + np.ptp(loudness) / 4
    lengths = np.diff(onsets, append=max(end, int(onsets[-1])))
    return (lengths >= TICKS_PER_QUARTER) & (lengths > lengths.min())
