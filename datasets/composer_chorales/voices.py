"""What makes a score a chorale: four voices of one note at a time, and a key; it knows no file and no music21."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from composer.errors import UnreadableFile
from composer.music.keys import Key, estimate_key
from composer.music.score import KeySignature, Notes, Score, Track, bars, joined

NAMES = ("Soprano", "Alto", "Tenor", "Bass")
MOST_BARS = 64
_CHOIR = 52


def chorale(score: Score, shown: str) -> Score:
    """`score` with its four voices sung by one singer each, and in one key.

    Raises UnreadableFile, naming `shown`, for what is no plain chorale: too long, or with the choir silent for a bar.
    """
    tracks = tuple(
        Track(one_at_a_time(track.notes, lowest=name == "Bass"), name, _CHOIR)
        for name, track in zip(NAMES, _voices(score, shown), strict=True)
    )
    if len(bars(score).signatures) > MOST_BARS:
        raise UnreadableFile(f"{shown}: is longer than {MOST_BARS} bars, so hardly a chorale.")
    if longest_silence(tracks) >= score.time_signatures[0].bar_ticks:
        raise UnreadableFile(f"{shown}: the choir is silent for a bar or more, so this is no plain chorale.")
    keys = score.key_signatures
    named = key_of(tracks, keys[0].key.fifths if keys else None)
    return replace(score, tracks=tracks, key_signatures=(KeySignature(0, named),))


def _voices(score: Score, shown: str) -> tuple[Track, ...]:
    if len(score.tracks) != len(NAMES) or not all(len(track.notes) for track in score.tracks):
        raise UnreadableFile(f"{shown}: does not have four voices that sing.")
    return score.tracks


def one_at_a_time(notes: Notes, *, lowest: bool = False) -> Notes:
    """The highest (or lowest) of notes that begin together, each ending where the next begins at the latest."""
    order = np.lexsort((notes["pitch"] if lowest else -notes["pitch"], notes["start"]))
    _, first = np.unique(notes["start"][order], return_index=True)
    kept = notes[order][first].copy()
    kept["duration"][:-1] = np.minimum(kept["duration"][:-1], np.diff(kept["start"]))
    return kept


def longest_silence(tracks: tuple[Track, ...]) -> int:
    """The longest time in ticks, from the beginning to the last note, in which no voice sounds."""
    notes = joined([track.notes for track in tracks])
    notes = notes[np.argsort(notes["start"], kind="stable")]
    reached = np.maximum.accumulate(np.concatenate(([0], notes["start"] + notes["duration"])))[:-1]
    return int((notes["start"] - reached).max(initial=0))


def key_of(tracks: tuple[Track, ...], fifths: int | None) -> Key:
    """The key that the notes and the last bass note speak for.

    Where that is three or more signs away from the signature, its parallel key is taken if that is nearer: a minor
    piece that ends on a major chord.
    """
    notes = joined([track.notes for track in tracks])
    key = estimate_key(notes["pitch"], notes["duration"], int(tracks[-1].notes["pitch"][-1]))
    parallel = Key(key.tonic, not key.minor)
    if fifths is None or _distance(key, fifths) < 3 or _distance(parallel, fifths) >= _distance(key, fifths):
        return key
    return parallel


def _distance(key: Key, fifths: int) -> int:
    """How many signs apart, on the circle of fifths."""
    apart = abs(key.fifths - fifths) % 12
    return min(apart, 12 - apart)
