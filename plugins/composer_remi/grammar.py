"""The grammar of `remi`, over a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from composer.arrays import carry_forward, convert_like, get_namespace, make_range, replace_column
from composer.music.keys import ALL_KEYS
from composer.music.score import Score
from composer.request import Request
from composer.tokens import bar_grammar
from composer.tokens.bar_grammar import Field, Grid, Slot
from composer.tokens.vocabulary import BOS
from composer.types import Array, Column, MusicalState, Span, Tokens
from composer_remi.events import Events, encode_tempo

RECENT = 32
"""The number of latest notes that a state remembers, with their ends."""


_TONICS = np.array([key.tonic_offset for key in ALL_KEYS])
"""Semitones of the tonic of each key above C."""


class Turn:
    """The type of the next token at a position: slots beyond the shared ones."""

    OPEN = Slot.OWN  # a tempo, or the first note
    BEGIN = Slot.OWN + 1  # the first note
    SOUND = Slot.OWN + 2  # a pitch, or a drum
    VELOCITY = Slot.OWN + 3
    DURATION = Slot.OWN + 4
    MORE = Slot.OWN + 5  # another note, another program, or a later position
    COUNT = Slot.OWN + 6


class OwnField:
    """Columns of the state beyond the shared ones."""

    PROGRAM = Field.OWN  # current token, 0 for none yet at this position
    ABOVE = Field.OWN + 1  # token of the last note of this program at this position, 0 for none
    TEMPO = Field.OWN + 2  # current token, 0 for none
    REQUESTED_TEMPO = Field.OWN + 3  # token, 0 for none
    SOUND = Field.OWN + 4  # token of the last pitch or drum anywhere, 0 for none
    END = Field.OWN + 5  # step at which the last note ends
    OLDER = Field.OWN + 6  # step at which the last of the older notes ends
    PITCHES = Field.OWN + 7  # of the RECENT latest notes, oldest first, -1 for none
    ENDS = PITCHES + RECENT  # and their ends
    COUNT = ENDS + RECENT


@dataclass(frozen=True)
class RemiGrammar:
    """Positions with notes in one order: programs rise at a position, and pitches within a program."""

    events: Events
    harmony: bool = False  # whether the model is told what sounds

    @property
    def grid(self) -> Grid:
        """The grid in time."""
        return self.events.grid

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The shared columns, the current program, the last sound, and how far notes reach into the bar.

        With `harmony`, also the lowest and the highest sounding pitch, and whether each degree above the tonic sounds.
        """
        size = len(self.events.tokens)
        return (
            *self.grid.make_columns(size, Turn.COUNT),
            Column("program", size, tokens=True),
            Column("sound", size, tokens=True),
            Column("end", self.grid.longest_bar + 2),
            *([Column("lowest", size, tokens=True), Column("highest", size, tokens=True)] if self.harmony else []),
            *(Column(f"degree {degree}", 2) for degree in range(12 if self.harmony else 0)),
        )

    def start(self, request: Request, rows: int) -> NDArray[np.int64]:
        """Return states before the first token: silence."""
        own = np.zeros((rows, OwnField.COUNT - Field.OWN), dtype=np.int64)
        own[:, OwnField.PITCHES - Field.OWN : OwnField.ENDS - Field.OWN] = -1
        if request.tempo is not None and self.events.tempos:
            own[:, OwnField.REQUESTED_TEMPO - Field.OWN] = encode_tempo(self.events, request.tempo)
        return np.concatenate([bar_grammar.start(self.grid, request, rows), own], axis=1)

    # --- allowed tokens -----------------------------------------------------------------------------------------------

    def mask(self, state: Array) -> Array:
        """Return the mask of allowed tokens, (B, V)."""
        xp, slot = get_namespace(state), state[:, Field.SLOT]
        more = slot == Turn.MORE
        shared = bar_grammar.mask_tokens(self.grid, state, more | (slot == Slot.MOVE))
        more = more & (bar_grammar.find_last_step(state) >= state[:, Field.FLOOR])
        begin = (slot == Turn.BEGIN) | ((slot == Turn.OPEN) & self._has_tempo(state)) | more
        sound = (slot == Turn.SOUND) | more if self.events.named else begin
        drums = state[:, OwnField.PROGRAM] == self.events.drum_program
        blocks = [
            shared,
            self._mask_tempos(state),
            begin[:, None] & self._mask_higher(state, "Program", OwnField.PROGRAM),
            (sound & ~drums)[:, None] & self._mask_higher(state, "Pitch", OwnField.ABOVE),
            (sound & drums)[:, None] & self._mask_higher(state, "Drum", OwnField.ABOVE),
            xp.broadcast_to((slot == Turn.VELOCITY)[:, None], (state.shape[0], len(self.events.velocities))),
            self.mask_durations(state),
        ]
        return xp.concat(blocks, axis=1)

    def _has_tempo(self, state: Array) -> Array:
        """Tell whether the opening tempo is written, or not needed, (B,)."""
        return (state[:, OwnField.TEMPO] != 0) | (not self.events.tempos)

    def _list_tokens(self, kind: str, state: Array) -> Array:
        """Return the tokens of a type, (1, count)."""
        return make_range(self.events.count[kind], state) + self.events.first[kind]

    def _mask_higher(self, state: Array, kind: str, column: int) -> Array:
        return self._list_tokens(kind, state) > state[:, column][:, None]

    def _mask_tempos(self, state: Array) -> Array:
        tokens, asked = self._list_tokens("Tempo", state), state[:, OwnField.REQUESTED_TEMPO][:, None]
        new = (tokens != state[:, OwnField.TEMPO][:, None]) & ((asked == 0) | (tokens == asked))
        return new & (state[:, Field.SLOT] == Turn.OPEN)[:, None]

    def mask_durations(self, state: Array) -> Array:
        """Mask durations (B, durations) to those within the piece, if its end is announced."""
        xp, left = get_namespace(state), state[:, Field.COUNTDOWN]
        # Later bars may be longer than this one, unless a time signature was requested.
        longest = xp.where(state[:, Field.REQUESTED_SIGNATURE] == 0, self.grid.longest_bar, state[:, Field.LENGTH])
        last = (state[:, Field.NEXT] + (left - 1) * longest)[:, None]
        ends = bar_grammar.find_last_step(state)[:, None] + convert_like(self.events.steps, state)[None, :]
        return ((ends <= last) | (left == 0)[:, None]) & (state[:, Field.SLOT] == Turn.DURATION)[:, None]

    # --- transitions --------------------------------------------------------------------------------------------------

    def advance(self, state: Array, tokens: Array) -> Array:
        """Return the states after `tokens`."""
        xp = get_namespace(state)
        of_kind = {kind: self._is_kind(kind, tokens) for kind in self.events.count}
        shared = bar_grammar.advance(self.grid, state, tokens)
        shared = replace_column(
            shared, Field.SLOT, self._choose_slot(of_kind, state[:, OwnField.PROGRAM], shared[:, Field.SLOT])
        )
        after = xp.concat(
            [shared, self._update_current(of_kind, state, tokens), self._update_lasting(of_kind, state, tokens)], axis=1
        )
        return xp.where((state[:, Field.SLOT] == Slot.END)[:, None], state, after)

    def _is_kind(self, kind: str, tokens: Array) -> Array:
        first = self.events.first[kind]
        return (tokens >= first) & (tokens < first + self.events.count[kind])

    def _choose_slot(self, of_kind: dict[str, Array], program: Array, slot: Array) -> Array:
        """Choose the next slot (B,), given the current program; `slot` is that of the shared part."""
        xp = get_namespace(slot)
        loud = bool(self.events.velocities)
        drums = program == self.events.drum_program
        slot = xp.where(of_kind["Tempo"], Turn.BEGIN, slot)
        slot = xp.where(of_kind["Program"], Turn.SOUND, slot)
        slot = xp.where(of_kind["Pitch"], Turn.VELOCITY if loud else Turn.DURATION, slot)
        slot = xp.where(of_kind["Drum"], Turn.VELOCITY if loud else Turn.MORE, slot)
        slot = xp.where(of_kind["Velocity"], xp.where(drums, Turn.MORE, Turn.DURATION), slot)
        return xp.where(of_kind["Duration"], Turn.MORE, slot)

    def _update_current(self, of_kind: dict[str, Array], state: Array, tokens: Array) -> Array:
        """Compute the columns from `PROGRAM` to `SOUND`, (B, 5)."""
        xp = get_namespace(state)
        first, last = self.grid.first["Position"], self.grid.last["Position"]
        position, sound = (tokens >= first) & (tokens < last), of_kind["Pitch"] | of_kind["Drum"]
        program = xp.where(of_kind["Program"], tokens, state[:, OwnField.PROGRAM])
        above = xp.where(sound, tokens, state[:, OwnField.ABOVE])
        columns = [
            xp.where(position, 0, program),
            xp.where(position | of_kind["Program"], 0, above),
            xp.where(of_kind["Tempo"], tokens, state[:, OwnField.TEMPO]),
            state[:, OwnField.REQUESTED_TEMPO],
            xp.where(sound, tokens, state[:, OwnField.SOUND]),
        ]
        return xp.stack(columns, axis=1)

    def _update_lasting(self, of_kind: dict[str, Array], state: Array, tokens: Array) -> Array:
        """Compute the columns from `END` on, (B, 2 + 2 RECENT). A note is complete with its duration."""
        xp, complete = get_namespace(state), of_kind["Duration"]
        place = xp.where(complete, tokens - self.events.first["Duration"], 0)
        end = bar_grammar.find_last_step(state) + xp.take(convert_like(self.events.steps, state), place)
        furthest = xp.maximum(state[:, OwnField.END], xp.where(complete, end, 0))
        pitch = state[:, OwnField.SOUND] - self.events.first["Pitch"] + self.events.lowest
        older = xp.maximum(state[:, OwnField.OLDER], xp.where(complete, state[:, OwnField.ENDS], 0))
        pushed = [
            state[:, OwnField.PITCHES + 1 : OwnField.ENDS],
            pitch[:, None],
            state[:, OwnField.ENDS + 1 :],
            end[:, None],
        ]
        recent = xp.where(complete[:, None], xp.concat(pushed, axis=1), state[:, OwnField.PITCHES :])
        return xp.concat([furthest[:, None], older[:, None], recent], axis=1)

    # --- transitions of a whole piece ---------------------------------------------------------------------------------

    def compute_states(self, tokens: Tokens) -> NDArray[np.int64]:
        """Compute the states before each token of a piece, (T, S), equal to those of `advance`."""
        shared, before = bar_grammar.compute_states(self.grid, tokens), bar_grammar.shift_tokens(tokens)
        of_kind = {kind: self._is_kind(kind, before) for kind in self.events.count}
        first, last = self.grid.first["Position"], self.grid.last["Position"]
        position, sound = (before >= first) & (before < last), of_kind["Pitch"] | of_kind["Drum"]
        program = carry_forward(np.where(position, 0, before), position | of_kind["Program"], 0)
        shared[:, Field.SLOT] = self._choose_slot(of_kind, program, shared[:, Field.SLOT])
        in_force = [
            program,
            carry_forward(np.where(sound, before, 0), position | of_kind["Program"] | sound, 0),
            carry_forward(before, of_kind["Tempo"], 0),
            np.zeros_like(before),
            carry_forward(before, sound, 0),
        ]
        lasting = self._compute_lasting(of_kind["Duration"], before, in_force[-1], bar_grammar.find_last_step(shared))
        return np.concatenate([shared.T, in_force, lasting]).T

    def _compute_lasting(
        self, complete: NDArray[np.bool_], tokens: Tokens, sound: Tokens, here: Tokens
    ) -> NDArray[np.int64]:
        """Compute the columns from `END` on, (2 + 2 RECENT, T), after RECENT notes of silence."""
        ends = here[complete] + self.events.steps[tokens[complete] - self.events.first["Duration"]]
        pitches = sound[complete] - self.events.first["Pitch"] + self.events.lowest
        ends = np.concatenate([np.zeros(RECENT, dtype=np.int64), ends])
        pitches = np.concatenate([np.full(RECENT, -1), pitches])
        recent = np.cumsum(complete) + np.arange(RECENT)[:, None]
        furthest = np.maximum.accumulate(np.concatenate([[0], ends]))  # before each of these notes
        return np.concatenate([furthest[recent[-1:] + 1], furthest[recent[:1]], pitches[recent], ends[recent]])

    # --- views of a state ---------------------------------------------------------------------------------------------

    def make_inputs(self, state: Array) -> Array:
        """Compute the features of the model's input, (B, 12), or (B, 13) with sections, and 14 more with harmony."""
        xp = get_namespace(state)
        end = xp.clip(state[:, OwnField.END] - state[:, Field.ORIGIN], 0, self.grid.longest_bar + 1)
        own = xp.stack([state[:, OwnField.PROGRAM], state[:, OwnField.SOUND], end], axis=1)
        more = [self._describe_harmony(state)] if self.harmony else []
        return xp.concat([bar_grammar.make_grid_inputs(self.grid, state), own, *more], axis=1)

    def _describe_harmony(self, state: Array) -> Array:
        """Describe the sounding notes among the recent ones, (B, 14): the outer pitches' tokens, and the degrees."""
        xp = get_namespace(state)
        pitches = state[:, OwnField.PITCHES : OwnField.ENDS]
        sounds = state[:, OwnField.ENDS :] > bar_grammar.find_onset_step(state)[:, None]
        outer = [xp.min(xp.where(sounds, pitches, 128), axis=1), xp.max(xp.where(sounds, pitches, -1), axis=1)]
        silent, first = ~xp.any(sounds, axis=1), self.events.first["Pitch"] - self.events.lowest
        key = state[:, Field.KEY]
        tonics = xp.take(convert_like(_TONICS, state), xp.clip(key - self.grid.first["Key"], 0, len(_TONICS) - 1))
        degrees = (pitches - xp.where(key == BOS, 0, tonics)[:, None]) % 12
        columns = [xp.where(silent, BOS, pitch + first) for pitch in outer]
        columns += [xp.where(xp.any(sounds & (degrees == n), axis=1), 1, 0) for n in range(12)]
        return xp.stack(columns, axis=1)

    def interpret(self, state: Array) -> MusicalState:
        """Interpret states in musical terms: the voice is the index of the program.

        `sounding` has the recent notes that still sound. If an older one does as well, `others` counts RECENT more.
        """
        xp = get_namespace(state)
        program = state[:, OwnField.PROGRAM]
        here = bar_grammar.find_onset_step(state)
        sounds = state[:, OwnField.ENDS :] > here[:, None]
        sounding = xp.where(sounds, state[:, OwnField.PITCHES : OwnField.ENDS], -1)
        return bar_grammar.interpret(
            self.grid,
            state,
            voice=xp.where(program > 0, program - self.events.first["Program"], -1),
            sounding=sounding,
            shift=xp.zeros_like(program),
            written=sounding,
            others=xp.sum(xp.where(sounds, 1, 0), axis=1) + xp.where(state[:, OwnField.OLDER] > here, RECENT, 0),
        )

    def fix_notes(self, score: Score, spans: Sequence[Span]) -> Callable[[Array], Array]:
        """Return a function from states to masks (B, V) that keep the notes of `score` in `spans`.

        A span's track stands for all tracks of its program.
        """
        from composer_remi.fixed_notes import FixedNotes

        return FixedNotes(self, score, tuple(spans))
