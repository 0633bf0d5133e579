"""The tokenizer `frames`: scores as sets of sounding pitches in equal frames of time.

Each frame is its pitches from the top, `Pitch_67 Pitch_64 Pitch_60`, and `Frame_None`, which ends it. A silent frame is
that token alone. The tokens of a frame select one of all 2^P sets of pitches, and their probabilities multiply to the
joint one. Likelihoods of binary piano rolls are measured by it (Boulanger-Lewandowski et al., 2012).

Kept: the pitches that sound in each frame, and the number of silent frames at the end. All parts become one, and a
re-articulated pitch equals a sustained one. There are no keys, and all bars are of 4/4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray

from composer.errors import CannotExpress
from composer.music.score import END, NOTE, TICKS_PER_QUARTER, Score, Text, Track, concatenate_notes
from composer.request import Request
from composer.tokens.lookback import add_lookback
from composer.tokens.vocabulary import BOS, EOS, describe_tokens
from composer.types import Grammar, TokenInfo, Tokens
from composer_frames.grammar import FRAME, LONGEST_AGREEMENT, OLDEST_AGE, Field, FramesGrammar

if TYPE_CHECKING:
    from composer_frames.grammar import FramesGrammar


# --- the tokenizer ----------------------------------------------------------------------------------------------------


VELOCITY = 80
LONGEST = 20_000
"""Frames: a longer piece is refused."""

MOST_LOOKBACK = 256


@dataclass(frozen=True)
class Frames:
    """Any music as a binary piano roll: in each frame the pitches that sound, from the top."""

    frames_per_quarter: Annotated[int, "frames in a quarter note"] = 1
    lowest: Annotated[int, "lowest MIDI pitch"] = 21
    highest: Annotated[int, "highest MIDI pitch"] = 108
    most_notes: Annotated[int, "pitches in a frame at most"] = 12
    shown: Annotated[int, "pitches of this frame, and of the one before, in the model's input"] = 4
    lookback: Annotated[tuple[int, ...], "distances in frames of the earlier frames in the model's input"] = ()
    recall: Annotated[bool, "tell the model what followed the longest earlier stretch that is as the latest"] = False
    in_c: Annotated[bool, "the music is in C already, whatever it was written in"] = False
    program: Annotated[int, "General MIDI program of what is written"] = 0

    def __post_init__(self) -> None:
        """Refuse options without a valid vocabulary."""
        if self.frames_per_quarter < 1 or TICKS_PER_QUARTER % self.frames_per_quarter:
            raise ValueError(f"frames_per_quarter must divide {TICKS_PER_QUARTER}")
        if not 0 <= self.lowest <= self.highest <= 127:
            raise ValueError("pitches go from 0 to 127, and lowest must not be above highest")
        if not 1 <= self.shown <= self.most_notes <= 128:
            raise ValueError("shown must be from 1 to most_notes, and most_notes at most 128")
        if not all(1 <= frames <= MOST_LOOKBACK for frames in self.lookback):
            raise ValueError(f"lookback must be from 1 to {MOST_LOOKBACK} frames")
        if len(set(self.lookback)) < len(self.lookback):
            raise ValueError("lookback must not repeat a number of frames")
        if not 0 <= self.program <= 127:
            raise ValueError("programs go from 0 to 127")

    @property
    def frame_ticks(self) -> int:
        """Ticks in a frame."""
        return TICKS_PER_QUARTER // self.frames_per_quarter

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The end of a frame, and a token a pitch."""
        kind = "Tone" if self.in_c else "Pitch"
        return ("BOS_None", "EOS_None", "Frame_None", *(f"{kind}_{p}" for p in range(self.lowest, self.highest + 1)))

    @cached_property
    def token_info(self) -> TokenInfo:
        """The description of each token."""
        return describe_tokens(self.vocabulary, self.frame_ticks, sustains=True)

    @cached_property
    def rules(self) -> FramesGrammar:
        """The rules for the next token."""
        pitches = self.highest - self.lowest + 1
        return FramesGrammar(self.frame_ticks, self.lowest, pitches, self.most_notes, self.shown, self.lookback)

    @cached_property
    def grammar(self) -> Grammar:
        """The rules for the next token, with what is recalled of the piece."""
        room = self.rules.bar_frames * (1 + self.shown)
        return add_lookback(self.rules, self.token_info, (), room, recall=self.recall)

    def encode(self, score: Score, *, ends: bool = True) -> Tokens:
        """Encode a score. Raises CannotExpress for one without notes, too long, or with pitches out of reach."""
        frames = self.make_roll(score)
        silent = (score.length + self.frame_ticks // 2) // self.frame_ticks - len(frames) if ends else 0
        if silent > 0:
            frames = np.pad(frames, ((0, min(silent, LONGEST)), (0, 0)))
        per_frame = frames.sum(axis=1)
        if (crowded := int(per_frame.max(initial=0))) > self.most_notes:
            raise CannotExpress(f"{crowded} pitches sound at once; there is room for {self.most_notes}.")
        sounding, pitches = np.nonzero(frames[:, ::-1])  # from the top
        tokens = np.full(len(sounding) + len(frames) + ends, FRAME)
        places = np.arange(len(sounding)) + sounding  # each end of a frame before shifts them by one
        tokens[places] = self.rules.first_pitch + self.highest - self.lowest - pitches
        if ends:
            tokens[-1] = EOS
        return tokens

    def make_roll(self, score: Score) -> NDArray[np.bool_]:
        """Compute the piano roll of a score, (frames, pitches). Raises CannotExpress."""
        found = concatenate_notes([track.notes for track in score.tracks if not track.is_drum])
        if not len(found):
            raise CannotExpress("contains no notes.")
        outside = found["pitch"][(found["pitch"] < self.lowest) | (found["pitch"] > self.highest)]
        if len(outside):
            raise CannotExpress(f"it has the pitch {outside[0]}; there are tokens for {self.lowest} to {self.highest}.")
        ticks = self.frame_ticks
        starts = (found["start"] + ticks // 2) // ticks
        ends = np.maximum((found["start"] + found["duration"] + ticks // 2) // ticks, starts + 1)
        length = int(ends.max())
        if length > LONGEST:
            raise CannotExpress(f"it is {length:,} frames long; at most {LONGEST:,} are taken.")
        edges = np.zeros((length + 1, self.highest - self.lowest + 1), dtype=np.int64)
        np.add.at(edges, (starts, found["pitch"] - self.lowest), 1)
        np.add.at(edges, (ends, found["pitch"] - self.lowest), -1)
        return edges.cumsum(axis=0)[:-1] > 0

    def decode(self, tokens: Tokens) -> Score:
        """Decode a score of one track; an incomplete last frame counts as far as it goes."""
        tokens = np.asarray(tokens)
        frame = np.cumsum(tokens == FRAME) - (tokens == FRAME)
        is_pitch = tokens >= self.rules.first_pitch
        sounding = np.zeros((int(frame.max(initial=-1)) + 2, self.highest - self.lowest + 1), dtype=np.int8)
        sounding[frame[is_pitch], tokens[is_pitch] - self.rules.first_pitch] = 1
        changes = np.diff(sounding, axis=0, prepend=np.zeros_like(sounding[:1]))
        pitches, starts = np.nonzero(changes.T == 1)
        _, ends = np.nonzero(changes.T == -1)  # of each pitch as many, in the same order
        notes = np.empty(len(starts), dtype=NOTE)
        notes["start"], notes["duration"] = starts * self.frame_ticks, (ends - starts) * self.frame_ticks
        notes["pitch"], notes["velocity"] = pitches + self.lowest, VELOCITY
        notes = notes[np.lexsort((notes["pitch"], notes["start"]))]
        length = int(np.count_nonzero(tokens == FRAME)) * self.frame_ticks
        falls_silent = length > int((notes["start"] + notes["duration"]).max(initial=0))
        markers = (Text(length, END),) if falls_silent else ()
        return Score(tracks=(Track(notes, program=self.program),), markers=markers)

    def assign_frames(self, tokens: Tokens) -> NDArray[np.int64]:
        """Assign each token to its frame, counted from 0, (T,); -1 for EOS."""
        ends = tokens == FRAME
        return np.where(tokens == EOS, -1, np.cumsum(ends) - ends)


# --- the states along a whole piece, computed at once -----------------------------------------------------------------


def compute_states(grammar: FramesGrammar, tokens: Tokens) -> NDArray[np.int64]:
    """Compute the states before each token of a piece from a default request, (T, S), equal to those of `advance`."""
    places = np.arange(len(tokens))
    ends = np.flatnonzero(tokens == FRAME)
    begins = np.concatenate([[0], ends + 1])
    frame = np.searchsorted(ends, places, side="left")
    notes = places - begins[frame]
    chords = np.full((len(begins), grammar.most_notes), BOS)  # of each frame, the last one being that of EOS
    pitched = tokens >= grammar.first_pitch
    chords[frame[pitched], notes[pitched]] = tokens[pitched]
    state = np.tile(grammar.start(Request(), 1), (len(tokens), 1))
    state[1:, Field.TOKEN] = tokens[:-1]
    state[:, Field.FRAME], state[:, Field.NOTES] = frame, notes
    grammar.get_current(state)[:] = np.where(np.arange(grammar.most_notes) < notes[:, None], chords[frame], BOS)
    grammar.get_previous(state)[:] = _shift_rows(chords, 1)[frame]
    grammar.get_ages(state)[:] = _shift_rows(_count_ages(chords, grammar.size), 1)[frame]
    older = [_shift_rows(chords, frames)[frame] for frames in range(2, max(grammar.lookback, default=1) + 1)]
    if older:
        state[:, grammar.older_begin : grammar.agreements_begin] = np.concatenate(older, axis=1)
    for column, frames in enumerate(grammar.lookback, grammar.agreements_begin):
        same = (chords == _shift_rows(chords, frames)).all(axis=1) & (np.arange(len(chords)) >= frames)
        state[:, column] = _shift_rows(np.minimum(_count_run(same), LONGEST_AGREEMENT), 1)[frame]
    return state


def _count_ages(chords: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Count the frames for which each token of `chords` has sounded, (frames, notes); 0 for none."""
    sounds = np.zeros((len(chords), size), dtype=bool)
    sounds[np.arange(len(chords))[:, None], chords] = True
    sounds[:, BOS] = False
    return np.take_along_axis(np.minimum(_count_run(sounds), OLDEST_AGE), chords, axis=1)


def _shift_rows(rows: NDArray[np.int64], frames: int) -> NDArray[np.int64]:
    """Shift rows by `frames` frames, with zeros before the first."""
    moved = np.zeros_like(rows)
    moved[frames:] = rows[:-frames]
    return moved


def _count_run(true: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count frames in a row, up to and including each, in which each column is true."""
    frames = np.arange(len(true)).reshape(-1, *[1] * (true.ndim - 1))
    return frames - np.maximum.accumulate(np.where(true, -1, frames), axis=0)
