"""Masks of `remi` that keep fixed notes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.arrays import convert_like, get_namespace, make_parameter, make_range
from composer.music.score import Score
from composer.tokens.bar_encoding import find_bars
from composer.tokens.bar_grammar import Field, find_last_step
from composer.tokens.fixed_bars import NEVER, check_track, clip_step, fix_bars, mark_fixed
from composer.types import Array, Span
from composer_remi.events import Events, encode_sounds, extract_sounds, find_parts, find_tempos
from composer_remi.grammar import OwnField, RemiGrammar, Turn

PITCHES = 129
"""Positions in a part at a step: before its first note, and after each pitch."""


class FixedNotes:
    """A function from states to masks. A fixed part has the onsets of the score, and no others.

    A span's track stands for all tracks of its program. Tempos are the score's where every part is fixed. The bars are
    the score's up to the last bar with fixed notes.
    """

    def __init__(self, grammar: RemiGrammar, score: Score, spans: Sequence[Span]) -> None:
        events, grid = grammar.events, grammar.grid
        sounds = extract_sounds(events, score)
        found = find_bars(grid, score, int((sounds.steps + sounds.lengths).max()) * grid.step_ticks)
        steps = int(found.starts[-1])
        parts = find_parts(events, score)
        cover = mark_fixed(grid, [(span, _list_parts(events, parts, span)) for span in spans], len(events.parts), steps)
        fixed = cover[sounds.parts, sounds.steps]
        rows = encode_sounds(events, score, sounds)[fixed]
        self.grammar, self.events = grammar, events
        self.bars = fix_bars(grid, found, cover)
        self.cover = np.ascontiguousarray(cover.T)
        self.tempos = find_tempos(events, score, np.arange(steps + 1)) if events.tempos else np.zeros(1, dtype=np.int64)
        # The fixed notes in the order of their tokens, and one that is never due.
        self.steps, self.parts = np.append(sounds.steps[fixed], NEVER), np.append(sounds.parts[fixed], -1)
        self.order = self._number_notes(self.steps, self.parts, np.append(sounds.pitches[fixed], -1))
        self.sounds, self.velocities, self.durations = (np.append(rows[:, column], -1) for column in (2, 3, 4))

    def _number_notes(self, steps: Any, parts: Any, pitches: Any) -> Any:
        """Enumerate notes by step, part and pitch, in the order of their tokens.

        Part and pitch may be -1, before all others.
        """
        return (steps * (len(self.events.parts) + 1) + parts + 1) * PITCHES + pitches + 1

    def __call__(self, state: Array) -> Array:
        """Return the mask (B, V)."""
        xp = get_namespace(state)
        part = self._get_part(state)
        following = self._find_next(state, part)
        closed = xp.take(convert_like(self.cover, state), clip_step(state, len(self.cover)), axis=0)
        of_part = xp.take_along_axis(closed, xp.clip(part, 0, None)[:, None], axis=1)
        tempos, in_time = self._mask_tempos(state, xp.all(closed, axis=1))
        blocks = [
            self.bars.mask(state, self._pick(self.steps, following)),
            tempos,
            in_time[:, None] & self._mask_programs(state, following, closed),
            in_time[:, None] & self._mask_sounds(state, following, part, of_part),
            ~of_part | self._match(self.velocities, following - 1, "Velocity"),
            ~of_part | self._mask_durations(state, following - 1),
        ]
        return xp.concat(blocks, axis=1)

    def _get_part(self, state: Array) -> Array:
        """Return the current part (B,); -1 before the first program of this position."""
        xp, program = get_namespace(state), state[:, OwnField.PROGRAM]
        if not self.events.named:
            return xp.zeros_like(program)
        return xp.where(program > 0, program - self.events.first["Program"], -1)

    def _find_next(self, state: Array, part: Array) -> Array:
        """Find the index (B,) of the first fixed note that is not written yet."""
        xp, above, first = get_namespace(state), state[:, OwnField.ABOVE], self.events.first
        pitch = xp.where(above < first["Drum"], above - first["Pitch"] + self.events.lowest, above - first["Drum"])
        written = self._number_notes(find_last_step(state), part, xp.where(above > 0, pitch, -1))
        return xp.searchsorted(convert_like(self.order, state), written, side="right")

    def _pick(self, table: NDArray[np.int64], places: Array) -> Array:
        xp = get_namespace(places)
        inside = xp.minimum(xp.clip(places, 0, None), make_parameter(len(table) - 1, places))
        return xp.take(convert_like(table, places), inside)

    def _match(self, table: NDArray[np.int64], places: Array, kind: str) -> Array:
        """Mask (B, tokens of a kind) to the token of a fixed note."""
        tokens = make_range(self.events.count[kind], places) + self.events.first[kind]
        return tokens == self._pick(table, places)[:, None]

    def _mask_tempos(self, state: Array, all_fixed: Array) -> tuple[Array, Array]:
        """Mask tempos (B, tempos) to the score's where all parts are fixed.

        Also returns whether that tempo is in force already, (B,).
        """
        now = state[:, OwnField.TEMPO]
        wanted = self._pick(self.tempos, clip_step(state, len(self.tempos)))
        bound = all_fixed & (state[:, OwnField.REQUESTED_TEMPO] == 0)
        tokens = make_range(self.events.count["Tempo"], state) + self.events.first["Tempo"]
        in_time = (wanted == now) | ~bound | (state[:, Field.SLOT] != Turn.OPEN)
        return ~bound[:, None] | (tokens == wanted[:, None]), in_time

    def _mask_programs(self, state: Array, following: Array, closed: Array) -> Array:
        """Mask programs (B, programs): free ones, and that of the next fixed note.

        While a fixed note is due here, no program may pass its own.
        """
        due = (self._pick(self.steps, following) == find_last_step(state))[:, None]
        next_part = self._pick(self.parts, following)[:, None]
        programs = make_range(len(self.events.parts), state)
        allowed = (~closed | (due & (programs == next_part))) & (~due | (programs <= next_part))
        return allowed[:, : self.events.count["Program"]]

    def _mask_sounds(self, state: Array, following: Array, part: Array, of_part: Array) -> Array:
        """Mask pitches and drums (B, pitches + drums) of a fixed part to the next fixed note, if it is due."""
        due = (self._pick(self.steps, following) == find_last_step(state)) & (self._pick(self.parts, following) == part)
        count = self.events.count["Pitch"] + self.events.count["Drum"]
        tokens = make_range(count, state) + self.events.first["Pitch"]
        return ~of_part | (due[:, None] & (tokens == self._pick(self.sounds, following)[:, None]))

    def _mask_durations(self, state: Array, place: Array) -> Array:
        """Mask durations (B, durations) to the fixed one, or the longest that fits before the end."""
        xp = get_namespace(state)
        fitting = xp.sum(xp.astype(self.grammar.mask_durations(state), xp.int64), axis=1)
        fixed = self._pick(self.durations, place) - self.events.first["Duration"]
        return make_range(self.events.count["Duration"], state) == xp.minimum(fixed, fitting - 1)[:, None]


def _list_parts(events: Events, parts: Sequence[int | None], span: Span) -> Sequence[int]:
    """List the parts of a span, given those of the tracks; none for a track that is not written."""
    check_track(span, len(parts))
    if span.track is None:
        return range(len(events.parts))
    part = parts[span.track]
    return [] if part is None else [part]
