"""The grammar of `voices`, over a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from composer.arrays import carry_forward, convert_like, get_namespace, make_range, replace_column
from composer.music.keys import ALL_KEYS, Key
from composer.music.score import Score
from composer.request import Request
from composer.tokens import bar_grammar
from composer.tokens.bar_grammar import KEY_COLUMN, Field, Grid, Slot
from composer.tokens.vocabulary import BOS
from composer.types import Array, Column, MusicalState, Span, Tokens

MOVED = Field.OWN
"""State column: whether a voice has moved in this frame so far."""

FIRST_VOICE = Field.OWN + 1
"""First of the state's columns with the sounding token of each voice. As many follow for the sound before this
frame."""

SILENT = 12
"""The degree of a silent voice."""

ENDINGS = (0, 3, 4, 7)
"""Degrees, in semitones, of the major and the minor tonic chord."""

PERFECT = (0, 7)
"""Semitones, without octaves, of the intervals that must not move in parallel."""

_ENDINGS = np.array([ENDINGS])
_HOMES = np.array([known.tonic_offset for known in ALL_KEYS])
_MINORS = np.array([known.minor for known in ALL_KEYS])


@dataclass(frozen=True)
class VoicesGrammar:
    """Frames of one token a voice; in the slot `Slot.OWN + v` it is the turn of voice v."""

    grid: Grid
    voices: int
    lowest: int
    highest: int
    relative: bool = False  # whether pitches are transposed to C

    @property
    def hold(self) -> int:
        """The token Hold_None."""
        return len(self.grid.tokens)

    @property
    def rest(self) -> int:
        """The token Rest_None."""
        return self.hold + 1

    @property
    def first_pitch(self) -> int:
        """The token of the lowest pitch."""
        return self.hold + 2

    @property
    def size(self) -> int:
        """V, the size of the vocabulary."""
        return self.first_pitch + self.highest - self.lowest + 1

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The shared columns; the sound of each voice, as a token and as a degree; the tonic offset if it is relative.

        For the voice in turn, the nearest pitches of a final chord. With several voices, also its sound, and the
        pitches that would move in parallel.
        """
        names = [f"voice {voice + 1}" for voice in range(self.voices)]
        columns = [
            *self.grid.make_columns(self.size, Slot.OWN + self.voices),
            *(Column(name, self.size, tokens=True) for name in names),
            *(Column(f"degree of {name}", SILENT + 1) for name in names),
        ]
        if self.relative:
            columns.append(Column("home", 12))
        columns += (Column(f"ending on {degree}", self.size, tokens=True) for degree in ENDINGS)
        if self.voices > 1:
            columns.append(Column("voice in turn", self.size, tokens=True))
            columns += (Column(f"parallel with {name}", self.size, tokens=True) for name in names)
        return tuple(columns)

    def start(self, request: Request, rows: int) -> NDArray[np.int64]:
        """Return states before the first token: silence in every voice."""
        own = np.full((rows, 1 + 2 * self.voices), self.rest, dtype=np.int64)
        own[:, 0] = 0
        return np.concatenate([bar_grammar.start(self.grid, request, rows), own], axis=1)

    def mask(self, state: Array) -> Array:
        """Return the mask of allowed tokens, (B, V)."""
        xp = get_namespace(state)
        slot = state[:, Field.SLOT]
        writing = slot >= Slot.OWN
        shared = bar_grammar.mask_tokens(self.grid, state, slot == Slot.MOVE)
        silent = self._get_sounding_in_turn(state) == self.rest
        # In every frame some voice moves.
        last = slot == Slot.OWN + self.voices - 1
        hold = writing & ~(last & (state[:, MOVED] == 0))
        pitches = xp.broadcast_to(writing[:, None], (state.shape[0], self.highest - self.lowest + 1))
        return xp.concat([shared, hold[:, None], (writing & ~silent)[:, None], pitches], axis=1)

    def get_sounding(self, state: Array) -> Array:
        """Return the token that sounds in each voice, (B, voices)."""
        return state[:, FIRST_VOICE : FIRST_VOICE + self.voices]

    def _get_sounding_in_turn(self, state: Array) -> Array:
        """Return the token that sounds in the voice in turn, (B,); any voice's between turns."""
        xp = get_namespace(state)
        voice = xp.clip(state[:, Field.SLOT] - Slot.OWN, 0, self.voices - 1)
        return xp.take_along_axis(state, (FIRST_VOICE + voice)[:, None], axis=1)[:, 0]

    def advance(self, state: Array, tokens: Array) -> Array:
        """Return the states after `tokens`."""
        xp = get_namespace(state)
        shared = bar_grammar.advance(self.grid, state, tokens)
        voice = state[:, Field.SLOT] - Slot.OWN
        own = (tokens >= self.hold) & (voice >= 0)
        slot = xp.where(voice == self.voices - 1, xp.full_like(voice, Slot.MOVE), voice + Slot.OWN + 1)
        shared = replace_column(shared, Field.SLOT, xp.where(own, slot, shared[:, Field.SLOT]))
        moves = own & (tokens != self.hold)
        opened = shared[:, Field.SLOT] == Slot.OWN  # a frame that has just begun
        has_moved = xp.where(opened, xp.zeros_like(voice), xp.where(moves, xp.ones_like(voice), state[:, MOVED]))
        here = moves[:, None] & (make_range(self.voices, state) == voice[:, None])
        sounding = xp.where(here, tokens[:, None], self.get_sounding(state))
        before = xp.where(opened[:, None], sounding, state[:, FIRST_VOICE + self.voices :])
        return xp.concat([shared, has_moved[:, None], sounding, before], axis=1)

    def compute_states(self, tokens: Tokens) -> NDArray[np.int64]:
        """Compute the states before each token of a piece, (T, S), equal to those of `advance`."""
        shared, previous = bar_grammar.compute_states(self.grid, tokens), bar_grammar.shift_tokens(tokens)
        own, places = previous >= self.hold, np.arange(len(previous))
        voice = places - carry_forward(places, ~own, 0) - 1  # the position precedes the first voice
        slot = np.where(voice == self.voices - 1, Slot.MOVE, voice + Slot.OWN + 1)
        shared[:, Field.SLOT] = np.where(own, slot, shared[:, Field.SLOT])
        moves = own & (previous != self.hold)
        opened = shared[:, Field.SLOT] == Slot.OWN
        has_moved = carry_forward(np.where(moves, 1, 0), opened | moves, 0)
        sounding = [carry_forward(previous, moves & (voice == turn), self.rest) for turn in range(self.voices)]
        before = [carry_forward(sounds, opened, self.rest) for sounds in sounding]
        return np.concatenate([shared.T, [has_moved], sounding, before]).T

    def make_inputs(self, state: Array) -> Array:
        """Compute the features of the model's input, (B, C)."""
        xp = get_namespace(state)
        columns = [bar_grammar.make_inputs(state), self.get_sounding(state), self._compute_degrees(state)]
        if self.relative:
            columns[0] = replace_column(columns[0], KEY_COLUMN, self._get_written_key(state))
            columns.append((self._get_tonic_offset(state) % 12)[:, None])
        own = self._get_sounding_in_turn(state)
        turn = xp.where(state[:, Field.SLOT] >= Slot.OWN, own, xp.full_like(own, BOS))[:, None]
        columns.append(self._find_endings(state, turn))
        if self.voices > 1:
            columns += [turn, self._find_parallels(state)]
        return xp.concat(columns, axis=1)

    def _find_endings(self, state: Array, turn: Array) -> Array:
        """Find the tones of the tonic chord nearest to `turn` (B, 1) in the last bar, (B, 4); BOS before it.

        `turn` is the sound of the voice in turn. BOS also if it is silent, or if the nearest tone is out of reach.
        """
        xp = get_namespace(state)
        tonic = 0 if self.relative else self._get_tonic_offset(state)[:, None]
        above = (convert_like(_ENDINGS, state) - (turn - self.first_pitch + self.lowest - tonic) + 6) % 12 - 6
        near = turn + above
        exists = (turn > self.rest) & (near >= self.first_pitch) & (near < self.size)
        return xp.where(exists & (state[:, Field.COUNTDOWN] == 1)[:, None], near, xp.full_like(near, BOS))

    def _compute_degrees(self, state: Array) -> Array:
        """Compute semitones of each voice above the tonic, without octaves, (B, voices)."""
        xp, sounding = get_namespace(state), self.get_sounding(state)
        tonic = 0 if self.relative else self._get_tonic_offset(state)[:, None]
        degrees = (sounding - self.first_pitch + self.lowest - tonic) % 12
        return xp.where(sounding == self.rest, xp.full_like(degrees, SILENT), degrees)

    def _get_written_key(self, state: Array) -> Array:
        """Return the token of C or C minor by the mode of the piece, (B,); BOS before its key."""
        xp, key, first = get_namespace(state), state[:, Field.KEY], self.grid.first["Key"]
        major, minor = (xp.full_like(key, first + Key(0, minor=mode).index) for mode in (False, True))
        is_minor = xp.take(convert_like(_MINORS, state), self._find_key(key))
        return xp.where(key == BOS, key, xp.where(is_minor, minor, major))

    def _find_parallels(self, state: Array) -> Array:
        """Find the token of a parallel fifth or octave of the voice in turn with each other voice, (B, voices).

        BOS if the other voice has not moved, or was in no such interval.
        """
        xp = get_namespace(state)
        now, before = self.get_sounding(state), state[:, FIRST_VOICE + self.voices :]
        own = self._get_sounding_in_turn(state)[:, None]
        apart = xp.abs(own - before) % 12
        perfect = (apart == PERFECT[0]) | (apart == PERFECT[1])
        pitched = (own > self.rest) & (before > self.rest) & (now > self.rest)
        moved = (now != before) & (state[:, Field.SLOT] >= Slot.OWN)[:, None]
        parallel = own + now - before
        exists = (parallel >= self.first_pitch) & (parallel < self.size)
        return xp.where(perfect & pitched & moved & exists, parallel, xp.full_like(now, BOS))

    def interpret(self, state: Array) -> MusicalState:
        """Interpret states in musical terms."""
        xp = get_namespace(state)
        slot, sounding = state[:, Field.SLOT], self.get_sounding(state)
        shift = self._get_shift(state)
        voice = xp.where(slot >= Slot.OWN, slot - Slot.OWN, -1)
        pitches = xp.where(sounding == self.rest, -1, sounding - self.first_pitch + self.lowest + shift[:, None])
        number = make_range(self.voices, state)
        decided = (voice < 0)[:, None] | (number < voice[:, None])
        beside = (pitches >= 0) & (number != voice[:, None])
        return bar_grammar.interpret(
            self.grid,
            state,
            voice=voice,
            sounding=pitches,
            shift=shift,
            written=xp.where(decided, pitches, -1),
            others=xp.sum(xp.where(beside, 1, 0), axis=1),
        )

    def _get_shift(self, state: Array) -> Array:
        """Return semitones from written to sounding pitches, (B,)."""
        return self._get_tonic_offset(state) if self.relative else get_namespace(state).zeros_like(state[:, Field.KEY])

    def _get_tonic_offset(self, state: Array) -> Array:
        """Return semitones from C to the tonic, (B,); 0 before the key."""
        xp, key = get_namespace(state), state[:, Field.KEY]
        homes = xp.take(convert_like(_HOMES, state), self._find_key(key))
        return xp.where(key == BOS, xp.zeros_like(key), homes)

    def _find_key(self, key: Array) -> Array:
        """Return the index of a key's token among all keys, (B,); any for BOS."""
        return get_namespace(key).clip(key - self.grid.first["Key"], 0, len(ALL_KEYS) - 1)

    def fix_notes(self, score: Score, spans: Sequence[Span]) -> Callable[[Array], Array]:
        """Return a function from states to masks (B, V) that keep the notes of `score` in `spans`.

        A span's track is the voice.
        """
        from composer_voices.given import FixedNotes

        return FixedNotes(self, score, tuple(spans))
