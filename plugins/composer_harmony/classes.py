"""Pitch classes: their names, and masks of tokens by pitch class and key."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from composer.arrays import like, namespace, numbers
from composer.music.keys import SEMITONES
from composer.types import Array, Context, Meaning

TONIC = re.compile(r"([A-Ga-g])(#|b)?")


def pitch_class(letter: str, accidental: str | None) -> int:
    """Return the pitch class of a letter with a sharp, a flat or nothing."""
    return (SEMITONES[letter.upper()] + {"#": 1, "b": -1}.get(accidental or "", 0)) % 12


@lru_cache(maxsize=32)
def _written_classes(meaning: Meaning) -> NDArray[np.int64]:
    """Return the written pitch class of each token, (V,); 12 for none."""
    return np.where(meaning.pitch < 0, 12, meaning.pitch % 12)


def of_classes(context: Context, admitted: Array) -> Array:
    """Mask (B, V) to tokens without a pitch, or of the pitch classes in `admitted` (B, 12)."""
    xp, shift = namespace(admitted), context.facts.shift
    turned = xp.take_along_axis(admitted, (numbers(12, admitted) + shift[:, None]) % 12, axis=1)
    unpitched = xp.ones_like(turned[:, :1])
    written = like(_written_classes(context.meaning), admitted)
    return xp.take(xp.concat([turned, unpitched], axis=1), written, axis=1)


def in_keys(context: Context, mask: Array, keys: frozenset[int]) -> Array:
    """Remove the tokens of other keys from a mask (B, V), unless none would be left."""
    xp, meaning = namespace(mask), context.meaning
    kept = mask & like(_of_keys(meaning, keys), mask)[None, :]
    left = xp.any(kept & context.allowed, axis=1)
    return xp.where(left[:, None], kept, mask)


@lru_cache(maxsize=32)
def _of_keys(meaning: Meaning, keys: frozenset[int]) -> NDArray[np.bool_]:
    return (meaning.key < 0) | np.isin(meaning.key, sorted(keys))
