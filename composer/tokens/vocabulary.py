"""Vocabularies of `Type_Value` tokens: their transposition, and the notes that tokens stand for.

What plugins may rely on is listed in `plugins/README.md`, under the helpers that are stable.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from composer.arrays import convert_like, get_namespace, is_all_false
from composer.music.keys import ALL_KEYS, parse_key
from composer.types import Array, Context, MusicalState, RecentNotes, TokenInfo

# --- vocabularies -----------------------------------------------------------------------------------------------------


BOS, EOS = 0, 1
"""Ids of `BOS_None` and `EOS_None` in every vocabulary."""

PITCHED = ("Pitch", "Tone", "NoteOn", "NoteOff")
"""Types whose values are pitches."""


MAJOR = "major"
"""The value of the quality of a major triad, which has no text in a symbol."""


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
        programs=tuple(value for kind, value in pairs if kind == "Program"),
        qualities=tuple("" if value == MAJOR else value for kind, value in pairs if kind == "Quality"),
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


# --- tokens as notes --------------------------------------------------------------------------------------------------


def compute_pitches(token_info: TokenInfo, music: MusicalState) -> Array:
    """Compute (B, V) the pitch that each token sounds, -1 for none."""
    xp, written = get_namespace(music.shift), convert_like(token_info.pitch, music.shift)[None, :]
    return xp.where(written < 0, -1, written + music.shift[:, None])


def mask_onsets(context: Context) -> Array:
    """Mask (B, V) tokens that begin a note: pitched tokens, except those that sustain a sounding note."""
    pitched = convert_like(context.token_info.pitch >= 0, context.allowed)[None, :]
    if not context.token_info.sustains:
        return get_namespace(pitched).broadcast_to(pitched, context.allowed.shape)
    return pitched & ~mask_sustained(context)


def mask_sustained(context: Context) -> Array:
    """Mask (B, V) tokens whose pitch sounds already, where the tokenizer sustains such a note."""
    xp = get_namespace(context.allowed)
    if not context.token_info.sustains:
        return xp.zeros_like(context.allowed)
    pitch = compute_pitches(context.token_info, context.music)
    return (pitch >= 0) & xp.any(pitch[:, :, None] == context.music.sounding[:, None, :], axis=2)


def make_recent_notes(rows: int, lookback: int) -> RecentNotes:
    """Return the recent notes at the beginning of pieces: none."""
    return RecentNotes(*(np.full((rows, lookback), -1) for _ in range(3)))


def update_recent_notes(
    recent_notes: RecentNotes, music: MusicalState, token_info: TokenInfo, tokens: Array
) -> RecentNotes:
    """Update the recent notes with `tokens` (B,)."""
    if not recent_notes.tick.shape[1]:
        return recent_notes
    xp = get_namespace(tokens)
    written = xp.take(convert_like(token_info.pitch, tokens), tokens)
    pitch = written + music.shift
    new = written >= 0
    if token_info.sustains:
        new = new & ~xp.any(pitch[:, None] == music.sounding, axis=1)
    if is_all_false(new):
        return recent_notes
    pushed = (
        xp.where(new[:, None], xp.concat([old[:, 1:], now[:, None]], axis=1), old)
        for old, now in (
            (recent_notes.tick, music.tick),
            (recent_notes.pitch, pitch),
            (recent_notes.voice, music.voice),
        )
    )
    return RecentNotes(*pushed)
