"""The tokenizer `voices`: scores of a few single-line parts to tokens and back.

After the opening and each bar line of `composer.tokens.bar_grammar` come frames: `Position_p`, then one token a voice
from the top, `Pitch_60` (onset), `Hold_None` (as before) or `Rest_None` (falls silent). Positions without a change have
no frame. Kept: starts and ends of notes on the grid, pitches, voices, time signatures, the first key, the pickup.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np

from composer.errors import CannotExpress
from composer.music.score import NOTE, Notes, Score, Track
from composer.music.sections import name_sections
from composer.tokens.bar_encoding import Measures, Reading, assemble_tokens, find_bars, make_heading, walk
from composer.tokens.bar_grammar import TIME_SIGNATURES, Grid
from composer.tokens.lookback import add_lookback, check_lookback
from composer.tokens.vocabulary import describe_tokens
from composer.types import Grammar, TokenInfo, Tokens
from composer_voices.grammar import VoicesGrammar
from composer_voices.parts import Line, check_range, extract_lines

VELOCITY = 80

FRAMES_PER_BAR = 8
"""Frames in a bar that a lookback has room for; music that has more of them is remembered for less long."""


@dataclass(frozen=True)
class Voices:
    """Music in a fixed number of voices on a time grid: chorales, string quartets, a tune."""

    names: Annotated[tuple[str, ...], "the voices, from the top"] = ("Soprano", "Alto", "Tenor", "Bass")
    program: Annotated[int, "General MIDI program of all voices"] = 52
    steps_per_quarter: Annotated[int, "fineness of the grid"] = 8
    relative: Annotated[bool, "write pitches as they would be in C, so that all keys teach one"] = False
    lowest: Annotated[int, "lowest MIDI pitch"] = 28
    highest: Annotated[int, "highest MIDI pitch"] = 96
    time_signatures: Annotated[tuple[str, ...], "those that a piece may have"] = TIME_SIGNATURES
    lookback: Annotated[tuple[int, ...], "distances in bars of what stood there, in the model's input"] = ()
    recall: Annotated[bool, "tell the model what followed the longest earlier stretch that is as the latest"] = False
    sections: Annotated[bool, "tell how many bars are left in the section, where a piece has them"] = False
    voice_programs: Annotated[tuple[int, ...], "General MIDI program of each voice; none: `program` for all"] = ()

    def __post_init__(self) -> None:
        """Refuse options without a valid vocabulary."""
        if not 1 <= len(self.names) <= 16:
            raise ValueError("names must be of 1 to 16 voices")
        if not 0 <= self.lowest <= self.highest <= 127:
            raise ValueError("pitches go from 0 to 127, and lowest must not be above highest")
        if self.voice_programs and len(self.voice_programs) != len(self.names):
            raise ValueError("voice_programs must have one for each of the names")
        if not all(0 <= program <= 127 for program in (self.program, *self.voice_programs)):
            raise ValueError("programs go from 0 to 127")
        check_lookback(self.lookback)
        Grid(self.steps_per_quarter, self.time_signatures)

    @cached_property
    def grid(self) -> Grid:
        """The grid in time."""
        return Grid(self.steps_per_quarter, self.time_signatures, self.sections)

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The grid's tokens, Hold and Rest, and a token a pitch."""
        kind = "Tone" if self.relative else "Pitch"
        pitches = (f"{kind}_{pitch}" for pitch in range(self.lowest, self.highest + 1))
        return (*self.grid.tokens, "Hold_None", "Rest_None", *pitches)

    @cached_property
    def token_info(self) -> TokenInfo:
        """The description of each token."""
        return describe_tokens(self.vocabulary, self.grid.step_ticks, self.names)

    @cached_property
    def rules(self) -> VoicesGrammar:
        """The rules for the next token."""
        return VoicesGrammar(self.grid, len(self.names), self.lowest, self.highest, self.relative)

    @cached_property
    def grammar(self) -> Grammar:
        """The rules for the next token, with what stood some bars ago."""
        room = 1 + FRAMES_PER_BAR * (1 + len(self.names))
        return add_lookback(
            self.rules, self.token_info, self.lookback, room, sequences=self.relative, recall=self.recall
        )

    def encode(self, score: Score, *, ends: bool = True) -> Tokens:
        """Encode a score whose parts are single lines. Raises CannotExpress."""
        found, steps, content = self.find_frames(score, ends=ends)
        return assemble_tokens(self.grid, found, steps, content, ends=ends)

    def find_frames(self, score: Score, *, ends: bool = True) -> tuple[Measures, Tokens, Tokens]:
        """Find the bars of a score, the steps of all changes, (E,), and the token of each voice there, (E, voices).

        Raises CannotExpress.
        """
        parts = extract_lines(score, len(self.names), self.grid.step_ticks, relative=self.relative)
        last = max(int(line.ends.max(initial=0)) for line in parts)
        if not last:
            drums = any(track.is_drum and len(track.notes) for track in score.tracks)
            raise CannotExpress("contains drums alone." if drums else "contains no notes.")
        check_range(zip(self.names, parts, strict=True), self.lowest, self.highest)
        found = find_bars(self.grid, score, last * self.grid.step_ticks)
        # The end of the piece is no change if the last bar is full, or if the piece stays open.
        silent_from = last if not ends or last == found.starts[-1] else None
        return found, *self._find_changes(parts, silent_from)

    def _find_changes(self, parts: list[Line], silent_from: int | None) -> tuple[Tokens, Tokens]:
        """Return the steps of all changes, (E,), and the token of each voice there, (E, voices)."""
        grammar = self.rules
        stops = []
        for line in parts:
            following = np.append(line.starts[1:], -1)
            rests = line.ends[line.ends != following]
            stops.append(rests[rests != silent_from] if silent_from is not None else rests)
        steps = np.unique(np.concatenate([line.starts for line in parts] + stops))
        content = np.full((len(steps), len(parts)), grammar.hold)
        for voice, (line, rests) in enumerate(zip(parts, stops, strict=True)):
            content[np.searchsorted(steps, rests), voice] = grammar.rest
            content[np.searchsorted(steps, line.starts), voice] = line.pitches - self.lowest + grammar.first_pitch
        return steps, content

    def decode(self, tokens: Tokens) -> Score:
        """Decode a score with one track a voice; an incomplete last frame counts as far as it goes."""
        grammar, reading = self.rules, Reading()
        changes: list[list[tuple[int, int]]] = [[] for _ in self.names]
        at, voice = -1, 0
        for step, token in walk(self.grid, tokens, reading):
            at, voice = (step, 0) if step != at else (at, voice + 1)
            if token != grammar.hold:
                changes[voice].append((step, token))
        # An open piece stops with its last frame, whose notes last at least one step.
        end = reading.end if reading.ended else max(reading.step + 1, *(c[-1][0] + 1 for c in changes if c), 1)
        shift = reading.key.tonic_offset if self.relative and reading.key else 0
        programs = self.voice_programs or (self.program,) * len(self.names)
        tracks = (
            Track(self._decode_notes(voice_changes, end, shift), name, program)
            for name, program, voice_changes in zip(self.names, programs, changes, strict=True)
        )
        return name_sections(Score(tracks=tuple(tracks), **make_heading(self.grid, reading)))

    def _decode_notes(self, changes: list[tuple[int, int]], end: int, shift: int) -> Notes:
        grammar, tick = self.rules, self.grid.step_ticks
        ends = [step for step, _ in changes[1:]] + [end]
        rows = [
            (step * tick, (stop - step) * tick, token - grammar.first_pitch + self.lowest + shift, VELOCITY)
            for (step, token), stop in zip(changes, ends, strict=False)
            if token != grammar.rest
        ]
        return np.array(rows, dtype=NOTE)
