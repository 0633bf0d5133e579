"""The tokenizer `drums`: what a drummer plays to tokens and back.

After the opening of `composer.tokens.bar_grammar` comes the tempo, then bars and beats. A beat is a quarter note. It
begins with its rhythm: the steps in 12ths of it that are struck. Then come positions, and hits of nine classes
(`kit.py`), each with its loudness and its offset from the grid in fine steps:

    TimeSignature_4/4 Key_C Upbeat_0 Tempo_99 Bar_2 Rhythm_06 Position_0 Drum_36 Velocity_92 Timing_1 Drum_42 …

So a model writes a rhythm first, and then what is struck. A rhythm can be asked for, and the model plays to it.

Positions are 16ths, or triplets of 8ths in a beat whose hits are nearer to these. A hit belongs to the nearest
position, so hits may come before a bar line. Lost are notes without a class, lengths, and of two hits of one class at a
position the softer one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, ClassVar

import numpy as np

from composer.music.merging import LATEST
from composer.music.score import TICKS_PER_QUARTER, Score, Tempo, Track, make_notes
from composer.music.sections import name_sections
from composer.tokens.bar_encoding import Reading, assemble_tokens, make_heading, walk
from composer.tokens.bar_grammar import TIME_SIGNATURES, Grid
from composer.tokens.lookback import add_lookback, check_lookback
from composer.tokens.vocabulary import describe_tokens
from composer.types import Grammar, Span, TokenInfo, Tokens
from composer_drums.events import STEPS, Events
from composer_drums.fixed_hits import PATTERN, RHYTHM
from composer_drums.following import make_guide
from composer_drums.grammar import DrumGrammar
from composer_drums.hits import add_rhythms, decode_track, encode_hits, find_hits, find_tempo

TOKENS_PER_BAR = 64
"""Tokens of a bar that a lookback has room for; music that has more of them is remembered for less long."""

HEADER = 3
"""Tokens of the grid before the tempo: time signature, key, pickup."""


@dataclass(frozen=True)
class Drums:
    """Drums of nine classes at 16ths and triplets, each hit with loudness and timing. Other parts are dropped."""

    triplets: Annotated[bool, "triplets of 8ths beside 16ths"] = True
    velocities: Annotated[int, "how many degrees of loudness; 0: not kept"] = 16
    fine_steps: Annotated[int, "in a quarter note, for the offset from the grid; 0: not kept"] = 96
    tempos: Annotated[int, "how many tempos between 40 and 300; 0: not kept"] = 32
    time_signatures: Annotated[tuple[str, ...], "those that a piece may have"] = TIME_SIGNATURES
    lookback: Annotated[tuple[int, ...], "distances in bars of what stood there, in the model's input"] = ()
    recall: Annotated[bool, "tell the model what followed the longest earlier stretch that is as the latest"] = False
    sections: Annotated[bool, "tell how many bars are left in the section, where a piece has them"] = False

    canonical: ClassVar[bool] = False  # a beat of 16ths may have the timing of triplets, and the other way round

    def __post_init__(self) -> None:
        """Refuse options without a valid vocabulary."""
        if not 0 <= self.velocities <= 64:
            raise ValueError("velocities must be from 0 to 64")
        if self.fine_steps < 0 or self.fine_steps % STEPS or (self.fine_steps and TICKS_PER_QUARTER % self.fine_steps):
            raise ValueError("fine_steps must be 0, 12, 24, 48, 60, 96, 120, 240 or 480")
        if not (self.tempos == 0 or 2 <= self.tempos <= 64):
            raise ValueError("tempos must be 0, or from 2 to 64")
        check_lookback(self.lookback)
        Grid(STEPS, self.time_signatures)

    @cached_property
    def events(self) -> Events:
        """The tokens, type by type."""
        grid = Grid(STEPS, self.time_signatures, self.sections)
        return Events(grid, self.triplets, self.velocities, self.fine_steps, self.tempos)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The grid's tokens, then tempos, drums, velocities and offsets."""
        return self.events.tokens

    @cached_property
    def token_info(self) -> TokenInfo:
        """The description of each token."""
        events = self.events
        off_grid = int(np.abs(events.offsets).max(initial=0)) * events.fine_ticks
        return replace(describe_tokens(self.vocabulary, events.grid.step_ticks), off_grid=off_grid)

    @cached_property
    def grammar(self) -> Grammar:
        """The rules for the next token, with what stood some bars ago."""
        inner = DrumGrammar(self.events)
        return add_lookback(
            inner, self.token_info, self.lookback, TOKENS_PER_BAR, recall=self.recall, alike=("Velocity", "Timing")
        )

    @property
    def samples(self) -> Mapping[str, Score]:
        """A beat with loudness and timing, for the checks of contracts."""
        return {"a played beat": make_beat()}

    def encode(self, score: Score, *, ends: bool = True) -> Tokens:
        """Encode a score. Raises CannotExpress for one without drums, and for bars out of reach."""
        bars, hits = find_hits(self.events, score)
        music = assemble_tokens(self.events.grid, bars, hits.steps, encode_hits(self.events, hits), ends=ends)
        music = add_rhythms(self.events, bars, hits.steps, music)
        return np.insert(music, HEADER, find_tempo(self.events, score)) if self.tempos else music

    def place_given(self, given: Score) -> tuple[Score, tuple[Span, ...]]:
        """Place music that drums are to follow: its tracks, and a track of drums with the rhythm that is fixed.

        Raises CannotExpress for music that has drums already, that has no notes, or whose bars are out of reach.
        """
        rhythm, end = make_guide(given)
        (guide,) = self.decode(self.encode(rhythm)).tracks
        return replace(given, tracks=(*given.tracks, guide)), (Span(0, LATEST, RHYTHM), Span(end, LATEST))

    @property
    def plays(self) -> bool:
        """Whether loudness or timing is kept."""
        return bool(self.velocities or self.fine_steps)

    def fix_pattern(self, given: Score) -> tuple[Span, ...]:
        """Return the spans that keep what is struck, and where on the grid; loudness and timing are free.

        Raises CannotExpress for music without drums. Warns with RequestWarning of what stays as it is.
        """
        from composer_drums.playing import check_drums

        check_drums(given)
        return (Span(0, LATEST, PATTERN),)

    def humanize(self, given: Score, answer: Score, strength: float) -> Score:
        """Return `given` with its drums as in `answer`, by a strength from 0, on the grid, to 1."""
        from composer_drums.playing import play_drums

        return play_drums(self.events, given, answer, strength)

    def decode(self, tokens: Tokens) -> Score:
        """Decode a score with one track; an incomplete last hit is dropped."""
        events, reading = self.events, Reading()
        pairs = np.array(list(walk(events.grid, tokens, reading)), dtype=np.int64).reshape(-1, 2)
        place = pairs[:1, 1] - events.first["Tempo"]
        stated = place[place < self.tempos]
        score = Score(
            decode_track(events, pairs[len(stated) :, 0], pairs[len(stated) :, 1]),
            tempos=tuple(Tempo(0, float(events.tempos[index])) for index in stated),
            **make_heading(events.grid, reading),
        )
        return name_sections(score)


def make_beat() -> Score:
    """Make two bars of 4/4 in 8ths: the hi-hat early, the snare late, and a triplet at the end."""
    quarter, third = TICKS_PER_QUARTER, TICKS_PER_QUARTER // 3
    rows = [(max(eighth * quarter // 2 - 9, 0), 20, 42, 50 + eighth % 2 * 30) for eighth in range(14)]
    rows += [(beat * quarter, 20, 36, 100) for beat in (0, 2, 4)] + [
        (beat * quarter + 14, 20, 38, 90) for beat in (1, 3, 5)
    ]
    rows += [(7 * quarter + part * third, 20, sound, 80 + part) for part, sound in enumerate((48, 45, 43))]
    return Score((Track(make_notes(sorted(rows)), "Drums", is_drum=True),), tempos=(Tempo(0, 96.0),))
