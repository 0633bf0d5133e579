"""Make a chorale of a score: four monophonic voices and a key."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from composer.errors import UnreadableFile
from composer.music.keys import Key, estimate_key
from composer.music.score import KeySignature, Notes, Score, Track, compute_bars, concatenate_notes

NAMES = ("Soprano", "Alto", "Tenor", "Bass")
MOST_CHORALE_BARS = 64
_CHOIR = 52


def make_chorale(score: Score, shown: str) -> Score:
    """Make four monophonic choir voices of `score`, in one key.

    Raises UnreadableFile, naming `shown`, if it is too long, or the choir is silent for a bar.
    """
    tracks = tuple(
        Track(make_monophonic(track.notes, lowest=name == "Bass"), name, _CHOIR)
        for name, track in zip(NAMES, _check_voices(score, shown), strict=True)
    )
    if len(compute_bars(score).signatures) > MOST_CHORALE_BARS:
        raise UnreadableFile(f"{shown}: is longer than {MOST_CHORALE_BARS} bars, so hardly a chorale.")
    if find_longest_silence(tracks) >= score.time_signatures[0].bar_ticks:
        raise UnreadableFile(f"{shown}: the choir is silent for a bar or more, so this is no plain chorale.")
    keys = score.key_signatures
    named = find_key(tracks, keys[0].key.fifths if keys else None)
    return replace(score, tracks=tracks, key_signatures=(KeySignature(0, named),))


def _check_voices(score: Score, shown: str) -> tuple[Track, ...]:
    if len(score.tracks) != len(NAMES) or not all(len(track.notes) for track in score.tracks):
        raise UnreadableFile(f"{shown}: does not have four voices that sing.")
    return score.tracks


def make_monophonic(notes: Notes, *, lowest: bool = False) -> Notes:
    """Return the highest (or lowest) note at each onset, cut at the next onset."""
    order = np.lexsort((notes["pitch"] if lowest else -notes["pitch"], notes["start"]))
    _, first = np.unique(notes["start"][order], return_index=True)
    melody = notes[order][first].copy()
    melody["duration"][:-1] = np.minimum(melody["duration"][:-1], np.diff(melody["start"]))
    return melody


def find_longest_silence(tracks: tuple[Track, ...]) -> int:
    """Return the longest silence of all voices before the last note, in ticks."""
    notes = concatenate_notes([track.notes for track in tracks])
    notes = notes[np.argsort(notes["start"], kind="stable")]
    reached = np.maximum.accumulate(np.concatenate(([0], notes["start"] + notes["duration"])))[:-1]
    return int((notes["start"] - reached).max(initial=0))


def find_key(tracks: tuple[Track, ...], fifths: int | None) -> Key:
    """Estimate the key from the notes and the last bass note.

    If the estimate is three or more signs away from the signature, and its parallel key is nearer, return the parallel
    key: a minor piece may end on a major chord.
    """
    notes = concatenate_notes([track.notes for track in tracks])
    key = estimate_key(notes["pitch"], notes["duration"], int(tracks[-1].notes["pitch"][-1]))
    parallel = Key(key.tonic, not key.minor)
    if fifths is None or _count_signs(key, fifths) < 3 or _count_signs(parallel, fifths) >= _count_signs(key, fifths):
        return key
    return parallel


def _count_signs(key: Key, fifths: int) -> int:
    """Return the distance in signs, on the circle of fifths."""
    apart = abs(key.fifths - fifths) % 12
    return min(apart, 12 - apart)
