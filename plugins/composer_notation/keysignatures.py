"""Key signatures as keys. A signature may state its mode; otherwise the notes under it decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from composer.music.keys import Key, estimate_key, get_signature_key
from composer.music.score import KeySignature, Notes, Track, concatenate_notes

MODES = {
    "lydian": 1, "major": 0, "ionian": 0, "mixolydian": -1, "dorian": -2, "minor": -3, "aeolian": -3, "phrygian": -4,
    "locrian": -5,
}  # fmt: skip
"""Sharps (positive) or flats of a mode, compared with the major key of its tonic."""

_ORDER_OF_SHARPS = "FCGDAEB"


def has_minor_third(mode: str) -> bool:
    """Tell whether a mode is minor, or a church mode with a minor third."""
    return MODES[mode] < MODES["mixolydian"]


def count_fifths(letter: str, alter: int = 0) -> int:
    """Count the sharps (positive) or flats of the major key on a letter that is altered by semitones."""
    return _ORDER_OF_SHARPS.index(letter) - 1 + 7 * alter


def find_alteration(letter: str, fifths: int) -> int:
    """Return the semitones by which a signature of so many sharps, or flats if negative, alters a letter."""
    return (fifths - _ORDER_OF_SHARPS.index(letter) + 6) // 7


def transpose_fifths(fifths: int, semitones: int) -> int:
    """Transpose a signature to the usual one of its new key, of six sharps or five flats at most."""
    return get_signature_key(fifths, minor=False).transpose(semitones).fifths if semitones else fifths


@dataclass(frozen=True)
class Signature:
    """A key signature from `tick` on: sharps (positive) or flats, and its mode, "" if it states none."""

    tick: int
    fifths: int
    mode: str = ""


def find_keys(signatures: Sequence[Signature], tracks: Sequence[Track]) -> tuple[KeySignature, ...]:
    """Find the key of each signature, and list the keys where they change.

    A church mode becomes the major or minor key with its tonic and third. Without a mode, the notes under the signature
    decide between its major and its minor key.
    """
    found: list[KeySignature] = []
    latest = {signature.tick: signature for signature in signatures}
    begins = sorted(latest)
    notes = concatenate_notes([track.notes for track in tracks if not track.is_drum])
    notes = notes[np.argsort(notes["start"], kind="stable")]
    indices = np.searchsorted(notes["start"], begins).tolist()
    for tick, first, last in zip(begins, indices, [*indices[1:], None], strict=False):
        its = latest[tick]
        key = _find_key_by_mode(its) or _find_key_by_notes(its, notes[first:last])
        if not found or found[-1].key != key:
            found.append(KeySignature(tick, key))
    return tuple(found)


def _find_key_by_mode(signature: Signature) -> Key | None:
    if signature.mode not in MODES:
        return None
    major = get_signature_key(signature.fifths - MODES[signature.mode], minor=False)
    return Key(major.tonic, has_minor_third(signature.mode))


def _find_key_by_notes(signature: Signature, its: Notes) -> Key:
    pair = [get_signature_key(signature.fifths, minor) for minor in (False, True)]
    if not len(its):
        return pair[0]
    ends = its["start"] + its["duration"]
    return estimate_key(its["pitch"], its["duration"], int(its["pitch"][ends == ends.max()].min()), pair)
