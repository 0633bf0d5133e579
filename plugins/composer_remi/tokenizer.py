"""The tokenizer `remi`: scores of any number of parts to tokens and back.

After the opening and each bar line of `composer.tokens.bar_grammar` come positions: `Position_p`, then `Tempo_t` at the
first and at changes. Then follows each program with onsets, rising, the drums (-1) last: `Program_p` and its notes from
the bottom, `Pitch_60 Velocity_72 Duration_12`, of drums `Drum_38 Velocity_72`. Durations count steps.
This is REMI (Huang and Yang, Pop Music Transformer, 2020) for several parts (von Rütte et al., FIGARO, 2022).

Kept: onsets on the grid, durations (to the step up to 4 quarters, then shortened to a coarser one), pitches, velocities
and tempos to the nearest value, programs, drum sounds without their length, time signatures, the first key, the pickup.
Tracks of one program become one, in which a re-articulated note ends at the next onset.

With named `parts`, a part is written as `Part_p` in their order: two violins stay apart, and a voice comes before the
piano at each position. All of them come back, those without notes, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np

from composer.music.score import Score
from composer.music.sections import name_sections
from composer.tokens.bar_encoding import Reading, assemble_tokens, find_bars, make_heading, walk
from composer.tokens.bar_grammar import TIME_SIGNATURES, Grid
from composer.tokens.lookback import add_lookback, check_lookback
from composer.tokens.vocabulary import describe_tokens
from composer.types import Grammar, TokenInfo, Tokens
from composer_remi.events import (
    DRUMS,
    Events,
    decode_tempos,
    decode_tracks,
    encode_sounds,
    extract_sounds,
    list_durations,
    list_tempos,
    list_velocities,
)
from composer_remi.grammar import RemiGrammar

TOKENS_PER_BAR = 64
"""Tokens of a bar that a lookback has room for; music that has more of them is remembered for less long."""


@dataclass(frozen=True)
class Remi:
    """Any music: bars, positions, and the onsets at each, by program, with durations."""

    steps_per_quarter: Annotated[int, "fineness of the grid"] = 12
    lowest: Annotated[int, "lowest MIDI pitch"] = 21
    highest: Annotated[int, "highest MIDI pitch"] = 108
    velocities: Annotated[int, "how many degrees of loudness; 0: not kept"] = 8
    tempos: Annotated[int, "how many tempos between 40 and 240; 0: not kept"] = 16
    programs: Annotated[bool, "keep programs apart; without, all parts become one"] = True
    program: Annotated[int, "General MIDI program of all parts, without `programs`"] = 0
    parts: Annotated[tuple[str, ...], "names of parts with their programs, such as Voice=52; none: by program"] = ()
    drums: Annotated[bool, "keep drums; without, they are dropped"] = True
    longest_duration: Annotated[int, "in quarter notes; longer notes are shortened"] = 8
    time_signatures: Annotated[tuple[str, ...], "those that a piece may have"] = TIME_SIGNATURES
    lookback: Annotated[tuple[int, ...], "distances in bars of what stood there, in the model's input"] = ()
    recall: Annotated[bool, "tell the model what followed the longest earlier stretch that is as the latest"] = False
    sections: Annotated[bool, "tell how many bars are left in the section, where a piece has them"] = False
    harmony: Annotated[bool, "tell the model the outer pitches that sound, and the degrees above the tonic"] = False

    def __post_init__(self) -> None:
        """Refuse options without a valid vocabulary."""
        if not 0 <= self.lowest <= self.highest <= 127:
            raise ValueError("pitches go from 0 to 127, and lowest must not be above highest")
        if not 0 <= self.velocities <= 64:
            raise ValueError("velocities must be from 0 to 64")
        if not (self.tempos == 0 or 2 <= self.tempos <= 64):
            raise ValueError("tempos must be 0, or from 2 to 64")
        if not 0 <= self.program <= 127:
            raise ValueError("programs go from 0 to 127")
        if not 1 <= self.longest_duration <= 1000:
            raise ValueError("longest_duration must be from 1 to 1000 quarters")
        if len({name.casefold() for name, _ in self.named_parts}) < len(self.parts):
            raise ValueError("parts must have different names")
        check_lookback(self.lookback)
        Grid(self.steps_per_quarter, self.time_signatures)

    @cached_property
    def named_parts(self) -> tuple[tuple[str, int], ...]:
        """The name and the program of each part in `parts`."""
        return tuple(map(_parse_part, self.parts))

    @cached_property
    def events(self) -> Events:
        """The tokens, type by type."""
        pitched = [program for _, program in self.named_parts] or (range(128) if self.programs else [self.program])
        names = [*(name for name, _ in self.named_parts), *(["Drums"] if self.drums else [])]
        return Events(
            grid=Grid(self.steps_per_quarter, self.time_signatures, self.sections),
            tempos=list_tempos(self.tempos),
            parts=(*pitched, *((DRUMS,) if self.drums else ())),
            named=self.drums or (len(self.parts) > 1 if self.parts else self.programs),
            lowest=self.lowest,
            highest=self.highest,
            velocities=list_velocities(self.velocities),
            durations=list_durations(self.steps_per_quarter, self.longest_duration),
            names=tuple(names) if self.parts else (),
        )

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The grid's tokens, then those of positions."""
        return self.events.tokens

    @cached_property
    def token_info(self) -> TokenInfo:
        """The description of each token."""
        numbers = ["drums" if program == DRUMS else str(program) for program in self.events.parts]
        voices = self.events.names or numbers
        return describe_tokens(self.vocabulary, self.events.grid.step_ticks, voices if self.events.named else ())

    @cached_property
    def grammar(self) -> Grammar:
        """The rules for the next token, with what stood some bars ago."""
        return add_lookback(
            RemiGrammar(self.events, self.harmony), self.token_info, self.lookback, TOKENS_PER_BAR, recall=self.recall
        )

    def encode(self, score: Score, *, ends: bool = True) -> Tokens:
        """Encode a score. Raises CannotExpress for one without notes, and for pitches and bars out of reach."""
        events = self.events
        sounds = extract_sounds(events, score)
        last = int((sounds.steps + sounds.lengths).max())
        found = find_bars(events.grid, score, last * events.grid.step_ticks)
        return assemble_tokens(events.grid, found, sounds.steps, encode_sounds(events, score, sounds), ends=ends)

    def decode(self, tokens: Tokens) -> Score:
        """Decode a score with one track a program; an incomplete last note is dropped."""
        events, reading = self.events, Reading()
        pairs = np.array(list(walk(events.grid, tokens, reading)), dtype=np.int64).reshape(-1, 2)
        steps, own = pairs[:, 0], pairs[:, 1]
        score = Score(
            tracks=decode_tracks(events, steps, own, reading.end if reading.ended else None),
            tempos=decode_tempos(events, steps, own),
            **make_heading(events.grid, reading),
        )
        return name_sections(score)


def _parse_part(text: str) -> tuple[str, int]:
    """Parse the name and the General MIDI program of a part, as in `Voice=52`. Raises ValueError."""
    name, _, program = text.rpartition("=")
    if not name.strip() or not program.strip().isdecimal() or int(program) > 127:
        raise ValueError(f"'{text}' is no part; give a name and a program from 0 to 127, such as Voice=52")
    return name.strip(), int(program)
