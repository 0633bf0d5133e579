"""Checks of a Score against the limits of a Standard MIDI file."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from composer.music.score import Notes, Score
from composer_midifile.conversion import DENOMINATORS, FASTEST, SLOWEST

MOST_TICKS = 2**28 - 1
"""The longest time between two events."""

MOST_TRACKS = 32_766
"""Tracks beside the first one; some programs read their number as a signed one."""


def check_limits(score: Score) -> None:
    """Raise ValueError, with the reason, for a score that a file cannot hold."""
    _demand(len(score.tracks) <= MOST_TRACKS, f"it has {len(score.tracks):,} tracks, and {MOST_TRACKS:,} are possible")
    for number, track in enumerate(score.tracks, 1):
        _check_notes(track.notes, f"track {number}")
        _demand(0 <= track.program <= 127, f"track {number} has the program {track.program}, not one of 0..127")
    _demand(score.length <= MOST_TICKS, f"it is longer than {MOST_TICKS:,} ticks")
    _demand(
        all(0 <= tick <= MOST_TICKS for tick in list_ticks(score)), "a tempo, signature or marker has an invalid tick"
    )
    for tempo in score.tempos:
        _demand(SLOWEST <= tempo.bpm <= FASTEST, f"a tempo of {tempo.bpm} is not in {SLOWEST:g}..{FASTEST:g}")
    for signature in score.time_signatures:
        possible = 1 <= signature.numerator <= 64 and signature.denominator in DENOMINATORS
        _demand(possible, f"there is no time signature {signature}")


def _check_notes(notes: Notes, title: str) -> None:
    pitch, velocity = notes["pitch"], notes["velocity"]
    _demand(bool(np.all((pitch >= 0) & (pitch <= 127))), f"{title} has a pitch outside 0..127")
    _demand(bool(np.all((velocity >= 1) & (velocity <= 127))), f"{title} has a velocity outside 1..127")
    _demand(bool(np.all((notes["start"] >= 0) & (notes["duration"] >= 1))), f"{title} has a note outside time")


def list_ticks(score: Score) -> Iterator[int]:
    """Yield the ticks of all events except notes."""
    for events in (score.tempos, score.time_signatures, score.key_signatures, score.markers):
        yield from (event.tick for event in events)


def _demand(true: bool, otherwise: str) -> None:
    if not true:
        raise ValueError(otherwise)
