"""The grammar of `drums`, over a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from composer.arrays import carry_forward, convert_like, get_namespace, make_range, replace_column
from composer.music.score import Score
from composer.request import Request
from composer.tokens import bar_grammar
from composer.tokens.bar_grammar import Field, Grid, Slot
from composer.types import Array, Column, MusicalState, Span, Tokens
from composer_drums.events import Events


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
    REQUESTED_TEMPO = Field.OWN + 2  # token, 0 for none
    COUNT = Field.OWN + 3


@dataclass(frozen=True)
class DrumGrammar:
    """Positions with hits, whose classes rise: `Position_3 Drum_36 Velocity_92 Timing_-1 Drum_42 …`."""

    events: Events

    @property
    def grid(self) -> Grid:
        """The grid in time."""
        return self.events.grid

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The shared columns, the last hit at this position, and the tempo."""
        size = len(self.events.tokens)
        own = (Column("hit", size, tokens=True), Column("tempo", size, tokens=True))
        return (*self.grid.make_columns(size, Turn.COUNT), *own)

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
        blocks = [
            self._mask_grid(state, more | (slot == Slot.MOVE)),
            (slot == Turn.TEMPO)[:, None] & ((asked == 0) | (tempo == asked)),
            adds[:, None] & (drum > state[:, OwnField.HIT][:, None]),
            xp.broadcast_to((slot == Turn.VELOCITY)[:, None], (rows, count["Velocity"])),
            (slot == Turn.TIMING)[:, None] & self._mask_offsets(state),
        ]
        return xp.concat(blocks, axis=1)

    def _mask_grid(self, state: Array, may_move: Array) -> Array:
        """Mask (B, G) the grid's tokens: a piece goes on after a primer at the next position of a bar."""
        xp, floor, origin = get_namespace(state), state[:, Field.FLOOR], state[:, Field.ORIGIN]
        length, row = self.grid.longest_bar, self._find_row(state)
        step = xp.clip(floor - origin, 0, length)
        following = xp.take(convert_like(self._following.ravel(), state), row * (length + 1) + step)
        end = state[:, Field.NEXT]
        is_here = (floor >= origin) & (floor < end)
        state = replace_column(state, Field.FLOOR, xp.where(is_here, xp.minimum(origin + following, end), floor))
        allowed = bar_grammar.mask_tokens(self.grid, state, may_move)
        on_grid = xp.take(convert_like(self._on_grid, state), row, axis=0)
        return allowed & on_grid

    @cached_property
    def _on_grid(self) -> NDArray[np.bool_]:
        """(signatures, G) the grid's tokens but those of steps that are no positions."""
        table = np.ones((len(self.grid.signatures), len(self.grid.tokens)), dtype=bool)
        first, last = self.grid.first["Position"], self.grid.last["Position"]
        table[:, first:last] = self.events.is_position[:, :-1]
        return table

    @cached_property
    def _following(self) -> NDArray[np.int64]:
        """(signatures, longest_bar + 1) the next position at or after each step, the bar's end at most."""
        steps = np.arange(self.grid.longest_bar + 1)
        marked = np.where(self.events.is_position, steps, len(steps) - 1)
        return np.minimum.accumulate(marked[:, ::-1], axis=1)[:, ::-1].astype(np.int64)

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
        is_position, is_drum = self._is_position(tokens), self._is_kind("Drum", tokens)
        own = [
            xp.where(is_drum, tokens, xp.where(is_position, 0, state[:, OwnField.HIT])),
            xp.where(self._is_kind("Tempo", tokens), tokens, state[:, OwnField.TEMPO]),
            state[:, OwnField.REQUESTED_TEMPO],
        ]
        after = xp.concat([shared, xp.stack(own, axis=1)], axis=1)
        return xp.where((state[:, Field.SLOT] == Slot.END)[:, None], state, after)

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
        is_drum, is_tempo = self._is_kind("Drum", before), self._is_kind("Tempo", before)
        hit = carry_forward(np.where(is_drum, before, 0), is_drum | self._is_position(before), 0)
        tempo = carry_forward(before, is_tempo, 0)
        return np.concatenate([shared.T, [hit, tempo, np.zeros_like(hit)]]).T

    # --- views of a state ---------------------------------------------------------------------------------------------

    def make_inputs(self, state: Array) -> Array:
        """Compute the features of the model's input, (B, C)."""
        own = state[:, OwnField.HIT : OwnField.REQUESTED_TEMPO]
        return get_namespace(state).concat([bar_grammar.make_grid_inputs(self.grid, state), own], axis=1)

    def interpret(self, state: Array) -> MusicalState:
        """Interpret states in musical terms; a hit is at the tick of its position, and its offset follows."""
        return bar_grammar.interpret(self.grid, state)

    def fix_notes(self, score: Score, spans: Sequence[Span]) -> Callable[[Array], Array]:
        """Return a function from states to masks (B, V) that keep the hits of `score` in `spans`."""
        from composer_drums.fixed_hits import fix_hits

        return fix_hits(self, score, spans)
