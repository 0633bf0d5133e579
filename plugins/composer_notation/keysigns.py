"""The key signatures of a piece as keys; it knows music21's signatures and no file.

A signature may say its mode. Where it does not, the key is estimated from the notes of the whole piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from composer.keys import Key, estimate_key, key_of_signature
from composer.score import KeySignature, Track
from composer_notation.bargrid import ticks
from composer_notation.parts import exact

_MINOR_THIRD = ("minor", "aeolian", "dorian", "phrygian", "locrian")


def key_signatures(
    measures: Sequence[Any], places: Sequence[tuple[int, Fraction]], tracks: Sequence[Track]
) -> tuple[KeySignature, ...]:
    """The keys of a piece, each where it changes. `places`: the measures played, by index, and where each starts."""
    from music21 import key

    found: dict[int, Key] = {}
    for index, start in places:
        for sign in measures[index].getElementsByClass(key.KeySignature):
            found[ticks(start + exact(sign.offset))] = _key(sign, tracks)
    changes: list[KeySignature] = []
    for tick, named in sorted(found.items()):
        if not changes or changes[-1].key != named:
            changes.append(KeySignature(tick, named))
    return tuple(changes)


def key_of_notes(tracks: Sequence[Track]) -> Key | None:
    """The likeliest key of the notes of all tracks, the lowest of the last ones being its tonic; None without notes."""
    pitched = [track.notes for track in tracks if len(track.notes) and not track.is_drum]
    if not pitched:
        return None
    notes = np.concatenate(pitched)
    ends = notes["start"] + notes["duration"]
    final = int(notes["pitch"][ends == ends.max()].min())
    return estimate_key(notes["pitch"], notes["duration"], final)


def _key(sign: Any, tracks: Sequence[Track]) -> Key:
    """The key of a signature: as its mode says (a church mode by its tonic and third), else as the notes say."""
    mode = getattr(sign, "mode", None)
    if mode is not None and getattr(sign, "tonic", None) is not None:
        return Key(int(sign.tonic.pitchClass), mode in _MINOR_THIRD)
    return key_of_notes(tracks) or key_of_signature(int(sign.sharps), minor=False)
