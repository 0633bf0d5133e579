"""The axis of pitches, a semitone a place, and what of a token is left when it is transposed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from composer.types import Column, TokenInfo

NOWHERE = -1
"""The place of a token without a pitch, and the tonic of one that states no key."""


@dataclass(frozen=True, eq=False)
class PitchAxis:
    """What a network knows of the tokens: arrays are (V,).

    Tokens are alike if they state the same but for pitch or tonic; the first of them stands for all.
    """

    size: int  # P, whole octaves from the lowest pitch up, so that a mean over them counts each degree alike
    lowest: int  # the pitch at the place 0
    place: NDArray[np.int64]  # on the axis, or NOWHERE
    alike: NDArray[np.int64]  # the token that stands for it
    tonic: NDArray[np.int64]  # pitch class of the tonic of the key that it states, or NOWHERE
    is_relative: bool = False  # whether the tonic is always C

    @property
    def kinds(self) -> NDArray[np.int64]:
        """(R,) the tokens that stand for those with a pitch, at least one."""
        return np.unique(self.alike[self.place != NOWHERE]) if (self.place != NOWHERE).any() else np.zeros(1, np.int64)


def make_blank_axis(vocabulary_size: int) -> PitchAxis:
    """Make the axis, of one place, of a vocabulary of which nothing is known."""
    nowhere = np.full(vocabulary_size, NOWHERE)
    return PitchAxis(1, 60, nowhere, np.arange(vocabulary_size), nowhere)


def make_axis(info: TokenInfo) -> PitchAxis | None:
    """Make the axis of a vocabulary; None if no token has a pitch."""
    pitched = info.pitch >= 0
    if not pitched.any():
        return None
    lowest, highest = int(info.pitch[pitched].min()), int(info.pitch[pitched].max())
    place = np.where(pitched, info.pitch - lowest, NOWHERE)
    tonic = np.where(info.key >= 0, info.key % 12, NOWHERE)
    size = 12 * (1 + (highest - lowest) // 12)
    return PitchAxis(size, lowest, place, _find_alike(info), tonic, info.is_relative)


def _find_alike(info: TokenInfo) -> NDArray[np.int64]:
    """Find the token that stands for each: the first that is alike.

    Tokens with a pitch are alike in type, length, and rank among those of their pitch; keys are alike in mode.
    Tokens of one pitch may differ in what is not told here, such as loudness; their order does tell it.
    """
    first: dict[object, int] = {}
    ranks: Counter[object] = Counter()
    alike = np.arange(len(info.pitch))
    described = zip(info.kind.tolist(), info.pitch.tolist(), info.ticks.tolist(), info.key.tolist(), strict=True)
    for token, (kind, pitch, ticks, key) in enumerate(described):
        if pitch >= 0:
            ranks[kind, ticks, pitch] += 1
            alike[token] = first.setdefault((kind, ticks, ranks[kind, ticks, pitch]), token)
        elif key >= 0:
            alike[token] = first.setdefault((kind, key // 12), token)
    return alike


def mark_token_columns(columns: Sequence[Column], vocabulary_size: int) -> tuple[bool | None, ...]:
    """Tell of each feature whether it holds tokens; None if it cannot, since its size is another."""
    return tuple(column.tokens if column.size == vocabulary_size else None for column in columns)
