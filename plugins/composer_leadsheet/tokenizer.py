"""The tokenizer `leadsheet`: a melody with chord symbols to tokens and back.

The melody is written as by `voices` in one voice, its pitches as they would be in C. In a frame at which a chord symbol
begins, the symbol stands before the melody's token, root, quality and, unless it is the root, bass:

    … Bar_None Position_0 Root_2 Quality_m7 Tone_65 Position_24 Root_7 Quality_7 Bass_4 Hold_None …

`Root_None` is `N.C.`; other roots are semitones above the tonic, and basses semitones above the root. Kept: the melody
as by `voices`, and symbols at their place on the grid, also those that repeat the one before. Qualities without a token
become the nearest (`composer.music.chords.find_nearest_quality`), and spellings are those of the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated

import numpy as np

from composer.music.chords import BASES, find_chord
from composer.music.keys import Key
from composer.music.score import TICKS_PER_QUARTER, ChordSymbol, KeySignature, Score, Track, make_notes
from composer.tokens.bar_encoding import Reading, assemble_tokens, find_key, walk
from composer.tokens.bar_grammar import TIME_SIGNATURES, Grid
from composer.tokens.lookback import add_lookback
from composer.tokens.vocabulary import describe_tokens
from composer.types import Grammar, TokenInfo, Tokens
from composer_leadsheet.grammar import LeadSheetGrammar
from composer_leadsheet.symbols import QUALITIES, Symbols
from composer_voices.tokenizer import Voices

NAME = "Melody"

TOKENS_PER_BAR = 20
"""Tokens of a bar that a lookback has room for; music that has more of them is remembered for less long."""


@dataclass(frozen=True)
class LeadSheet:
    """A melody and chord symbols, in one sequence; pitches and roots are relative to the key."""

    program: Annotated[int, "General MIDI program of the melody"] = 0
    steps_per_quarter: Annotated[int, "fineness of the grid"] = 12
    lowest: Annotated[int, "lowest MIDI pitch, as it would be in C"] = 43
    highest: Annotated[int, "highest MIDI pitch, as it would be in C"] = 96
    qualities: Annotated[tuple[str, ...], "the qualities of chords that have tokens"] = QUALITIES
    time_signatures: Annotated[tuple[str, ...], "those that a piece may have"] = TIME_SIGNATURES
    lookback: Annotated[tuple[int, ...], "distances in bars of what stood there, in the model's input"] = ()
    recall: Annotated[bool, "tell the model what followed the longest earlier stretch that is as the latest"] = False
    sections: Annotated[bool, "tell how many bars are left in the section, where a piece has them"] = False

    def __post_init__(self) -> None:
        """Refuse options without a valid vocabulary."""
        known = [chord and chord.quality for chord in (find_chord(f"C{quality}") for quality in self.qualities)]
        wrong = [quality for quality, found in zip(self.qualities, known, strict=True) if quality != found]
        if wrong or not self.qualities or len(set(self.qualities)) < len(self.qualities):
            shown = f"'{wrong[0]}' is none" if wrong else "at least one, and none twice"
            raise ValueError(f"qualities must be such as {', '.join(list(BASES)[1:4])} in their usual form: {shown}")
        self.voices  # noqa: B018  (for its ValueError)

    @cached_property
    def voices(self) -> Voices:
        """The tokenizer of the melody."""
        return Voices(
            names=(NAME,),
            program=self.program,
            steps_per_quarter=self.steps_per_quarter,
            relative=True,
            lowest=self.lowest,
            highest=self.highest,
            time_signatures=self.time_signatures,
            lookback=self.lookback,
            sections=self.sections,
        )

    @property
    def grid(self) -> Grid:
        """The grid in time."""
        return self.voices.grid

    @cached_property
    def symbols(self) -> Symbols:
        """The tokens of chord symbols."""
        return Symbols(len(self.voices.vocabulary), self.qualities)

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The tokens of the melody, and those of chord symbols."""
        return (*self.voices.vocabulary, *self.symbols.tokens)

    @cached_property
    def token_info(self) -> TokenInfo:
        """The description of each token."""
        return describe_tokens(self.vocabulary, self.grid.step_ticks, (NAME,))

    @cached_property
    def grammar(self) -> Grammar:
        """The rules for the next token, with what stood some bars ago."""
        inner = LeadSheetGrammar(self.voices.rules, self.symbols)
        return add_lookback(inner, self.token_info, self.lookback, TOKENS_PER_BAR, sequences=True, recall=self.recall)

    @property
    def samples(self) -> Mapping[str, Score]:
        """A lead sheet, for the checks of contracts."""
        return {"a lead sheet": make_lead_sheet()}

    def encode(self, score: Score, *, ends: bool = True) -> Tokens:
        """Encode a melody, and the chord symbols up to its last bar line. Raises CannotExpress."""
        found, at, melody = self.voices.find_frames(score, ends=ends)
        shift = find_key(score).tonic_offset
        begins, symbols = self.symbols.encode_score(score, shift, self.grid.step_ticks)
        is_inside = begins < found.starts[-1]
        symbols, begins = symbols[is_inside], begins[is_inside]
        steps = np.unique(np.concatenate([at, begins]))
        rows = np.full((len(steps), 4), -1)
        rows[:, 3] = self.voices.rules.hold
        rows[np.searchsorted(steps, at), 3] = melody[:, 0]
        rows[np.searchsorted(steps, begins), :3] = symbols
        return assemble_tokens(self.grid, found, steps, rows, ends=ends)

    def decode(self, tokens: Tokens) -> Score:
        """Decode a score of one track; an incomplete symbol at the end is dropped."""
        reading = Reading()
        pairs = list(walk(self.grid, tokens, reading))
        chords = self.symbols.decode(pairs, reading.key or Key(0), self.grid.step_ticks)
        return replace(self.voices.decode(tokens[tokens < self.symbols.first]), chords=chords)


def make_lead_sheet() -> Score:
    """Make three bars in F with a pickup, slash chords, N.C., a chord under a long note, and one without a token."""
    quarter = TICKS_PER_QUARTER
    melody = [(0, 1, 60), (1, 2, 65), (3, 1, 69), (4, 1, 70), (5, 4, 72), (10, 1, 67), (11, 2, 65)]
    rows = [(start * quarter, length * quarter, pitch, 80) for start, length, pitch in melody]
    texts = [(1, "F"), (4, "F7/A"), (5, "Bbmaj7"), (7, "Bbm6"), (9, "N.C."), (11, "C13#11"), (12, "F6")]
    return Score(
        (Track(make_notes(rows), NAME),),
        key_signatures=(KeySignature(0, Key(5)),),
        upbeat=quarter,
        chords=tuple(ChordSymbol(beat * quarter, text) for beat, text in texts),
    )
