"""Key signatures as keys. A signature may state its mode; otherwise the notes under it decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from composer.music.keys import Key, estimate_key, key_of_signature
from composer.music.score import KeySignature, Notes, Track, joined

_DEGREES = {  # semitones from the tonic of the major key of the same signature
    "major": 0, "ionian": 0, "dorian": 2, "phrygian": 4, "lydian": 5, "mixolydian": 7, "minor": 9, "aeolian": 9,
    "locrian": 11,
}  # fmt: skip
_MINOR_THIRD = ("minor", "aeolian", "dorian", "phrygian", "locrian")


@dataclass(frozen=True)
class Signature:
    """A key signature from `tick` on: sharps (positive) or flats, and its mode, "" if it states none."""

    tick: int
    fifths: int
    mode: str = ""


def key_signatures(signatures: Sequence[Signature], tracks: Sequence[Track]) -> tuple[KeySignature, ...]:
    """Find the key of each signature, and list the keys where they change.

    A church mode becomes the major or minor key with its tonic and third. Without a mode, the notes under the signature
    decide between its major and its minor key.
    """
    found: list[KeySignature] = []
    latest = {signature.tick: signature for signature in signatures}
    begins = sorted(latest)
    notes = joined([track.notes for track in tracks if not track.is_drum])
    notes = notes[np.argsort(notes["start"], kind="stable")]
    places = np.searchsorted(notes["start"], begins).tolist()
    for tick, first, last in zip(begins, places, [*places[1:], None], strict=False):
        its = latest[tick]
        key = _key_of_mode(its) or _key_of_notes(its, notes[first:last])
        if not found or found[-1].key != key:
            found.append(KeySignature(tick, key))
    return tuple(found)


def _key_of_mode(signature: Signature) -> Key | None:
    if signature.mode not in _DEGREES:
        return None
    return Key((signature.fifths * 7 + _DEGREES[signature.mode]) % 12, signature.mode in _MINOR_THIRD)


def _key_of_notes(signature: Signature, its: Notes) -> Key:
    pair = [key_of_signature(signature.fifths, minor) for minor in (False, True)]
    if not len(its):
        return pair[0]
    ends = its["start"] + its["duration"]
    return estimate_key(its["pitch"], its["duration"], int(its["pitch"][ends == ends.max()].min()), pair)
