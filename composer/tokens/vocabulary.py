"""Vocabularies of `Type_Value` tokens, and their transposition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from composer.music.keys import ALL_KEYS, parse_key
from composer.types import TokenInfo

BOS, EOS = 0, 1
"""Ids of `BOS_None` and `EOS_None` in every vocabulary."""

PITCHED = ("Pitch", "Tone", "NoteOn", "NoteOff")
"""Types whose values are pitches."""


def describe_tokens(
    vocabulary: Sequence[str], step_ticks: int, voices: Sequence[str] = (), *, sustains: bool = False
) -> TokenInfo:
    """Describe each token; `Duration` and `Position` values count steps of `step_ticks` ticks."""
    pairs = [token.split("_", 1) for token in vocabulary]
    return TokenInfo(
        kind=np.array([kind for kind, _ in pairs]),
        pitch=np.array([int(value) if kind in ("Pitch", "Tone") else -1 for kind, value in pairs]),
        ticks=np.array([int(value) * step_ticks if kind == "Duration" else -1 for kind, value in pairs]),
        position=np.array([int(value) * step_ticks if kind == "Position" else -1 for kind, value in pairs]),
        key=np.array([ALL_KEYS.index(parse_key(value)) if kind == "Key" else -1 for kind, value in pairs]),
        voices=tuple(voices),
        sustains=sustains,
        time_signatures=tuple(value for kind, value in pairs if kind == "TimeSignature"),
    )


def transpose_tokens(vocabulary: Sequence[str], semitones: int) -> NDArray[np.int64]:
    """Return (V,) the id of each token after a transposition, -1 where there is no such token."""
    ids = {token: i for i, token in enumerate(vocabulary)}
    return np.array([ids.get(_transpose_token(token, semitones), -1) for token in vocabulary])


def _transpose_token(token: str, semitones: int) -> str:
    """Transpose a token; of a merged token, `A+B_1+2`, each part."""
    kinds, values = token.split("_", 1)
    if "+" in kinds:
        pairs = zip(kinds.split("+"), values.split("+"), strict=True)
        moved = [_transpose_token(f"{kind}_{value}", semitones).split("_", 1)[1] for kind, value in pairs]
        return f"{kinds}_{'+'.join(moved)}"
    if kinds in PITCHED:
        return f"{kinds}_{int(values) + semitones}"
    if kinds == "Key":
        return f"Key_{parse_key(values).transpose(semitones)}"
    return token


def can_transpose(vocabulary: Sequence[str], pitch: NDArray[np.int64]) -> bool:
    """Tell whether each token can be moved by a semitone, within the range of `pitch` (V,)."""
    pitched = pitch >= 0
    if not pitched.any():
        return True
    low, high = pitch[pitched].min(), pitch[pitched].max()
    return all(
        (transpose_tokens(vocabulary, step)[pitched & (low <= pitch + step) & (pitch + step <= high)] >= 0).all()
        for step in (-1, 1)
    )
