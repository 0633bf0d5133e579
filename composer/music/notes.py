"""Tokens as notes: the pitch of each token, and recent notes."""

from __future__ import annotations

import numpy as np

from composer.arrays import convert_like, get_namespace
from composer.types import Array, Context, MusicalState, RecentNotes, TokenInfo


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
    xp, pitch = get_namespace(context.allowed), compute_pitches(context.token_info, context.music)
    if not context.token_info.sustains:
        return xp.zeros_like(context.allowed)
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
    if not xp.any(new):
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
