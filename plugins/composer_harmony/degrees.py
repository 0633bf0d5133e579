"""Degrees of pitches above a tonic, over a batch: those of final chords, and of the chords that lead to them.

Arrays of pitches are (B, n), -1 for silence. The tonic (B,) is -1 where it is unknown: then all pitches are right.
"""

from __future__ import annotations

from composer.arrays import get_namespace, make_range, take_columns
from composer.types import Array

FOURTH, FIFTH, LEADING_TONE = 5, 7, 11
"""Degrees of the chords before the final one: their basses, and the tone that makes one of them a dominant."""

THIRDS = (3, 4)
"""The minor and the major one."""


def is_degree(pitch: Array, tonic: Array, degree: int) -> Array:
    """Tell whether pitches are on a degree, in semitones above the tonic, (B, n)."""
    return ((pitch >= 0) & ((pitch - tonic[:, None]) % 12 == degree)) | (tonic < 0)[:, None]


def has_degree(pitches: Array, tonic: Array, degree: int) -> Array:
    """Tell whether any pitch is on a degree, (B, 1)."""
    return get_namespace(pitches).any(is_degree(pitches, tonic, degree), axis=1)[:, None]


def is_third(pitch: Array, tonic: Array) -> Array:
    """Tell whether pitches are a third of the tonic, (B, n)."""
    return is_degree(pitch, tonic, THIRDS[0]) | is_degree(pitch, tonic, THIRDS[1])


def has_third(pitches: Array, tonic: Array) -> Array:
    """Tell whether any pitch is a third of the tonic, (B, 1)."""
    return get_namespace(pitches).any(is_third(pitches, tonic), axis=1)[:, None]


def is_approach(pitch: Array, tonic: Array) -> Array:
    """Tell whether pitches are the fourth or the fifth of the tonic, (B, n)."""
    return is_degree(pitch, tonic, FOURTH) | is_degree(pitch, tonic, FIFTH)


def leads_home(sounding: Array, tonic: Array) -> Array:
    """Tell whether a chord (B, voices) leads to the tonic, (B, 1): above the fifth there is the leading tone.

    Above the fourth there is none.
    """
    bass, leads = sounding[:, -1:], has_degree(sounding[:, :-1], tonic, LEADING_TONE)
    return (is_degree(bass, tonic, FIFTH) & leads) | (is_degree(bass, tonic, FOURTH) & ~leads)


def mark_other_third(written: Array, tonic: Array) -> Array:
    """Mark the third of the other mode, (B, 12), once one is written."""
    xp, classes = get_namespace(written), make_range(12, written)
    degree = xp.where((written < 0) | (tonic < 0)[:, None], -1, (written - tonic[:, None]) % 12)
    minor, major = (xp.any(degree == third, axis=1)[:, None] for third in THIRDS)
    above = (classes - tonic[:, None]) % 12
    return (minor & (above == 4)) | (major & (above == 3))


def is_final_chord(sounds: Array, chord: Array, tonic: Array) -> Array:
    """Tell whether the sounds (B, n) are of the chord, with one third, and the tonic lowest, (B, 1)."""
    xp = get_namespace(sounds)
    lowest = xp.min(xp.where(sounds < 0, 128, sounds), axis=1)[:, None]
    return are_inside(sounds, chord, tonic) & (lowest < 128) & is_degree(lowest, tonic, 0)


def are_inside(sounds: Array, chord: Array, tonic: Array) -> Array:
    """Tell whether all sounds (B, n) are of the chord, with one third, (B, 1)."""
    xp, silent = get_namespace(sounds), sounds < 0
    inside = take_columns(chord & ~mark_other_third(sounds, tonic), xp.where(silent, 0, sounds % 12))
    return xp.all(silent | inside, axis=1)[:, None]
