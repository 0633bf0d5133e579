"""Drums on a grid: a tokenizer for composer, with a grammar of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np

from composer import hookimpl
from composer.arrays import get_namespace, make_range
from composer.errors import CannotExpress
from composer.music.score import Score, Track, concatenate_notes, make_notes
from composer.request import Request
from composer.tokens import bar_grammar
from composer.tokens.bar_encoding import Measures, Reading, assemble_tokens, find_bars, make_heading, walk
from composer.tokens.bar_grammar import Field, Grid, Slot
from composer.tokens.fixed_bars import choose_spans, fix_tokens
from composer.tokens.vocabulary import describe_tokens
from composer.types import Array, Column, MusicalState, Offers, Span, TokenInfo, Tokens

COMPOSER_API = 1


@dataclass(frozen=True)
class DrumGrammar:
    """Bars and positions are the grid's. Each position has drums, from the lowest up: `Position_4 Drum_38 Drum_42`."""

    grid: Grid
    first = property(lambda self: len(self.grid.tokens))  # the token of the lowest drum
    tokens = property(lambda self: (*self.grid.tokens, *(f"Drum_{sound}" for sound in range(128))))

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The features of the model's input: the last token, the position, the bar, the bars left."""
        return self.grid.make_columns(self.first + 128, slots=Slot.OWN + 1)

    def start(self, request: Request, rows: int) -> Array:
        """Make states (B, S) before the first token; this grammar remembers nothing beyond the shared columns."""
        return bar_grammar.start(self.grid, request, rows)

    def mask(self, state: Array) -> Array:
        """Mask (B, V) what may come next: a drum above the last token; once there is one, also what the grid allows."""
        last = state[:, Field.TOKEN]
        higher = make_range(128, state) + self.first > last[:, None]
        drums = bar_grammar.can_add_notes(state)[:, None] & higher
        may_move = (last >= self.first) | (state[:, Field.SLOT] == Slot.MOVE)
        return get_namespace(state).concat([bar_grammar.mask_tokens(self.grid, state, may_move), drums], axis=1)

    def advance(self, state: Array, tokens: Array) -> Array:
        """Return states (B, S) after `tokens` (B,)."""
        return bar_grammar.advance(self.grid, state, tokens)

    def compute_states(self, tokens: Tokens) -> Array:
        """Compute the states (T, S) before each token of a piece at once, which makes training start sooner."""
        return bar_grammar.compute_states(self.grid, tokens)

    def make_inputs(self, state: Array) -> Array:
        """Make the features (B, C) that `columns` lists."""
        return bar_grammar.make_inputs(state)

    def interpret(self, state: Array) -> MusicalState:
        """Interpret states in musical terms; no pitch sounds, since drums have none."""
        return bar_grammar.interpret(self.grid, state)

    def fix_notes(self, score: Score, spans: Sequence[Span]) -> Callable[[Array], Array]:
        """Build a function from states to masks (B, V) that keeps the drums of `score` in `spans`."""
        spans = choose_spans(score, spans, lambda track: track.is_drum)
        return fix_tokens(self.grid, self.first + 128, *self.find_drums(score), spans)

    def find_drums(self, score: Score) -> tuple[Measures, Array, Array]:
        """Find the bars of a score, and the steps (N,) and tokens (N, 1) of its drums, in order."""
        notes = concatenate_notes([track.notes for track in score.tracks if track.is_drum])
        if not len(notes):
            raise CannotExpress("contains no drums.")
        struck = np.stack([self.grid.round_to_steps(notes["start"]), self.first + notes["pitch"]], axis=1)
        steps, tokens = np.unique(struck, axis=0).T
        return find_bars(self.grid, score, int(steps[-1] + 1) * self.grid.step_ticks), steps, tokens[:, None]


@dataclass(frozen=True)
class MyThing:
    """Drums on a grid: the sounds that are struck at each position, without loudness. Other parts are dropped."""

    steps: Annotated[int, "steps of the grid in a quarter note"] = 4
    time_signatures: Annotated[tuple[str, ...], "those that a piece may have"] = ("4/4", "3/4", "6/8")

    def __post_init__(self) -> None:
        """Refuse impossible values: the grid says in a sentence what is wrong."""
        Grid(self.steps, self.time_signatures)

    grammar = cached_property(lambda self: DrumGrammar(Grid(self.steps, self.time_signatures)))
    vocabulary = property(lambda self: self.grammar.tokens)

    @cached_property
    def token_info(self) -> TokenInfo:
        """What each token states, by its name: drums, positions, keys."""
        return describe_tokens(self.vocabulary, self.grammar.grid.step_ticks)

    def encode(self, score: Score, *, ends: bool = True) -> Tokens:
        """Encode a score as tokens (T,). Raises CannotExpress for one without drums, and for bars it has not."""
        bars, steps, tokens = self.grammar.find_drums(score)
        return assemble_tokens(self.grammar.grid, bars, steps, tokens, ends=ends)

    def decode(self, tokens: Tokens) -> Score:
        """Decode tokens to a score with one track; each drum lasts a step."""
        grid, reading = self.grammar.grid, Reading()
        struck = [
            (step * grid.step_ticks, grid.step_ticks, token - self.grammar.first, 100)
            for step, token in walk(grid, tokens, reading)
        ]
        return Score((Track(make_notes(struck), "Drums", is_drum=True),), **make_heading(grid, reading))


@hookimpl
def register_tokenizers() -> Offers:
    """Offer it to `composer train --tokenizer my-thing`."""
    return {"my-thing": MyThing}
