"""Masks of `remi` that keep fixed notes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.arrays import like, namespace, numbers
from composer.music.score import Score
from composer.tokens.bar_encoding import measures
from composer.tokens.bar_grammar import Field, reached
from composer.tokens.fixed_bars import NEVER, check_track, covered, given_bars, here
from composer.types import Array, Span
from composer_remi.events import Events
from composer_remi.grammar import Own, RemiGrammar, Turn
from composer_remi.writing import part_of, sounds_of, tempos_at, tokens_of

PITCHES = 129
"""Positions in a part at a step: before its first note, and after each pitch."""


class Given:
    """A function from states to masks. A fixed part has the onsets of the score, and no others.

    A span's track stands for all tracks of its program. Tempos are the score's where every part is fixed. The bars are
    the score's up to the last bar with fixed notes.
    """

    def __init__(self, grammar: RemiGrammar, score: Score, spans: Sequence[Span]) -> None:
        events, grid = grammar.events, grammar.grid
        sounds = sounds_of(events, score)
        found = measures(grid, score, int((sounds.steps + sounds.lengths).max()) * grid.step_ticks)
        steps = int(found.starts[-1])
        cover = covered(grid, [(span, _parts(events, score, span)) for span in spans], len(events.parts), steps)
        fixed = cover[sounds.parts, sounds.steps]
        rows = tokens_of(events, score, sounds)[fixed]
        self.grammar, self.events = grammar, events
        self.bars = given_bars(grid, found, cover)
        self.cover = np.ascontiguousarray(cover.T)
        self.tempos = tempos_at(events, score, np.arange(steps + 1)) if events.tempos else np.zeros(1, dtype=np.int64)
        # The fixed notes in the order of their tokens, and one that is never due.
        self.steps, self.parts = np.append(sounds.steps[fixed], NEVER), np.append(sounds.parts[fixed], -1)
        self.order = self._order(self.steps, self.parts, np.append(sounds.pitches[fixed], -1))
        self.sounds, self.velocities, self.durations = (np.append(rows[:, column], -1) for column in (2, 3, 4))

    def _order(self, steps: Any, parts: Any, pitches: Any) -> Any:
        """Number notes by step, part and pitch, in the order of their tokens.

        Part and pitch may be -1, before all others.
        """
        return (steps * (len(self.events.parts) + 1) + parts + 1) * PITCHES + pitches + 1

    def __call__(self, state: Array) -> Array:
        """Return the mask (B, V)."""
        xp = namespace(state)
        part = self._part(state)
        following = self._following(state, part)
        closed = xp.take(like(self.cover, state), here(state, len(self.cover)), axis=0)
        of_part = xp.take_along_axis(closed, xp.clip(part, 0, None)[:, None], axis=1)
        tempos, in_time = self._tempos(state, xp.all(closed, axis=1))
        blocks = [
            self.bars.mask(state, self._pick(self.steps, following)),
            tempos,
            in_time[:, None] & self._programs(state, following, closed),
            in_time[:, None] & self._sounds(state, following, part, of_part),
            ~of_part | self._is(self.velocities, following - 1, "Velocity"),
            ~of_part | self._duration(state, following - 1),
        ]
        return xp.concat(blocks, axis=1)

    def _part(self, state: Array) -> Array:
        """Return the current part (B,); -1 before the first program of this position."""
        xp, program = namespace(state), state[:, Own.PROGRAM]
        if not self.events.named:
            return xp.zeros_like(program)
        return xp.where(program > 0, program - self.events.first["Program"], -1)

    def _following(self, state: Array, part: Array) -> Array:
        """Find the index (B,) of the first fixed note that is not written yet."""
        xp, above, first = namespace(state), state[:, Own.ABOVE], self.events.first
        pitch = xp.where(above < first["Drum"], above - first["Pitch"] + self.events.lowest, above - first["Drum"])
        written = self._order(reached(state), part, xp.where(above > 0, pitch, -1))
        return xp.searchsorted(like(self.order, state), written, side="right")

    def _pick(self, table: NDArray[np.int64], places: Array) -> Array:
        xp = namespace(places)
        return xp.take(like(table, places), xp.clip(places, 0, len(table) - 1))

    def _is(self, table: NDArray[np.int64], places: Array, kind: str) -> Array:
        """Mask (B, tokens of a kind) to the token of a fixed note."""
        tokens = numbers(self.events.count[kind], places) + self.events.first[kind]
        return tokens == self._pick(table, places)[:, None]

    def _tempos(self, state: Array, all_fixed: Array) -> tuple[Array, Array]:
        """Mask tempos (B, tempos) to the score's where all parts are fixed.

        Also returns whether that tempo is in force already, (B,).
        """
        now = state[:, Own.TEMPO]
        wanted = self._pick(self.tempos, here(state, len(self.tempos)))
        bound = all_fixed & (state[:, Own.ASKED_TEMPO] == 0)
        tokens = numbers(self.events.count["Tempo"], state) + self.events.first["Tempo"]
        in_time = (wanted == now) | ~bound | (state[:, Field.SLOT] != Turn.OPEN)
        return ~bound[:, None] | (tokens == wanted[:, None]), in_time

    def _programs(self, state: Array, following: Array, closed: Array) -> Array:
        """Mask programs (B, programs): free ones, and that of the next fixed note.

        While a fixed note is due here, no program may pass its own.
        """
        due = (self._pick(self.steps, following) == reached(state))[:, None]
        next_part = self._pick(self.parts, following)[:, None]
        programs = numbers(len(self.events.parts), state)
        allowed = (~closed | (due & (programs == next_part))) & (~due | (programs <= next_part))
        return allowed[:, : self.events.count["Program"]]

    def _sounds(self, state: Array, following: Array, part: Array, of_part: Array) -> Array:
        """Mask pitches and drums (B, pitches + drums) of a fixed part to the next fixed note, if it is due."""
        due = (self._pick(self.steps, following) == reached(state)) & (self._pick(self.parts, following) == part)
        count = self.events.count["Pitch"] + self.events.count["Drum"]
        tokens = numbers(count, state) + self.events.first["Pitch"]
        return ~of_part | (due[:, None] & (tokens == self._pick(self.sounds, following)[:, None]))

    def _duration(self, state: Array, place: Array) -> Array:
        """Mask durations (B, durations) to the fixed one, or the longest that fits before the end."""
        xp = namespace(state)
        fitting = xp.sum(xp.astype(self.grammar.durations(state), xp.int64), axis=1)
        fixed = self._pick(self.durations, place) - self.events.first["Duration"]
        return numbers(self.events.count["Duration"], state) == xp.minimum(fixed, fitting - 1)[:, None]


def _parts(events: Events, score: Score, span: Span) -> Sequence[int]:
    """Return the parts of a span; none for a track that is not written."""
    check_track(span, len(score.tracks))
    if span.track is None:
        return range(len(events.parts))
    part = part_of(events, score.tracks[span.track])
    return [] if part is None else [part]
