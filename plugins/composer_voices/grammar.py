"""The grammar of `voices`, over a batch, and its masks that keep fixed notes."""

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
    look_up,
    make_parameter,
    make_range,
    replace_column,
)
from composer.music.keys import ALL_KEYS, Key
from composer.music.score import Score
from composer.request import Request
from composer.tokens import bar_grammar
from composer.tokens.bar_encoding import find_bars
from composer.tokens.bar_grammar import KEY_COLUMN, Field, Grid, Slot
from composer.tokens.fixed_bars import NEVER, check_track, clip_step, fix_bars, mark_fixed
from composer.tokens.vocabulary import BOS
from composer.types import Array, Column, MusicalState, Span, Tokens
from composer_voices.parts import Line, check_range, extract_lines

Table = NDArray[np.int64]

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


# --- the grammar ------------------------------------------------------------------------------------------------------


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

    def _get_before(self, state: Array) -> Array:
        """Return the token that sounded in each voice before this frame, (B, voices)."""
        return state[:, FIRST_VOICE + self.voices : FIRST_VOICE + 2 * self.voices]

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
        before = xp.where(opened[:, None], sounding, self._get_before(state))
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
        columns = [*shared.T, has_moved, *sounding, *before]
        return np.stack(columns, axis=1)

    def make_inputs(self, state: Array) -> Array:
        """Compute the features of the model's input, (B, C)."""
        xp = get_namespace(state)
        columns = [
            bar_grammar.make_grid_inputs(self.grid, state),
            self.get_sounding(state),
            self._compute_degrees(state),
        ]
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
        now, before = self.get_sounding(state), self._get_before(state)
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
        return FixedNotes(self, score, tuple(spans))


# --- fixed notes ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class FixedLines:
    """L lines at each step: whether each is fixed there, what sounds, and whether that begins.

    Tables are (L, steps + 1), flat. Their last step stands for all later ones.
    """

    lines: int
    steps: int  # of a table
    fixed: NDArray[np.bool_]
    sounds: Table
    onsets: NDArray[np.bool_]
    next_fixed: Table
    next_change: Table

    @staticmethod
    def build(fixed: NDArray[np.bool_], sounds: Table, onsets: NDArray[np.bool_]) -> FixedLines:
        """Build the tables from arrays (L, steps + 1). A sound of `NEVER` is unknown: nothing is due there."""
        changes = [_find_next_change(*rows) for rows in zip(fixed, sounds, onsets, strict=True)]
        next_fixed, next_change = np.stack([_find_next(row) for row in fixed]).ravel(), np.stack(changes).ravel()
        lines, steps = fixed.shape
        return FixedLines(lines, steps, fixed.ravel(), sounds.ravel(), onsets.ravel(), next_fixed, next_change)

    def _look_up(self, table: NDArray[np.generic], steps: Array) -> Array:
        """Look up a table (B, L) at `steps` (B,) or (B, L)."""
        lines, length = make_range(self.lines, steps), make_parameter(self.steps, steps)
        return look_up(table, lines * length + (steps[:, None] if steps.ndim == 1 else steps))

    def find_need(self, state: Array, sounding: Array) -> Array:
        """Find the next step (B,) at which a line differs from what is `sounding` (B, L), or has an onset."""
        xp = get_namespace(state)
        first = self._look_up(self.next_fixed, clip_step(state, self.steps, 1))
        at_first = xp.minimum(xp.clip(first, 0, None), make_parameter(self.steps - 1, state))
        differs = self._differ(at_first, sounding)
        need = xp.where(differs, first, self._look_up(self.next_change, at_first))
        return xp.min(xp.where(first == NEVER, NEVER, need), axis=1)

    def find_here(self, state: Array, sounding: Array) -> tuple[Array, Array, Array]:
        """Find (B, L) at the step of a state: whether each line is fixed, what sounds there, and whether it moves."""
        step = clip_step(state, self.steps)
        return self._look_up(self.fixed, step), self._look_up(self.sounds, step), self._differ(step, sounding)

    def _differ(self, steps: Array, sounding: Array) -> Array:
        """Tell (B, L) which lines have an onset at `steps`, or another sound than the one that is `sounding`."""
        sounds = self._look_up(self.sounds, steps)
        return self._look_up(self.onsets, steps) | ((sounds != sounding) & (sounds != NEVER))


class FixedNotes:
    """A function from states to masks. A fixed voice has the onsets, sustained notes and rests of the score.

    A span may begin in the middle of a note. If something else sounds then, the note is re-articulated there. The bars
    are the score's up to the last bar with fixed notes.
    """

    def __init__(self, grammar: VoicesGrammar, score: Score, spans: Sequence[Span]) -> None:
        grid, voices = grammar.grid, grammar.voices
        for span in spans:
            check_track(span, voices)
        parts = extract_fixed_lines(grammar, score)
        found = find_bars(grid, score, max(int(line.ends.max(initial=1)) for line in parts) * grid.step_ticks)
        steps = int(found.starts[-1])
        of = [(span, range(voices) if span.track is None else [span.track]) for span in spans]
        fixed = mark_fixed(grid, of, voices, steps)
        self.grammar = grammar
        self.bars = fix_bars(grid, found, fixed)
        self.lines = FixedLines.build(fixed, *list_sounds(grammar, parts, steps))

    def __call__(self, state: Array) -> Array:
        """Return the mask (B, V)."""
        need = self.lines.find_need(state, self.grammar.get_sounding(state))
        return get_namespace(state).concat([self.bars.mask(state, need), self._mask_turn(state)], axis=1)

    def _mask_turn(self, state: Array) -> Array:
        """Mask the grammar's own tokens (B, V - G) to those that keep the voice in turn."""
        xp, grammar = get_namespace(state), self.grammar
        fixed, sounds, moves = self.lines.find_here(state, grammar.get_sounding(state))
        voice = xp.clip(state[:, Field.SLOT] - Slot.OWN, 0, grammar.voices - 1)[:, None]
        wanted = xp.take_along_axis(xp.where(moves, sounds, grammar.hold), voice, axis=1)
        # A free voice moves if no voice has moved and all later ones are fixed and sustain.
        later = make_range(grammar.voices, state) > voice
        may_wait = (state[:, MOVED] != 0) | xp.any(later & (~fixed | moves), axis=1)
        tokens = make_range(grammar.size - grammar.hold, state) + grammar.hold
        free = (tokens != grammar.hold) | may_wait[:, None]
        return xp.where(xp.take_along_axis(fixed, voice, axis=1), tokens == wanted, free)


def extract_fixed_lines(grammar: VoicesGrammar, score: Score) -> list[Line]:
    """Extract the line of each voice of a score. Raises CannotExpress."""
    parts = extract_lines(score, grammar.voices, grammar.grid.step_ticks, relative=grammar.relative)
    check_range((("the fixed music", line) for line in parts), grammar.lowest, grammar.highest)
    return parts


def list_sounds(grammar: VoicesGrammar, parts: Sequence[Line], steps: int) -> tuple[Table, NDArray[np.bool_]]:
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
