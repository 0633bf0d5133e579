"""A grammar of pitches with several tokens a note, by the stable helpers alone: `Octave_5 Class_7 Duration_4`.

It writes one melody. A note lasts until the next one at most, and not beyond its bar. `Class_7` is a G in any octave:
which one, the octave before it says, so that a state tells what sounds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from composer.arrays import convert_like, get_namespace, make_range, replace_column, stack_columns
from composer.errors import CannotExpress
from composer.music.score import Score, Track, concatenate_notes, make_notes
from composer.request import Request
from composer.tokens import bar_grammar
from composer.tokens.bar_encoding import Measures, Reading, assemble_tokens, find_bars, make_heading, walk
from composer.tokens.bar_grammar import Field, Grid, Slot, find_onset_step
from composer.tokens.fixed_bars import NEVER, choose_spans, clip_step, fix_tokens, mark_fixed
from composer.tokens.vocabulary import describe_tokens
from composer.types import Array, Column, MusicalState, Span, TokenInfo, Tokens

OCTAVES, CLASSES, LONGEST = 11, 12, 16
CLASS, DURATION, SLOTS = Slot.OWN + 1, Slot.OWN + 2, Slot.OWN + 3  # what comes next, after an octave and a class
OCTAVE, SOUND, UNTIL = Field.OWN, Field.OWN + 1, Field.OWN + 2  # pitch of the last note, -1 for none; where it ends


@dataclass(frozen=True)
class OctaveGrammar:
    """Bars and positions are the grid's; each position has one note."""

    grid: Grid
    octave = property(lambda self: len(self.grid.tokens))  # the first token of each block
    pitch_class = property(lambda self: self.octave + OCTAVES)
    duration = property(lambda self: self.pitch_class + CLASSES)
    size = property(lambda self: self.duration + LONGEST)

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        own = {"Octave": range(OCTAVES), "Class": range(CLASSES), "Duration": range(1, LONGEST + 1)}
        return (*self.grid.tokens, *(f"{kind}_{value}" for kind, values in own.items() for value in values))

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        return (*self.grid.make_columns(self.size, slots=SLOTS), Column("sound", 129))

    def start(self, request: Request, rows: int) -> Array:
        return np.concatenate([bar_grammar.start(self.grid, request, rows), np.tile([0, -1, 0], (rows, 1))], axis=1)

    def mask(self, state: Array) -> Array:
        """Mask (B, V) what may come next: no position before the last note has ended, no duration beyond the bar."""
        slot = state[:, Field.SLOT]
        shared = bar_grammar.mask_tokens(self.grid, state, slot == Slot.MOVE)
        first, last = self.grid.first["Position"], self.grid.last["Position"]
        free = make_range(last - first, state) + state[:, Field.ORIGIN, None] >= state[:, UNTIL, None]
        room = state[:, Field.NEXT] - find_onset_step(state)
        blocks = [
            shared[:, :first],
            shared[:, first:last] & free,
            shared[:, last:],
            (bar_grammar.can_add_notes(state) & (slot == Slot.OWN))[:, None] & (make_range(OCTAVES, state) >= 0),
            (slot == CLASS)[:, None] & (make_range(CLASSES, state) + 12 * state[:, OCTAVE, None] < 128),
            (slot == DURATION)[:, None] & (make_range(LONGEST, state) < room[:, None]),
        ]
        return get_namespace(state).concat(blocks, axis=1)

    def advance(self, state: Array, tokens: Array) -> Array:
        xp = get_namespace(state)
        shared = bar_grammar.advance(self.grid, state, tokens)
        is_duration = tokens >= self.duration
        is_class, is_octave = (tokens >= self.pitch_class) & ~is_duration, tokens >= self.octave
        after = xp.where(is_duration, Slot.MOVE, xp.where(is_class, DURATION, CLASS))
        slot = xp.where(is_octave, after, shared[:, Field.SLOT])
        octave = xp.where(is_octave & (tokens < self.pitch_class), tokens - self.octave, state[:, OCTAVE])
        sound = xp.where(is_class, 12 * octave + tokens - self.pitch_class, state[:, SOUND])
        end = find_onset_step(state) + tokens - self.duration + 1
        until = xp.where(is_class, NEVER, xp.where(is_duration, end, state[:, UNTIL]))
        shared = replace_column(shared, Field.SLOT, slot)
        return xp.concat([shared, stack_columns([octave, sound, until])], axis=1)

    def make_inputs(self, state: Array) -> Array:
        return get_namespace(state).concat([bar_grammar.make_inputs(state), state[:, SOUND, None] + 1], axis=1)

    def interpret(self, state: Array) -> MusicalState:
        """Interpret states in musical terms: a note sounds from its class on, which has no end before its duration."""
        xp = get_namespace(state)
        sounds = xp.where(state[:, UNTIL] > find_onset_step(state), state[:, SOUND], -1)[:, None]
        return bar_grammar.interpret(self.grid, state, shift=12 * state[:, OCTAVE], sounding=sounds, written=sounds)

    def fix_notes(self, score: Score, spans: Sequence[Span]) -> Callable[[Array], Array]:
        """Build a function from states to masks (B, V); a new note ends where the next fixed one begins."""
        spans = choose_spans(score, spans, lambda track: not track.is_drum)
        bars, steps, rows = self.find_melody(score)
        fix = fix_tokens(self.grid, self.size, bars, steps, rows, spans)
        last = int(bars.starts[-1])
        cover = mark_fixed(self.grid, [(span, [0]) for span in spans], 1, last)[0]
        due = np.append(steps[cover[steps]], NEVER)
        following = due[np.searchsorted(due, np.arange(last + 1), side="right")]  # the next fixed note after each step

        def mask(state: Array) -> Array:
            room = convert_like(following, state)[clip_step(state, last + 1)] - find_onset_step(state)
            length = make_range(self.size, state) - self.duration + 1
            return fix(state) & (length <= room[:, None])

        return mask

    def find_melody(self, score: Score) -> tuple[Measures, Array, Array]:
        """Find the bars of a score, and the steps (N,) and tokens (N, 3) of its notes, the highest of each step."""
        notes = concatenate_notes([track.notes for track in score.tracks if not track.is_drum])
        if not len(notes):
            raise CannotExpress("contains no melody.")
        starts, ends = notes["start"].astype(np.int64), notes["start"].astype(np.int64) + notes["duration"]
        rows = np.stack([self.grid.round_to_steps(starts), notes["pitch"], self.grid.round_to_steps(ends)], axis=1)
        rows = rows[np.lexsort([rows[:, 1], rows[:, 0]])]
        steps, pitch, end = rows[np.append(np.diff(rows[:, 0]) > 0, True)].astype(np.int64).T
        bars = find_bars(self.grid, score, int(steps[-1] + 1) * self.grid.step_ticks)
        limit = np.minimum(np.append(steps[1:], NEVER), bars.starts[np.searchsorted(bars.starts, steps, side="right")])
        length = np.clip(np.minimum(end, limit) - steps, 1, LONGEST)
        octave, pitch_class = np.divmod(pitch, 12)
        blocks = [self.octave + octave, self.pitch_class + pitch_class, self.duration + length - 1]
        return bars, steps, np.stack(blocks, axis=1)


@dataclass(frozen=True)
class Octaves:
    """One melody, as octaves, pitch classes and durations."""

    steps: int = 4
    time_signatures: tuple[str, ...] = ("4/4", "3/4", "6/8")

    grammar = cached_property(lambda self: OctaveGrammar(Grid(self.steps, self.time_signatures)))
    vocabulary = property(lambda self: self.grammar.tokens)

    @cached_property
    def token_info(self) -> TokenInfo:
        """What each token states: a class has its pitch in the lowest octave, and `shift` is the rest."""
        info = describe_tokens(self.vocabulary, self.grammar.grid.step_ticks)
        classes = np.arange(len(self.vocabulary)) - self.grammar.pitch_class
        return replace(info, pitch=np.where((classes >= 0) & (classes < CLASSES), classes, -1))

    def encode(self, score: Score, *, ends: bool = True) -> Tokens:
        return assemble_tokens(self.grammar.grid, *self.grammar.find_melody(score), ends=ends)

    def decode(self, tokens: Tokens) -> Score:
        """Decode tokens to a score with one track; a note without its duration is left out."""
        grammar, grid, reading, notes = self.grammar, self.grammar.grid, Reading(), []
        octave = pitch = 0
        for step, token in walk(grid, tokens, reading):
            if token < grammar.pitch_class:
                octave = token - grammar.octave
            elif token < grammar.duration:
                pitch = 12 * octave + token - grammar.pitch_class
            else:
                length = token - grammar.duration + 1
                notes.append((step * grid.step_ticks, length * grid.step_ticks, pitch, 80))
        return Score((Track(make_notes(notes), "Melody"),), **make_heading(grid, reading))
