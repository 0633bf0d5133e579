"""Tokens as notes: the pitch of each token, and recent notes."""

from __future__ import annotations

import numpy as np

from composer.arrays import like, namespace
from composer.types import Array, Context, Facts, Meaning, Struck


def pitches(meaning: Meaning, facts: Facts) -> Array:
    """Compute (B, V) the pitch that each token sounds, -1 for none."""
    xp, written = namespace(facts.shift), like(meaning.pitch, facts.shift)[None, :]
    return xp.where(written < 0, -1, written + facts.shift[:, None])


def strikes(context: Context) -> Array:
    """Mask (B, V) tokens that begin a note: pitched tokens, except those that sustain a sounding note."""
    pitched = like(context.meaning.pitch >= 0, context.allowed)[None, :]
    if not context.meaning.sustains:
        return namespace(pitched).broadcast_to(pitched, context.allowed.shape)
    return pitched & ~sounds_on(context)


def sounds_on(context: Context) -> Array:
    """Mask (B, V) tokens whose pitch sounds already, where the tokenizer sustains such a note."""
    xp, pitch = namespace(context.allowed), pitches(context.meaning, context.facts)
    if not context.meaning.sustains:
        return xp.zeros_like(context.allowed)
    return (pitch >= 0) & xp.any(pitch[:, :, None] == context.facts.sounding[:, None, :], axis=2)


def none_struck(rows: int, lookback: int) -> Struck:
    """Return the recent notes at the beginning of pieces: none."""
    return Struck(*(np.full((rows, lookback), -1) for _ in range(3)))


def struck_after(struck: Struck, facts: Facts, meaning: Meaning, tokens: Array) -> Struck:
    """Update the recent notes with `tokens` (B,)."""
    if not struck.tick.shape[1]:
        return struck
    xp = namespace(tokens)
    written = xp.take(like(meaning.pitch, tokens), tokens)
    pitch = written + facts.shift
    new = written >= 0
    if meaning.sustains:
        new = new & ~xp.any(pitch[:, None] == facts.sounding, axis=1)
    if not xp.any(new):
        return struck
    pushed = (
        xp.where(new[:, None], xp.concat([old[:, 1:], now[:, None]], axis=1), old)
        for old, now in ((struck.tick, facts.tick), (struck.pitch, pitch), (struck.voice, facts.voice))
    )
    return Struck(*pushed)
