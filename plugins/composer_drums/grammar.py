"""The grammar of `drums`, over a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from composer.arrays import (
    carry_forward,
    convert_like,
    get_namespace,
    is_all_false,
    look_up,
    make_range,
    replace_column,
)
from composer.music.score import Score
from composer.request import Request
from composer.tokens import bar_grammar
from composer.tokens.bar_grammar import Field, Grid, Slot
from composer.types import Array, Column, MusicalState, Span, Tokens
from composer_drums.events import STEPS, Events


class Turn:
    """The type of the next token: slots beyond the shared ones."""

    OPEN = Slot.OWN  # the first hit of a position
    VELOCITY = Slot.OWN + 1
    TIMING = Slot.OWN + 2
    MORE = Slot.OWN + 3  # another hit, or a later position
    TEMPO = Slot.OWN + 4  # of the piece, before its first bar
    COUNT = Slot.OWN + 5


class OwnField:
    """Columns of the state beyond the shared ones."""

    HIT = Field.OWN  # token of the last hit at this position, 0 for none
    TEMPO = Field.OWN + 1  # token, 0 before it
    RHYTHM = Field.OWN + 2  # token of the beat, 0 before the first of a bar
    BEAT = Field.OWN + 3  # of the bar, whose rhythm is known; the one before the first until then
    REQUESTED_TEMPO = Field.OWN + 4  # token, 0 for none
    COUNT = Field.OWN + 5


@dataclass(frozen=True)
class DrumGrammar:
    """Beats with hits, whose classes rise: `Rhythm_36 Position_3 Drum_36 Velocity_92 Timing_-1 Drum_42 …`.

    No position is struck that is not in the rhythm of its beat. All in it are, but for those that a constraint forbids.
    A rhythm moves to the step before its beat, which is no position.
    """

    events: Events

    @property
    def grid(self) -> Grid:
        """The grid in time."""
        return self.events.grid

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The shared columns, the last hit at this position, the tempo, the beat's rhythm, and its next position."""
        size = len(self.events.tokens)
        own = [Column(name, size, tokens=True) for name in ("hit", "tempo", "rhythm")]
        return (*self.grid.make_columns(size, Turn.COUNT), *own, Column("due", STEPS + 1))

    def start(self, request: Request, rows: int) -> NDArray[np.int64]:
        """Return states before the first token."""
        own = np.zeros((rows, OwnField.COUNT - Field.OWN), dtype=np.int64)
        if request.tempo is not None and self.events.tempo_count:
            own[:, OwnField.REQUESTED_TEMPO - Field.OWN] = self.events.encode_tempo(request.tempo)
        return np.concatenate([bar_grammar.start(self.grid, request, rows), own], axis=1)

    # --- allowed tokens -----------------------------------------------------------------------------------------------

    def mask(self, state: Array) -> Array:
        """Return the mask of allowed tokens, (B, V)."""
        xp, slot = get_namespace(state), state[:, Field.SLOT]
        rows, count, first = state.shape[0], self.events.count, self.events.first
        more = slot == Turn.MORE
        asked = state[:, OwnField.REQUESTED_TEMPO][:, None]
        tempo = make_range(count["Tempo"], state) + first["Tempo"]
        drum = make_range(count["Drum"], state) + first["Drum"]
        adds = ((slot == Turn.OPEN) | more) & bar_grammar.can_add_notes(state)
        moves = more | (slot == Slot.MOVE)
        is_last = (state[:, OwnField.BEAT] + 1) * STEPS >= state[:, Field.LENGTH]
        blocks = [
            self._mask_grid(state, moves, is_last),
            (slot == Turn.TEMPO)[:, None] & ((asked == 0) | (tempo == asked)),
            self._mask_rhythms(state, moves & ~is_last),
            adds[:, None] & (drum > state[:, OwnField.HIT][:, None]),
            xp.broadcast_to((slot == Turn.VELOCITY)[:, None], (rows, count["Velocity"])),
            (slot == Turn.TIMING)[:, None] & self._mask_offsets(state),
        ]
        return xp.concat(blocks, axis=1)

    def _mask_grid(self, state: Array, moves: Array, is_last: Array) -> Array:
        """Mask (B, G) the grid's tokens: later positions that the rhythm has, or what follows the last beat."""
        if is_all_false(moves | (state[:, Field.SLOT] < Slot.MOVE) | (state[:, Field.SLOT] == Slot.END)):
            return np.zeros((len(state), len(self.grid.tokens)), dtype=bool)
        xp, floor, here = get_namespace(state), state[:, Field.FLOOR], bar_grammar.find_last_step(state)
        # The rhythm has no position before the end of a primer. So nothing waits for that within its bar.
        is_here = (floor > here) & (floor < state[:, Field.NEXT])
        freed = replace_column(state, Field.FLOOR, xp.where(is_here, here, floor))
        allowed = bar_grammar.mask_tokens(self.grid, freed, moves)
        token = make_range(len(self.grid.tokens), state)
        is_position = (token >= self.grid.first["Position"]) & (token < self.grid.last["Position"])
        fits = xp.where(is_position, self._mask_struck(state, token), is_last[:, None])
        return allowed & (fits | ~moves[:, None])

    def _mask_struck(self, state: Array, token: Array) -> Array:
        """Mask (B, G) those of the grid's tokens that are positions in the rhythm of the beat."""
        xp, rhythm = get_namespace(state), state[:, OwnField.RHYTHM][:, None]
        step = token - self.grid.first["Position"] - state[:, OwnField.BEAT][:, None] * STEPS
        place = xp.clip(rhythm - self.events.first["Rhythm"], 0, None) * STEPS + xp.clip(step, 0, STEPS - 1)
        is_struck = look_up(self.events.rhythms.ravel(), place)
        return is_struck & (rhythm > 0) & (step >= 0) & (step < STEPS)

    def _find_due(self, state: Array) -> Array:
        """Find (B,) the next struck step of the beat, STEPS for none."""
        xp, beat, rhythm = get_namespace(state), state[:, OwnField.BEAT], state[:, OwnField.RHYTHM]
        step = xp.clip(state[:, Field.POSITION] + 1 - beat * STEPS, 0, STEPS)
        place = xp.clip(rhythm - self.events.first["Rhythm"], 0, None) * (STEPS + 1) + step
        found = xp.take(convert_like(self.events.next_onset.ravel(), state), place)
        return xp.where(rhythm == 0, STEPS, found)

    def _mask_rhythms(self, state: Array, states: Array) -> Array:
        """Mask (B, rhythms) those of the next beat, where a row `states` (B,) one: without what comes too early."""
        if is_all_false(states):
            return np.zeros((len(state), self.events.count["Rhythm"]), dtype=bool)
        patterns = convert_like(self.events.patterns, state)
        late = get_namespace(state).take(convert_like(self._late, state), self._count_early(state))
        return states[:, None] & ((patterns & ~(self.find_places(state) & late)[:, None]) == 0)

    def find_places(self, state: Array) -> Array:
        """Find (B,) the pattern of all positions in the next beat of the bar."""
        xp, beats = get_namespace(state), self.events.possible.shape[1]
        place = self._find_row(state) * beats + xp.clip(state[:, OwnField.BEAT] + 1, 0, beats - 1)
        return xp.take(convert_like(self.events.possible.ravel(), state), place)

    def _count_early(self, state: Array) -> Array:
        """Count (B,) the steps of the next beat that come before the piece, or before the end of a primer."""
        xp, origin = get_namespace(state), state[:, Field.ORIGIN]
        least = xp.maximum(state[:, Field.FLOOR], xp.zeros_like(origin))
        return xp.clip(least - origin - (state[:, OwnField.BEAT] + 1) * STEPS, 0, STEPS)

    @cached_property
    def _late(self) -> NDArray[np.int64]:
        """(STEPS + 1,) the pattern of all places of a beat from each step on."""
        steps = np.arange(STEPS)
        return self.events.gather_bits((steps >= np.arange(STEPS + 1)[:, None]).astype(np.int64))

    def _find_row(self, state: Array) -> Array:
        """Find (B,) the index of the time signature; the first where there is none yet."""
        return get_namespace(state).clip(state[:, Field.TIME_SIGNATURE] - self.grid.first["TimeSignature"], 0, None)

    def _mask_offsets(self, state: Array) -> Array:
        """Mask (B, offsets) those in the cell of the position, and not before the piece or the end of a primer."""
        xp, length = get_namespace(state), self.grid.longest_bar
        place = self._find_row(state) * length + xp.clip(state[:, Field.POSITION], 0, None)
        low, high = (xp.take(convert_like(table.ravel(), state), place) for table in self.events.reach)
        floor = xp.clip(state[:, Field.FLOOR], 0, None) - bar_grammar.find_last_step(state)
        low = xp.maximum(low, floor * self.events.fine)
        offset = self.list_offsets(state)
        return (offset >= low[:, None]) & (offset <= high[:, None])

    def list_offsets(self, state: Array) -> Array:
        """List (1, offsets) the offsets of the tokens in fine steps."""
        least = int(self.events.offsets[0]) if self.events.fine_steps else 0
        return make_range(self.events.count["Timing"], state) + least

    # --- transitions --------------------------------------------------------------------------------------------------

    def advance(self, state: Array, tokens: Array) -> Array:
        """Return the states after `tokens`."""
        xp = get_namespace(state)
        shared = bar_grammar.advance(self.grid, state, tokens)
        shared = replace_column(shared, Field.SLOT, self._choose_slot(tokens, shared[:, Field.SLOT]))
        is_drum, is_rhythm = (self._is_kind(kind, tokens) for kind in ("Drum", "Rhythm"))
        is_bar = self._is_bar(tokens)
        first = xp.maximum(-shared[:, Field.ORIGIN], xp.zeros_like(tokens)) // STEPS  # of a pickup a later one
        beat = xp.where(is_bar, first - 1, xp.where(is_rhythm, state[:, OwnField.BEAT] + 1, state[:, OwnField.BEAT]))
        before = xp.where(is_rhythm, beat * STEPS - 1, shared[:, Field.POSITION])
        own = [
            xp.where(is_drum, tokens, xp.where(self._moves(tokens), 0, state[:, OwnField.HIT])),
            xp.where(self._is_kind("Tempo", tokens), tokens, state[:, OwnField.TEMPO]),
            xp.where(is_rhythm, tokens, xp.where(is_bar, 0, state[:, OwnField.RHYTHM])),
            beat,
            state[:, OwnField.REQUESTED_TEMPO],
        ]
        after = xp.concat([replace_column(shared, Field.POSITION, before), xp.stack(own, axis=1)], axis=1)
        return xp.where((state[:, Field.SLOT] == Slot.END)[:, None], state, after)

    def _is_bar(self, tokens: Array) -> Array:
        return (tokens >= self.grid.first["Bar"]) & (tokens < self.grid.last["Bar"])

    def _moves(self, tokens: Array) -> Array:
        """Tell (B,) which tokens are positions or rhythms."""
        return self._is_position(tokens) | self._is_kind("Rhythm", tokens)

    def _is_position(self, tokens: Array) -> Array:
        return (tokens >= self.grid.first["Position"]) & (tokens < self.grid.last["Position"])

    def _is_kind(self, kind: str, tokens: Array) -> Array:
        first = self.events.first[kind]
        return (tokens >= first) & (tokens < first + self.events.count[kind])

    def _choose_slot(self, tokens: Array, slot: Array) -> Array:
        """Choose the slot (B,) after tokens; `slot` is that of the shared part."""
        xp, events = get_namespace(slot), self.events
        after_velocity = Turn.TIMING if events.fine_steps else Turn.MORE
        if events.tempo_count:
            is_upbeat = (tokens >= self.grid.first["Upbeat"]) & (tokens < self.grid.last["Upbeat"])
            slot = xp.where(is_upbeat, Turn.TEMPO, slot)
            slot = xp.where(self._is_kind("Tempo", tokens), Slot.BAR, slot)
        slot = xp.where(self._is_kind("Rhythm", tokens), Slot.MOVE, slot)
        slot = xp.where(self._is_kind("Drum", tokens), Turn.VELOCITY if events.velocities else after_velocity, slot)
        slot = xp.where(self._is_kind("Velocity", tokens), after_velocity, slot)
        return xp.where(self._is_kind("Timing", tokens), Turn.MORE, slot)

    def compute_states(self, tokens: Tokens) -> NDArray[np.int64]:
        """Compute the states before each token of a piece, (T, S), equal to those of `advance`."""
        shared, before = bar_grammar.compute_states(self.grid, tokens), bar_grammar.shift_tokens(tokens)
        own = [(self._is_kind(kind, before)) for kind in self.events.count]
        stated = np.any(own, axis=0)
        chosen = self._choose_slot(before, shared[:, Field.SLOT])
        # A token of this grammar keeps its slot until the next token; the shared part repeats an older one there.
        shared[:, Field.SLOT] = np.where(stated | (chosen != shared[:, Field.SLOT]), chosen, shared[:, Field.SLOT])
        is_drum, is_tempo, is_rhythm = (self._is_kind(kind, before) for kind in ("Drum", "Tempo", "Rhythm"))
        is_bar, count = self._is_bar(before), np.cumsum(is_rhythm)
        first = np.maximum(-shared[:, Field.ORIGIN], 0) // STEPS
        beat = carry_forward(first - 1 - count, is_bar, 0) + np.where(np.cumsum(is_bar) > 0, count, 0)
        moved = np.where(is_rhythm, beat * STEPS - 1, shared[:, Field.POSITION])
        shared[:, Field.POSITION] = carry_forward(moved, is_rhythm | is_bar | self._is_position(before), -1)
        hit = carry_forward(np.where(is_drum, before, 0), is_drum | self._moves(before), 0)
        tempo = carry_forward(before, is_tempo, 0)
        rhythm = carry_forward(np.where(is_rhythm, before, 0), is_rhythm | is_bar, 0)
        return np.concatenate([shared.T, [hit, tempo, rhythm, beat, np.zeros_like(hit)]]).T

    # --- views of a state ---------------------------------------------------------------------------------------------

    def make_inputs(self, state: Array) -> Array:
        """Compute the features of the model's input, (B, C)."""
        own = state[:, OwnField.HIT : OwnField.BEAT]
        due = self._find_due(state)[:, None]
        return get_namespace(state).concat([bar_grammar.make_grid_inputs(self.grid, state), own, due], axis=1)

    def interpret(self, state: Array) -> MusicalState:
        """Interpret states in musical terms; a hit is at the tick of its position, and its offset follows."""
        return bar_grammar.interpret(self.grid, state)

    def fix_notes(self, score: Score, spans: Sequence[Span]) -> Callable[[Array], Array]:
        """Return a function from states to masks (B, V) that keep the hits of `score` in `spans`."""
        from composer_drums.fixed_hits import fix_hits

        return fix_hits(self, score, spans)
