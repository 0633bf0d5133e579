"""The constraint `scale`, names of scales, and pitch classes: names, and masks of tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from composer.arrays import convert_like, get_namespace, is_all_false, make_range, take_columns
from composer.errors import BadOption, printable, suggest
from composer.music.keys import MAJOR_SCALE, MINOR_SCALE, SEMITONES, Key
from composer.tokens.vocabulary import mask_sustained
from composer.types import Array, Context, TokenInfo

# --- pitch classes ----------------------------------------------------------------------------------------------------


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
    turned = take_columns(admitted, (make_range(12, admitted) + shift[:, None]) % 12)
    unpitched = xp.ones_like(turned[:, :1])
    written = convert_like(_list_written_classes(context.token_info), admitted)
    return xp.take(xp.concat([turned, unpitched], axis=1), written, axis=1)


def restrict_keys(context: Context, mask: Array, keys: frozenset[int]) -> Array:
    """Remove the tokens of other keys from a mask (B, V), unless none would be left."""
    xp, token_info = get_namespace(mask), context.token_info
    if is_all_false(context.allowed[:, _list_key_tokens(token_info)]):  # a key stands at the beginning of a piece
        return mask
    kept = mask & convert_like(_mask_keys(token_info, keys), mask)[None, :]
    left = xp.any(kept & context.allowed, axis=1)
    return xp.where(left[:, None], kept, mask)


@lru_cache(maxsize=32)
def _list_key_tokens(token_info: TokenInfo) -> slice:
    """Return the stretch of the vocabulary that holds all keys."""
    keys = np.flatnonzero(token_info.key >= 0)
    return slice(int(keys.min(initial=len(token_info.key))), int(keys.max(initial=-1)) + 1)


@lru_cache(maxsize=32)
def _mask_keys(token_info: TokenInfo, keys: frozenset[int]) -> NDArray[np.bool_]:
    return (token_info.key < 0) | np.isin(token_info.key, sorted(keys))


# --- scales -----------------------------------------------------------------------------------------------------------


SCALES = {
    "major": MAJOR_SCALE,
    "minor": MINOR_SCALE,
    "natural minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "melodic minor": (0, 2, 3, 5, 7, 9, 11),
    "ionian": (0, 2, 4, 5, 7, 9, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "aeolian": (0, 2, 3, 5, 7, 8, 10),
    "locrian": (0, 1, 3, 5, 6, 8, 10),
    "major pentatonic": (0, 2, 4, 7, 9),
    "minor pentatonic": (0, 3, 5, 7, 10),
    "blues": (0, 3, 5, 6, 7, 10),
    "whole tone": (0, 2, 4, 6, 8, 10),
    "chromatic": tuple(range(12)),
}
"""Semitones above the tonic. `minor` has its sixth and seventh both raised and natural."""

SHORT = {"": "major", "maj": "major", "m": "minor", "min": "minor", "pentatonic": "major pentatonic"}


@dataclass(frozen=True)
class Scale:
    """Begin only notes of a scale; drums are free.

    A pitch p may begin if (p - tonic) mod 12 is in the scale, in any octave. `minor` admits the raised sixth and
    seventh beside the natural ones. Natural, harmonic and melodic minor and the modes have their seven notes. If the
    model writes keys and none was requested, only the key of the scale's tonic is allowed.
    """

    scale: Annotated[str, 'a tonic and a mode: "D dorian", "A minor", "Bb", "C major pentatonic"', "D dorian"]

    def __post_init__(self) -> None:
        """Refuse an invalid scale."""
        self.parsed  # noqa: B018  (for its ValueError)

    @cached_property
    def parsed(self) -> tuple[int, tuple[int, ...]]:
        """The pitch class of the tonic, and the scale in semitones above it."""
        text = " ".join(self.scale.split())
        if text.lower() == "chromatic":
            return 0, SCALES["chromatic"]
        found = TONIC.match(text)
        if not found:
            raise ValueError(f"'{printable(text)}' is not a scale such as D dorian, A minor or Bb")
        mode = text[found.end() :].strip()
        name = "minor" if not mode and text[0].islower() else SHORT.get(mode, mode.lower())
        if name not in SCALES:
            raise BadOption(f"sampler 'scale': there is no scale '{printable(mode)}': {suggest(name, SCALES)}")
        return parse_pitch_class(*found.groups()), SCALES[name]

    @cached_property
    def classes(self) -> frozenset[int]:
        """The pitch classes of the scale."""
        tonic, degrees = self.parsed
        return frozenset((tonic + degree) % 12 for degree in degrees)

    @cached_property
    def _keys(self) -> frozenset[int]:
        tonic, degrees = self.parsed
        if len(degrees) == 12:
            return frozenset(range(24))
        return frozenset([Key(tonic, minor=4 not in degrees).index])

    @cached_property
    def _admitted(self) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
        return np.isin(np.arange(12), sorted(self.classes))[None, :]

    def mask(self, context: Context) -> Array:
        """Mask notes outside the scale. Tokens without a pitch are free."""
        rows = context.allowed.shape[0]
        admitted = get_namespace(context.allowed).broadcast_to(
            convert_like(self._admitted, context.allowed), (rows, 12)
        )
        return restrict_keys(context, mask_classes(context, admitted) | mask_sustained(context), self._keys)
