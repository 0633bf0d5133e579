"""Masks of `voices` that keep fixed notes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from composer.arrays import convert_like, get_namespace, make_range
from composer.music.score import Score
from composer.tokens.bar_encoding import find_bars
from composer.tokens.bar_grammar import Field, Slot
from composer.tokens.fixed_bars import NEVER, check_track, clip_step, fix_bars, mark_fixed
from composer.types import Array, Span
from composer_voices.parts import Line, check_range, extract_lines

if TYPE_CHECKING:
    from composer_voices.grammar import VoicesGrammar

Table = NDArray[np.int64]


class FixedNotes:
    """A function from states to masks. A fixed voice has the onsets, sustained notes and rests of the score.

    A span may begin in the middle of a note. If something else sounds then, the note is re-articulated there. The bars
    are the score's up to the last bar with fixed notes. Tables are (voices, steps + 1), flat. Their last step stands
    for all later ones.
    """

    def __init__(self, grammar: VoicesGrammar, score: Score, spans: Sequence[Span]) -> None:
        grid, voices = grammar.grid, grammar.voices
        for span in spans:
            check_track(span, voices)
        parts = extract_lines(score, voices, grid.step_ticks, relative=grammar.relative)
        check_range((("the fixed music", line) for line in parts), grammar.lowest, grammar.highest)
        found = find_bars(grid, score, max(int(line.ends.max(initial=1)) for line in parts) * grid.step_ticks)
        steps = int(found.starts[-1])
        of = [(span, range(voices) if span.track is None else [span.track]) for span in spans]
        fixed = mark_fixed(grid, of, voices, steps)
        sounds, onsets = _list_sounds(grammar, parts, steps)
        self.grammar = grammar
        self.bars = fix_bars(grid, found, fixed)
        self.steps = steps + 1
        self.fixed, self.sounds, self.onsets = fixed.ravel(), sounds.ravel(), onsets.ravel()
        self.next_fixed = np.stack([_find_next(row) for row in fixed]).ravel()
        self.next_change = np.stack(
            [_find_next_change(*rows) for rows in zip(fixed, sounds, onsets, strict=True)]
        ).ravel()

    def __call__(self, state: Array) -> Array:
        """Return the mask (B, V)."""
        return get_namespace(state).concat(
            [self.bars.mask(state, self._find_need(state)), self._mask_turn(state)], axis=1
        )

    def _look_up(self, table: NDArray[np.generic], steps: Array) -> Array:
        """Look up a table (B, voices) at `steps` (B,) or (B, voices)."""
        xp, voices = get_namespace(steps), make_range(self.grammar.voices, steps)
        places = voices * self.steps + (steps[:, None] if steps.ndim == 1 else steps)
        return xp.reshape(xp.take(convert_like(table, steps), xp.reshape(places, (-1,))), places.shape)

    def _find_need(self, state: Array) -> Array:
        """Find the next step (B,) at which the score differs from the current sound, or has an onset."""
        xp = get_namespace(state)
        first = self._look_up(self.next_fixed, clip_step(state, self.steps, 1))
        at_first = xp.clip(first, 0, self.steps - 1)
        differs = self._look_up(self.onsets, at_first) | (
            self._look_up(self.sounds, at_first) != self.grammar.get_sounding(state)
        )
        need = xp.where(differs, first, self._look_up(self.next_change, at_first))
        return xp.min(xp.where(first == NEVER, NEVER, need), axis=1)

    def _mask_turn(self, state: Array) -> Array:
        """Mask the grammar's own tokens (B, V - G) to those that keep the voice in turn."""
        from composer_voices.grammar import MOVED

        xp, grammar = get_namespace(state), self.grammar
        step = clip_step(state, self.steps)
        fixed, sounds = self._look_up(self.fixed, step), self._look_up(self.sounds, step)
        moves = self._look_up(self.onsets, step) | (sounds != self.grammar.get_sounding(state))
        voice = xp.clip(state[:, Field.SLOT] - Slot.OWN, 0, grammar.voices - 1)[:, None]
        wanted = xp.take_along_axis(xp.where(moves, sounds, grammar.hold), voice, axis=1)
        # A free voice moves if no voice has moved and all later ones are fixed and sustain.
        later = make_range(grammar.voices, state) > voice
        may_wait = (state[:, MOVED] != 0) | xp.any(later & (~fixed | moves), axis=1)
        tokens = make_range(grammar.size - grammar.hold, state) + grammar.hold
        free = (tokens != grammar.hold) | may_wait[:, None]
        return xp.where(xp.take_along_axis(fixed, voice, axis=1), tokens == wanted, free)


def _list_sounds(grammar: VoicesGrammar, parts: Sequence[Line], steps: int) -> tuple[Table, NDArray[np.bool_]]:
    """List the token that sounds in each voice at each step, (voices, steps + 1), and its onsets."""
    sounds = np.full((len(parts), steps + 1), grammar.rest)
    onsets = np.zeros(sounds.shape, dtype=bool)
    for voice, line in enumerate(parts):
        lengths = line.ends - line.starts
        inside = np.repeat(line.starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
        sounds[voice, inside] = np.repeat(line.pitches - grammar.lowest + grammar.first_pitch, lengths)
        onsets[voice, line.starts] = True
    return sounds, onsets


def _find_next(marked: NDArray[np.bool_]) -> Table:
    """Find the first marked step from each step on, (steps + 1,); NEVER after the last."""
    steps = np.where(marked, np.arange(len(marked)), NEVER)
    return np.minimum.accumulate(steps[::-1])[::-1]


def _find_next_change(fixed: NDArray[np.bool_], sounds: Table, onsets: NDArray[np.bool_]) -> Table:
    """Find the next change after each fixed step, (steps + 1,): an onset, or another sound than before.

    Between two spans a voice is assumed to sustain. If it does not, the next fixed step counts.
    """
    places = np.flatnonzero(fixed)
    changes = np.zeros(len(fixed), dtype=bool)
    changes[places[1:]] = onsets[places[1:]] | (sounds[places[1:]] != sounds[places[:-1]])
    return np.append(_find_next(changes)[1:], NEVER)
