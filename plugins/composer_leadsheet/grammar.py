"""The grammar of `leadsheet`, over a batch: that of one voice, with chord symbols at the head of a frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from composer.arrays import carry_forward, get_namespace, look_up, make_range, replace_column
from composer.music.score import Score
from composer.request import Request
from composer.tokens import bar_grammar
from composer.tokens.bar_grammar import Field, Slot
from composer.tokens.vocabulary import BOS, EOS
from composer.types import Array, Column, MusicalState, Span, Tokens
from composer_leadsheet.symbols import ROOTS, Symbols
from composer_voices.grammar import MOVED, VoicesGrammar

LONGEST = 8
"""Bar lines since a chord began that are counted."""

NONE = 12
"""Semitones of a silent melody above the root, and of any without a chord."""


class Turn:
    """How far a chord symbol is written in the current frame."""

    OPEN = 0  # a symbol may begin
    QUALITY = 1  # comes next
    BASS = 2  # may come next
    DONE = 3
    COUNT = 4


class Own:
    """Columns of the state after those of the melody."""

    TURN = 0
    ROOT = 1  # token of the chord in force, 0 for none yet
    QUALITY = 2  # 0 for none
    BASS = 3  # 0 for the root
    BEGUN = 4  # the bar in which it began
    COUNT = 5


@dataclass(frozen=True)
class LeadSheetGrammar:
    """Frames of a chord symbol, if one begins there, and the melody's token: `Root_7 Quality_7 Tone_71`."""

    melody: VoicesGrammar  # of one voice
    symbols: Symbols

    @property
    def size(self) -> int:
        """V, the size of the vocabulary."""
        return self.symbols.end

    @cached_property
    def width(self) -> int:
        """The columns of the melody's state."""
        return int(self.melody.start(Request(), 1).shape[1])

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the melody, the chord in force, how far it is written, and its tones near to the melody."""
        inner = [replace(column, size=self.size) if column.tokens else column for column in self.melody.columns]
        names = ("root", "quality", "bass", *(f"nearest {tone}" for tone in ("root", "third", "fifth", "seventh")))
        return (
            *inner,
            Column("turn", Turn.COUNT),
            Column("bars of the chord", LONGEST + 1),
            Column("degree above the root", NONE + 1),
            *(Column(name, self.size, tokens=True) for name in names),
        )

    def start(self, request: Request, rows: int) -> Array:
        """Return states before the first token: silence, and no chord."""
        own = np.zeros((rows, Own.COUNT), dtype=np.int64)
        return np.concatenate([self.melody.start(request, rows), own], axis=1)

    def get_melody(self, state: Array) -> Array:
        """Return the states of the melody."""
        return state[:, : self.width]

    def get_own(self, state: Array, column: int) -> Array:
        """Return (B,) one of the columns of `Own`."""
        return state[:, self.width + column]

    # --- allowed tokens -----------------------------------------------------------------------------------------------

    def mask(self, state: Array) -> Array:
        """Return the mask of allowed tokens, (B, V)."""
        xp, turn = get_namespace(state), self.get_own(state, Own.TURN)
        may_begin = (turn == Turn.OPEN) & (state[:, Field.SLOT] == Slot.OWN)
        rows, qualities = state.shape[0], len(self.symbols.qualities)
        return xp.concat(
            [
                self.melody.mask(self.get_melody(state)) & (turn != Turn.QUALITY)[:, None],
                xp.broadcast_to(may_begin[:, None], (rows, ROOTS)),
                xp.broadcast_to((turn == Turn.QUALITY)[:, None], (rows, qualities)),
                xp.broadcast_to((turn == Turn.BASS)[:, None], (rows, self.size - self.symbols.first_bass)),
            ],
            axis=1,
        )

    # --- transitions --------------------------------------------------------------------------------------------------

    def advance(self, state: Array, tokens: Array) -> Array:
        """Return the states after `tokens`."""
        xp, before = get_namespace(state), self.get_melody(state)
        is_symbol = tokens >= self.symbols.first
        written = replace_column(before, Field.TOKEN, tokens)
        written = replace_column(written, MOVED, xp.ones_like(tokens))  # so that the melody may sustain
        # A symbol is unknown to the melody's grammar, which is given a token that it knows instead.
        after = self.melody.advance(before, xp.where(is_symbol, xp.full_like(tokens, EOS), tokens))
        is_root, is_quality, is_bass = self._mark_kinds(tokens)
        root, bar = xp.where(is_root, tokens, self.get_own(state, Own.ROOT)), state[:, Field.BAR]
        own = [
            self._find_turn(tokens, is_root, is_quality, is_bass),
            root,
            xp.where(is_quality, tokens, xp.where(is_root, 0, self.get_own(state, Own.QUALITY))),
            xp.where(is_bass, tokens, xp.where(is_root, 0, self.get_own(state, Own.BASS))),
            xp.where(is_root, bar, self.get_own(state, Own.BEGUN)),
        ]
        following = xp.concat(
            [xp.where(is_symbol[:, None], written, after), *(column[:, None] for column in own)], axis=1
        )
        return xp.where((state[:, Field.SLOT] == Slot.END)[:, None], state, following)

    def _mark_kinds(self, tokens: Array) -> tuple[Array, Array, Array]:
        """Return masks (B,) of the tokens that are a root, a quality, a bass."""
        symbols = self.symbols
        return (
            (tokens >= symbols.first) & (tokens < symbols.first_quality),
            (tokens >= symbols.first_quality) & (tokens < symbols.first_bass),
            tokens >= symbols.first_bass,
        )

    def _find_turn(self, tokens: Array, is_root: Array, is_quality: Array, is_bass: Array) -> Array:
        """Find (B,) how far a symbol is written after tokens of these kinds."""
        xp = get_namespace(tokens)
        ended = is_bass | (tokens == self.symbols.first)
        turn = xp.where(is_quality, Turn.BASS, xp.where(is_root, Turn.QUALITY, Turn.OPEN))
        return xp.where(ended, Turn.DONE, turn)

    def compute_states(self, tokens: Tokens) -> NDArray[np.int64]:
        """Compute the states before each token of a piece, (T, S), equal to those of `advance`."""
        previous = bar_grammar.shift_tokens(tokens)
        is_symbol = previous >= self.symbols.first
        of_melody = np.append(tokens[tokens < self.symbols.first], EOS)
        melody = self.melody.compute_states(of_melody)[np.cumsum(~is_symbol) - 1]
        melody[:, Field.TOKEN] = previous
        opens = (melody[:, Field.SLOT] == Slot.OWN) & ~is_symbol
        melody[:, MOVED] |= carry_forward(is_symbol.astype(np.int64), is_symbol | opens, 0)
        is_root, is_quality, is_bass = self._mark_kinds(previous)
        own = [
            self._find_turn(previous, is_root, is_quality, is_bass),
            carry_forward(previous, is_root, 0),
            carry_forward(np.where(is_root, 0, previous), is_root | is_quality, 0),
            carry_forward(np.where(is_root, 0, previous), is_root | is_bass, 0),
            carry_forward(melody[:, Field.BAR], is_root, 0),
        ]
        return np.concatenate([melody, np.stack(own, axis=1)], axis=1)

    # --- views of a state ---------------------------------------------------------------------------------------------

    def make_inputs(self, state: Array) -> Array:
        """Compute the features of the model's input, (B, C)."""
        xp, root = get_namespace(state), self.get_own(state, Own.ROOT)
        bars = xp.clip(state[:, Field.BAR] - self.get_own(state, Own.BEGUN), 0, LONGEST)
        sounding = self.melody.get_sounding(state)
        above = (self._find_pitch(sounding[:, 0]) - (root - self.symbols.first - 1)) % 12
        is_known = (sounding[:, 0] > self.melody.rest) & (root > self.symbols.first)
        own = [
            self.get_own(state, Own.TURN),
            xp.where(root == 0, xp.zeros_like(bars), bars),
            xp.where(is_known, above, xp.full_like(above, NONE)),
            root,
            self.get_own(state, Own.QUALITY),
            self.get_own(state, Own.BASS),
        ]
        return xp.concat(
            [
                self.melody.make_inputs(self.get_melody(state)),
                *(column[:, None] for column in own),
                self._find_near_tones(state, sounding),
            ],
            axis=1,
        )

    def _find_pitch(self, token: Array) -> Array:
        """Find the pitch of a token of the melody, as it would be in C."""
        return token - self.melody.first_pitch + self.melody.lowest

    def _find_near_tones(self, state: Array, sounding: Array) -> Array:
        """Find the tokens (B, 4) of the chord's tones nearest to what is `sounding` (B, 1); BOS for none."""
        xp, first = get_namespace(state), self.symbols.first_quality
        quality, root = self.get_own(state, Own.QUALITY), self.get_own(state, Own.ROOT)
        row = xp.where(quality == 0, xp.zeros_like(quality), quality - first + 1)
        semitones = look_up(self.symbols.tones.ravel(), row[:, None] * 4 + make_range(4, state))
        pitch = self._find_pitch(sounding)
        away = (semitones + (root - self.symbols.first - 1)[:, None] - pitch + 6) % 12 - 6
        near = sounding + away
        exists = (sounding > self.melody.rest) & (semitones >= 0)
        exists = exists & (near >= self.melody.first_pitch) & (near < self.melody.size)
        return xp.where(exists, near, xp.full_like(near, BOS))

    def interpret(self, state: Array) -> MusicalState:
        """Interpret states in musical terms."""
        return self.melody.interpret(self.get_melody(state))

    def fix_notes(self, score: Score, spans: Sequence[Span]) -> Callable[[Array], Array]:
        """Return a function from states to masks (B, V) that keep the melody and the symbols of `score` in `spans`.

        A span's track is 0 for the melody, or `CHORDS`.
        """
        from composer_leadsheet.fixed_notes import FixedLeadSheet

        return FixedLeadSheet(self, score, tuple(spans))
