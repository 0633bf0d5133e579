"""MidiTok's tokenizers as composer's: scores to tokens and back.

The tokens are MidiTok's (its `TimeSig` is `TimeSignature` here), between our BOS and EOS. Preserved: onsets and
durations on the grid of the beat, pitches, rounded velocities, programs, and time signatures (Structured: all is 4/4).
Not preserved: keys and tempos. A pickup becomes a whole bar that begins with a rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, ClassVar, Self

import numpy as np

from composer.music.score import TICKS_PER_QUARTER, Score
from composer.tokens.vocabulary import EOS, transpose_tokens
from composer.types import TokenInfo, Tokens
from composer_miditok import merges
from composer_miditok.grammar import MidiTokGrammar
from composer_miditok.scheme import Scheme
from composer_miditok.sounds import DRUMS
from composer_miditok.tables import (
    DRUM,
    TIME_SIGNATURE,
    Tables,
    build_vocabulary,
    make_tables,
    name_voice,
    translate_to_miditok,
)

TIME_SIGNATURES = ("4/4", "1/4", "2/4", "3/4", "5/4", "6/4", "3/8", "6/8", "12/8")
"""The default time signatures of MidiTok."""


@dataclass(frozen=True)
class Structured:
    """Structured, by MidiTok: always move, note, duration; all in 4/4 (Hadjeres and Crestel 2021)."""

    steps_per_beat: Annotated[int, "fineness of the grid"] = 4
    lowest: Annotated[int, "lowest MIDI pitch"] = 21
    highest: Annotated[int, "highest MIDI pitch"] = 108
    velocities: Annotated[int, "how many degrees of loudness; 0: not kept"] = 8
    programs: Annotated[bool, "keep programs apart, and drums; without, all but drums is one"] = True
    longest: Annotated[int, "longest duration and move in beats"] = 12
    bpe: Annotated[int, "how many tokens to learn that join others of a note (byte pair encoding)"] = 0
    merges: Annotated[tuple[str, ...], "what was learned; filled in by training"] = ()

    canonical: ClassVar[bool] = False  # notes of a position come in any order, and moves in several parts
    scheme_name: ClassVar[str] = "Structured"
    time_signatures: ClassVar[tuple[str, ...]] = ("4/4",)

    def __post_init__(self) -> None:
        """Refuse invalid options."""
        if not 0 <= self.lowest <= self.highest <= 127:
            raise ValueError("pitches go from 0 to 127, and lowest must not be above highest")
        if not 0 <= self.velocities <= 127:
            raise ValueError("there are 0 to 127 velocities")
        if not 1 <= self.longest <= 64 or self.steps_per_beat < 1:
            raise ValueError("the longest duration is 1 to 64 beats, each of at least one step")
        if self.bpe < 0 or len(self.merges) > max(self.bpe, 0):
            raise ValueError("bpe is how many merges there are at most")
        if "4/4" not in self.time_signatures:
            raise ValueError("MidiTok needs 4/4 among the time_signatures")
        finest = 4 * TICKS_PER_QUARTER // max(one.denominator for one in self.scheme.parsed_time_signatures)
        if finest % self.steps_per_beat:
            raise ValueError(f"steps_per_beat must divide {finest}, and {self.steps_per_beat} does not")
        _ = self.scheme.grid  # refuses invalid time signatures
        _check_joins(self)

    @cached_property
    def scheme(self) -> Scheme:
        """MidiTok's tokenizer with these options."""
        options = (self.steps_per_beat, self.lowest, self.highest, self.velocities, self.programs, self.longest)
        return Scheme(self.scheme_name, *options, self.time_signatures, self.scheme_name != "Structured")

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """MidiTok's tokens, then the merged ones."""
        return (*self._plain, *merges.list_merged(self.merges))

    @cached_property
    def _plain(self) -> tuple[str, ...]:
        return build_vocabulary(self.scheme)

    @property
    def _tables(self) -> Tables:
        return make_tables(self.scheme, self.vocabulary)

    @cached_property
    def token_info(self) -> TokenInfo:
        """Description of each token. Durations and positions are known only if all beats are equally long."""
        known, scheme = self._tables, self.scheme
        fixed = len({one.denominator for one in scheme.parsed_time_signatures}) == 1
        length, position = (
            np.where(times[0] >= 0, times[0] * scheme.tick, -1) for times in (known.length, known.position)
        )
        unknown = np.full_like(known.onset, -1)
        pairs = [token.partition("_") for token in self.vocabulary]
        return TokenInfo(
            kind=np.array([kind for kind, _, _ in pairs]),
            pitch=np.where(known.onset < DRUM, known.onset, -1),
            ticks=length if fixed else unknown,
            position=position if fixed else unknown,
            key=unknown,
            voices=tuple(name_voice(program) for program in (*range(128), DRUMS)) if self.programs else (),
            time_signatures=tuple(value for kind, _, value in pairs if kind == TIME_SIGNATURE),
            programs=() if self.is_trained else tuple(value for kind, _, value in pairs if kind == "Program"),
        )

    @cached_property
    def grammar(self) -> MidiTokGrammar:
        """The tokens that may follow, by state."""
        return MidiTokGrammar(self._tables)

    # --- scores -------------------------------------------------------------------------------------------------------

    def encode(self, score: Score, *, ends: bool = True) -> Tokens:
        """Encode a score. Raises CannotExpress for music that MidiTok has no tokens for, and would drop or change."""
        music = self._tables.prepare(score)
        written = self.scheme.write(music.sounds, music.find_changes(self.scheme))
        ids = {translate_to_miditok(token): i for i, token in enumerate(self._plain)}
        tokens = np.array([ids[token] for token in written], dtype=np.int64)
        tokens = merges.apply(self.vocabulary, self.merges, len(self._plain), tokens)
        return np.append(tokens, EOS) if ends else tokens

    def decode(self, tokens: Tokens) -> Score:
        """Decode to a score with one track a program; an incomplete note is left out."""
        plain = [name for token in tokens if token > EOS for name in merges.split_name(self.vocabulary[token])]
        return self.scheme.read([translate_to_miditok(name) for name in plain])

    def transpose(self, tokens: Tokens, semitones: int) -> Tokens:
        """Transpose a piece, and merge its tokens again; return it unchanged if a pitch has no token."""
        plain = np.concatenate([self._spelled[token] for token in tokens])
        moved = transpose_tokens(self._plain, semitones)[plain]
        return tokens if (moved < 0).any() else merges.apply(self.vocabulary, self.merges, len(self._plain), moved)

    @cached_property
    def _spelled(self) -> list[Tokens]:
        """The tokens of MidiTok that each token merges."""
        ids = {name: i for i, name in enumerate(self._plain)}
        return [np.array([ids[part] for part in merges.split_name(name)]) for name in self.vocabulary]

    # --- learning -----------------------------------------------------------------------------------------------------

    @property
    def is_trained(self) -> bool:
        """Whether no merges are left to learn."""
        return not self.bpe or bool(self.merges)

    def fit(self, pieces: Iterable[Tokens]) -> Self:
        """Learn merges from pieces in this vocabulary."""
        found = merges.learn(self._plain, self.bpe, pieces)
        return replace(self, bpe=len(found), merges=found)


@dataclass(frozen=True)
class Tsd(Structured):
    """TSD, by MidiTok: moves in time, notes and their durations (Fradet et al. 2021)."""

    time_signatures: Annotated[tuple[str, ...], "those that a piece may have, 4/4 among them"] = TIME_SIGNATURES  # type: ignore[misc]

    scheme_name: ClassVar[str] = "TSD"


@dataclass(frozen=True)
class Remi(Tsd):
    """REMI, by MidiTok: bars, positions, notes and their durations (Huang and Yang 2020)."""

    scheme_name: ClassVar[str] = "REMI"


@dataclass(frozen=True)
class MidiLike(Tsd):
    """MIDI-Like, by MidiTok: moves in time, note-ons and note-offs (Oore et al. 2018)."""

    scheme_name: ClassVar[str] = "MIDILike"


def _check_joins(tokenizer: Structured) -> None:
    """Raise ValueError unless merges are of known tokens, each made before it is used."""
    if tokenizer.merges:
        known = set(build_vocabulary(tokenizer.scheme))
        for merge in tokenizer.merges:
            (made,) = merges.list_merged([merge])
            if not known.issuperset(merge.split(" ")):
                raise ValueError("merges are of tokens in the vocabulary, or of earlier merges")
            known.add(made)
