"""Masks of `frames` that keep fixed notes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from composer.arrays import convert_like, get_namespace, make_range
from composer.errors import CannotExpress
from composer.music.score import Score, concatenate_notes
from composer.tokens.fixed_bars import check_track
from composer.types import Array, Span
from composer_frames.grammar import Field

if TYPE_CHECKING:
    from composer_frames.grammar import FramesGrammar


class FixedFrames:
    """A function from states to masks: a frame in a span has the pitches of the score, and no others.

    A pitch with an onset where a span begins is barred from the frame before: it would only be sustained.
    Tables are (frames + 1, pitches). Their last row, of free frames, stands for all later ones.
    """

    def __init__(self, grammar: FramesGrammar, score: Score, spans: Sequence[Span]) -> None:
        for span in spans:
            check_track(span, 1)
        notes = concatenate_notes([track.notes for track in score.tracks if not track.is_drum])
        if len(notes) and not (notes["pitch"] - grammar.lowest >= 0).all():
            raise CannotExpress(f"the fixed pitch {notes['pitch'].min()} is too low for this model.")
        if len(notes) and not (notes["pitch"] - grammar.lowest < grammar.pitches).all():
            raise CannotExpress(f"the fixed pitch {notes['pitch'].max()} is too high for this model.")
        starts, ends = (
            notes["start"] // grammar.frame_ticks,
            (notes["start"] + notes["duration"]) // grammar.frame_ticks,
        )
        length = max([int(ends.max(initial=0)), *(-(-span.end // grammar.frame_ticks) for span in spans)])
        length = min(length, int(ends.max(initial=0)) + 1)
        sounding = np.zeros((length + 1, grammar.pitches), dtype=bool)
        onsets = sounding.copy()
        for start, end, pitch in zip(
            starts, np.maximum(ends, starts + 1), notes["pitch"] - grammar.lowest, strict=True
        ):
            sounding[start:end, pitch] = True
            onsets[start, pitch] = True
        fixed = np.zeros(length + 1, dtype=bool)
        for span in spans:
            first, end = (-(-max(tick, 0) // grammar.frame_ticks) for tick in (span.start, span.end))
            fixed[first : end if end <= length else None] = True
        begins = np.append(fixed[1:] & ~fixed[:-1], False)
        self.grammar, self.fixed = grammar, fixed
        self.wanted = sounding & fixed[:, None]
        self.barred = np.where(begins[:, None], np.roll(onsets, -1, axis=0), False)
        needed = np.flatnonzero(self.wanted.any(axis=1))
        self.least = int(needed[-1]) + 1 if len(needed) else 0

    def __call__(self, state: Array) -> Array:
        """Return the mask (B, V)."""
        xp, grammar = get_namespace(state), self.grammar
        frame = state[:, Field.FRAME]
        row = xp.clip(frame, 0, len(self.fixed) - 1)
        fixed = xp.take(convert_like(self.fixed, state), row)[:, None]
        tokens = make_range(grammar.pitches, state) + grammar.first_pitch
        remains = xp.take(convert_like(self.wanted, state), row, axis=0) & (
            tokens < grammar.get_ceiling(state)[:, None]
        )
        highest = xp.max(xp.where(remains, tokens, 0 * tokens), axis=1)[:, None]
        barred = xp.take(convert_like(self.barred, state), row, axis=0)
        pitches = xp.where(fixed, remains & (tokens == highest), ~barred)
        end = (frame >= self.least)[:, None]
        return xp.concat([xp.zeros_like(end), end, ~fixed | (highest == 0), pitches], axis=1)
