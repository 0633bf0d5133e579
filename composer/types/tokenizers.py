"""Tokenizers: scores to tokens and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from composer.music.score import Score
from composer.types.arrays import Tokens
from composer.types.grammars import Grammar, Span, TokenInfo


class Tokenizer(Protocol):
    """Scores to tokens and back: a frozen dataclass of options, equal when rebuilt from its fields.

    `vocabulary` holds `Type_Value` strings, as in MidiTok, in a fixed order. It begins with `BOS_None` and `EOS_None`.
    A transposition changes the types `Pitch`, `NoteOn`, `NoteOff` (a MIDI pitch), `Tone` (a relative pitch: as it would
    be in C) and `Key` (as `str(Key)`). A token may state several things, as `Pitch+Duration_60+4`: at most one pitch,
    and no move before it.

    The grammar allows music as `encode` writes it, and in no other way. A tokenizer with many ways to write the same,
    as MidiTok's, says so by `canonical = False`.
    """

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Every token, at its id."""

    @property
    def token_info(self) -> TokenInfo:
        """The meaning of each token."""

    @property
    def grammar(self) -> Grammar:
        """The tokens that may follow."""

    def encode(self, score: Score, *, ends: bool = True) -> Tokens:
        """Encode a score as tokens, without BOS. With `ends=False` the piece is open: no end is announced, no EOS.

        Raises CannotExpress, with the reason, where there are no tokens for something. Details that the tokenizer
        does not represent are dropped.
        """

    def decode(self, tokens: Tokens) -> Score:
        """Decode any sequence that the grammar allows, whole or cut short."""


@runtime_checkable
class HasSamples(Protocol):
    """A tokenizer or a metric that brings small scores of its own, which its checks use beside those of the kit."""

    @property
    def samples(self) -> Mapping[str, Score]:
        """Each score at its name. A tokenizer has tokens for all of them."""


@runtime_checkable
class Trainable(Protocol):
    """A tokenizer that is trained on music before use, such as on which tokens to join; the results are fields."""

    @property
    def is_trained(self) -> bool:
        """Whether it is trained."""

    def fit(self, pieces: Iterable[Tokens]) -> Tokenizer:
        """Return a tokenizer trained on `pieces`, which are in its own tokens; equal for equal pieces."""


@runtime_checkable
class SupportsTranspose(Protocol):
    """A tokenizer that transposes a piece itself, since its tokens cannot be transposed one by one."""

    def transpose(self, tokens: Tokens, semitones: int) -> Tokens:
        """Transpose a piece; returns `tokens` where it has no token for a pitch."""


@runtime_checkable
class SupportsFrames(Protocol):
    """A tokenizer that writes music frame by frame, so that likelihoods can be computed per frame."""

    def assign_frames(self, tokens: Tokens) -> NDArray[np.int64]:
        """Assign a frame to each token of a piece: (T,) from 0 without a gap; -1 for none (heading, EOS)."""


@runtime_checkable
class PlacesGiven(Protocol):
    """A tokenizer that places given music, to which its own is to be written, in a way of its own.

    Any other one takes one track of it as one of its parts. A tokenizer of drums may take the rhythm of them all. When
    `composer jam` accompanies, the notes of one bar are given.
    """

    def place_given(self, given: Score) -> tuple[Score, tuple[Span, ...]]:
        """Return the score that the piece begins with, and the spans of it that are fixed; all else is written.

        `given` are the tracks that stay. Raises CannotExpress for music that it cannot take, with the reason.
        """


@runtime_checkable
class Humanizes(Protocol):
    """A tokenizer that writes how notes are played: loudness, or timing beside a grid. `composer humanize` asks for it.

    Its grammar's `fix_notes` knows spans that keep what is played, and leave free how.
    """

    @property
    def plays(self) -> bool:
        """Whether it does, by its options."""

    def fix_pattern(self, given: Score) -> tuple[Span, ...]:
        """Return the spans of `given` that keep what is played and where on the grid.

        Raises CannotExpress for music that it cannot take, with the reason. Warns with RequestWarning of what stays as
        it is.
        """

    def humanize(self, given: Score, answer: Score, strength: float) -> Score:
        """Return `given`, played as in `answer`: from 0, stiff on the grid, to 1. All notes stay.

        `answer` is what the model has written, with the notes of `given` as it hears them.
        """
