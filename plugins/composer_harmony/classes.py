"""Pitch classes: their names, and masks of tokens by pitch class and key."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from composer.arrays import convert_like, get_namespace, make_range
from composer.music.keys import SEMITONES
from composer.types import Array, Context, TokenInfo

TONIC = re.compile(r"([A-Ga-g])(#|b)?")


def parse_pitch_class(letter: str, accidental: str | None) -> int:
    """Return the pitch class of a letter with a sharp, a flat or nothing."""
    return (SEMITONES[letter.upper()] + {"#": 1, "b": -1}.get(accidental or "", 0)) % 12


@lru_cache(maxsize=32)
def _list_written_classes(token_info: TokenInfo) -> NDArray[np.int64]:
    """Return the written pitch class of each token, (V,); 12 for none."""
    return np.where(token_info.pitch < 0, 12, token_info.pitch % 12)


def mask_classes(context: Context, admitted: Array) -> Array:
    """Mask (B, V) to tokens without a pitch, or of the pitch classes in `admitted` (B, 12)."""
    xp, shift = get_namespace(admitted), context.music.shift
    turned = xp.take_along_axis(admitted, (make_range(12, admitted) + shift[:, None]) % 12, axis=1)
    unpitched = xp.ones_like(turned[:, :1])
    written = convert_like(_list_written_classes(context.token_info), admitted)
    return xp.take(xp.concat([turned, unpitched], axis=1), written, axis=1)


def restrict_keys(context: Context, mask: Array, keys: frozenset[int]) -> Array:
    """Remove the tokens of other keys from a mask (B, V), unless none would be left."""
    xp, token_info = get_namespace(mask), context.token_info
    kept = mask & convert_like(_mask_keys(token_info, keys), mask)[None, :]
    left = xp.any(kept & context.allowed, axis=1)
    return xp.where(left[:, None], kept, mask)


@lru_cache(maxsize=32)
def _mask_keys(token_info: TokenInfo, keys: frozenset[int]) -> NDArray[np.bool_]:
    return (token_info.key < 0) | np.isin(token_info.key, sorted(keys))
