"""The grammar of MidiTok's tokens, for all schemes, with and without merged tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from composer.music.score import Score
from composer.request import Request
from composer.types import Array, Column, MusicalState, Span
from composer_miditok import telling
from composer_miditok.advance import advance
from composer_miditok.given import FixedNotes
from composer_miditok.mask import mask_tokens
from composer_miditok.state import Field, make_start
from composer_miditok.tables import Tables


@dataclass(frozen=True)
class MidiTokGrammar:
    """The tokens that may follow, by state."""

    tables: Tables

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Columns of a model's input."""
        return telling.make_columns(self.tables)

    def start(self, request: Request, rows: int) -> NDArray[np.int64]:
        """Return the states before the first token."""
        row = make_start(self.tables, request)
        after = row
        for token in request.primer:
            after = self.advance(after, np.array([token]))
        begun, wanted = after[0], request.most_bars if request.bars is None else request.bars
        floor = -(-request.primer_ticks // self.tables.scheme.tick) if request.primer else -1
        if self.tables.must_land:
            floor = min(floor, int(begun[Field.TICK] + self.tables.shift.max()))
        over = -((begun[Field.ORIGIN] - floor) // max(begun[Field.LENGTH], 1))
        whole = int(begun[Field.BAR] + over) if floor >= 0 and begun[Field.LENGTH] else 0
        row[0, Field.LAST] = whole + wanted - 1
        row[0, Field.FLOOR] = floor
        return np.repeat(row, rows, axis=0)

    def mask(self, state: Array) -> Array:
        """Mask (B, V) the tokens that may come next."""
        return mask_tokens(self.tables, state)

    def advance(self, state: Array, tokens: Array) -> Array:
        """Return the states after `tokens`."""
        return advance(self.tables, state, tokens)

    def make_inputs(self, state: Array) -> Array:
        """Return (B, 8) the inputs of the model."""
        return telling.make_inputs(self.tables, state)

    def interpret(self, state: Array) -> MusicalState:
        """Interpret states as music; the voice is the index of the program."""
        return telling.interpret(self.tables, state)

    def fix_notes(self, score: Score, spans: Sequence[Span]) -> Callable[[Array], Array]:
        """Return a function from states to masks (B, V) that keep the notes of `score` in `spans`."""
        return FixedNotes(self.tables, score, spans)
