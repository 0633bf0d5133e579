"""Grammars: which tokens may follow which, and what the tokens mean in music."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from composer.music.score import Score
from composer.types.arrays import Array, Tokens

if TYPE_CHECKING:
    from composer.request import Request


DRUMS = frozenset({"Drum", "PitchDrum", "DrumOn"})
"""Types of the tokens that begin a drum sound; the last two are MidiTok's."""

CHORDS = -1
"""The chord symbols of a score, where a track is named by its number."""

PITCHES = frozenset({"Pitch", "Tone", "NoteOn"})
"""Types of the tokens whose value is a pitch, as it sounds or as it would be in C."""


@dataclass(frozen=True, eq=False)
class TokenInfo:
    """What each token of a vocabulary states, for code that does not know the tokenizer. Arrays are (V,).

    Of the kinds without a number, `Hold` sustains the current voice, `Rest` silences it, and `Frame` ends a position.
    An instance is equal to itself alone.
    """

    kind: NDArray[np.str_]  # the `Type` of `Type_Value`: Pitch, Hold, Bar…
    pitch: NDArray[np.int64]  # MIDI pitch, less `MusicalState.shift`; -1 for none (drums have none)
    ticks: NDArray[np.int64]  # length in ticks, -1 for none
    position: NDArray[np.int64]  # position in the bar that it moves to, in ticks; -1 for none
    key: NDArray[np.int64]  # index in `composer.music.keys.ALL_KEYS` of the key that it states, -1 for none
    voices: tuple[str, ...] = ()  # names of the voices that `MusicalState.voice` numbers
    sustains: bool = False  # whether a pitch that already sounds is sustained, and not struck again
    time_signatures: tuple[str, ...] = ()  # such as "3/4": of the `TimeSignature` tokens, by id
    programs: tuple[str, ...] = ()  # such as "0", "-1" for drums: of the `Program` tokens, by id
    qualities: tuple[str, ...] = ()  # such as "m7", "" for a major triad: of the `Quality` tokens, by id
    off_grid: int = 0  # most ticks by which a later token moves an onset from `MusicalState.tick`; no bars overlap

    @cached_property
    def is_time_signature(self) -> NDArray[np.bool_]:
        """(V,) the tokens that state a time signature."""
        return self.kind == "TimeSignature"

    @cached_property
    def is_bar(self) -> NDArray[np.bool_]:
        """(V,) the tokens that begin a bar."""
        return self.kind == "Bar"

    @cached_property
    def is_hold(self) -> NDArray[np.bool_]:
        """(V,) the tokens that sustain the note of a voice."""
        return self.kind == "Hold"

    @cached_property
    def is_rest(self) -> NDArray[np.bool_]:
        """(V,) the tokens that silence a voice."""
        return self.kind == "Rest"

    @cached_property
    def is_frame(self) -> NDArray[np.bool_]:
        """(V,) the tokens that end a frame."""
        return self.kind == "Frame"

    @cached_property
    def is_drum(self) -> NDArray[np.bool_]:
        """(V,) the tokens that begin a drum sound: `Drum`, `PitchDrum`, `DrumOn`, alone or merged with others."""
        return np.array([not DRUMS.isdisjoint(kind.split("+")) for kind in self.kind.tolist()], dtype=bool)

    @cached_property
    def has_voices(self) -> bool:
        """Whether each voice is to have notes, since it sustains and rests on its own; instruments need not play."""
        return bool(self.is_hold.any())

    @property
    def has_chords(self) -> bool:
        """Whether chord symbols are written: `Root`, `Quality` and perhaps `Bass`, before the notes of their position.

        The first root is none (`N.C.`); the others are semitones above C, less `MusicalState.shift`. A bass is
        semitones above its root.
        """
        return bool(self.qualities)

    @cached_property
    def is_relative(self) -> bool:
        """Whether pitches are relative to the tonic of the key."""
        return "Tone" in self.kind

    @cached_property
    def names_pitches(self) -> bool:
        """Whether token and key tell what sounds; else a state alone does, by `shift`: it may have the octave."""
        return all(not PITCHES.isdisjoint(kind.split("+")) for kind in self.kind[self.pitch >= 0].tolist())

    @cached_property
    def is_framed(self) -> bool:
        """Whether music is written frame by frame."""
        return bool(self.is_frame.any())

    def states_time_signature(self, name: str) -> bool:
        """Tell whether a token states this time signature."""
        return name in self.time_signatures

    def mark_time_signatures(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """Mark (V,) the tokens that state one of these time signatures."""
        marked = self.is_time_signature.copy()
        marked[marked] = np.isin(self.time_signatures, names)
        return marked


@dataclass(frozen=True)
class Column:
    """One categorical feature of a model's input: whole numbers 0..size-1.

    With `tokens` they are token ids, which follow a transposition: the sounding pitch, the key in force. Then 0, the
    vocabulary's BOS, stands for none. A feature named `bar` counts bars, modulo some number: it changes after the token
    that begins a bar, and nowhere else.
    """

    name: str
    size: int
    tokens: bool = False


@dataclass(frozen=True)
class MusicalState:
    """The state of each row in musical terms; every array is (B,), `sounding` and `written` are (B, n).

    Its position is that of the next note, if no move comes before it.

    tick: of the position, from the beginning of the piece
    bar: 0 for the first bar, a pickup or not; -1 before it
    beat: in the bar, 0 for the first
    voice: of the next token, as an index of `TokenInfo.voices`; -1 where it belongs to none
    sounding: pitches that sound on here, maybe also those begun here; -1 for none; one a voice where voices sustain
    shift: semitones that a token sounds above its `TokenInfo.pitch`; 0 unless key or state move pitches
    position: in the bar, in ticks; in a pickup, counted from where a whole bar would begin
    upbeat: length of the pickup in ticks, 0 for none
    bar_ticks: length of a bar in the current time signature, 0 before that is known
    beat_ticks: length of a beat, likewise
    bars_left: the current bar included; 0 where the end is not announced yet
    key: index in `composer.music.keys.ALL_KEYS`, -1 where none is known
    written: pitches that are decided at this position, among them all notes begun here; -1 for none
    others: number of pitches that sound at this position beside the next one, as far as is known
    """

    tick: Array
    bar: Array
    beat: Array
    voice: Array
    sounding: Array
    shift: Array
    position: Array
    upbeat: Array
    bar_ticks: Array
    beat_ticks: Array
    bars_left: Array
    key: Array
    written: Array
    others: Array


@dataclass(frozen=True)
class Span:
    """A part of a score: the ticks from `start` up to `end`, of one track or (None) of all, chord symbols included.

    The track `CHORDS` is the chord symbols, of a tokenizer that writes them.
    """

    start: int
    end: int
    track: int | None = None


class Grammar(Protocol):
    """The tokens that may follow, for each row of a batch, by table look-ups; no loop over rows.

    A state is a (B, S) array of int64, with one S. It holds the whole history that matters: rows may be gathered,
    copied, and joined with rows of other requests.
    """

    @property
    def columns(self) -> tuple[Column, ...]:
        """The categorical features that `make_inputs` returns. The first is the last token (BOS at the start)."""

    def start(self, request: Request, rows: int) -> Array:
        """Make states (B, S) before the first token. Raises BadOption for a condition without tokens for it."""

    def mask(self, state: Array) -> Array:
        """Mask (B, V) the tokens that may come next; never empty. EOS is the last token of a piece."""

    def advance(self, state: Array, tokens: Array) -> Array:
        """Return states (B, S) after `tokens` (B,); the argument is unchanged. After EOS a row stays as it is."""

    def make_inputs(self, state: Array) -> Array:
        """Make the model's inputs (B, C) for the prediction of the next token."""

    def interpret(self, state: Array) -> MusicalState:
        """Interpret a state in musical terms."""

    def fix_notes(self, score: Score, spans: Sequence[Span]) -> Callable[[Array], Array]:
        """Build a function from states to masks (B, V), which fixes the notes of `score` in `spans`.

        No other notes are allowed there; outside of `spans` everything is. Intersect its masks with those of `mask`.
        A span may end at any tick up to 2^40, at no more cost than at the end of `score`.
        """


@runtime_checkable
class SupportsStates(Protocol):
    """A grammar that computes all states of a piece at once, which makes building a corpus many times faster.

    It restates `advance` along time: last values, running sums, tables. It needs NumPy alone. A subclass that changes
    `advance` changes `compute_states` as well; the contracts check that the two agree.
    """

    def compute_states(self, tokens: Tokens) -> NDArray[np.int64]:
        """Compute (T, S) states, each before a token of a whole piece (T,) begun from `Request()`.

        They equal those of `advance`. Nothing follows EOS; an open piece has none.
        """


@runtime_checkable
class SupportsInputs(Protocol):
    """A grammar of large states that computes a model's inputs without them, in a small part of the time and room."""

    def compute_inputs(self, tokens: Tokens) -> NDArray[np.int64]:
        """Compute (T, C) what `make_inputs` makes of the states that `compute_states` computes."""
