"""The grammar of `frames`, over a batch, and its masks that keep fixed notes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from composer.arrays import convert_like, get_namespace, make_parameter, make_range
from composer.errors import BadOption, CannotExpress
from composer.music.score import TICKS_PER_QUARTER, Score, concatenate_notes, parse_time_signature
from composer.request import Request
from composer.tokens.fixed_bars import check_track
from composer.tokens.vocabulary import BOS, EOS
from composer.types import Array, Column, MusicalState, Span, Tokens

FRAME = 2
"""The token Frame_None, the end of a frame."""

OLDEST_AGE = 16
"""Longest age of a note in the model's input, in frames."""

CYCLES = (16, 12)
"""Frames are counted modulo these in a model's input. They fit bars of two, three and four beats."""

NO_DEGREE = 12

LONGEST_AGREEMENT = 16
"""Longest agreement with a frame of the lookback in the model's input, in frames."""


class Field:
    """Columns of a state, before `most_notes` tokens of this frame, as many of the one before, and their ages.

    A model with a lookback has further columns: the frames before that one, the latest first, and how long each frame
    of the lookback has agreed.
    """

    TOKEN = 0
    FRAME = 1  # the current one
    NOTES = 2  # in the current frame so far
    LEAST = 3  # frames of the piece, at least
    MOST = 4  # frames of the piece, at most
    ENDED = 5
    OWN = 6


# --- the grammar ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FramesGrammar:
    """Pitches from the top, then the end of the frame; `pitches` of them from `lowest` on."""

    frame_ticks: int
    lowest: int
    pitches: int
    most_notes: int
    shown: int
    lookback: tuple[int, ...] = ()

    @property
    def first_pitch(self) -> int:
        """The token of the lowest pitch."""
        return FRAME + 1

    @property
    def size(self) -> int:
        """V, the size of the vocabulary."""
        return self.first_pitch + self.pitches

    @property
    def bar_frames(self) -> int:
        """Frames in a bar."""
        return 4 * TICKS_PER_QUARTER // self.frame_ticks

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The last token; its position in the frame and in time; the pitches of this frame and of the one before.

        `held` is the highest pitch of the frame before that may still follow: it would be sustained. `as 8 ago` is the
        next token if this frame repeats the one 8 before. `agreed with 8 ago` counts frames in a row that did so, 0
        once this one does not. After Magenta's Lookback RNN (Waite 2016).
        """
        now, before = ([f"{when} {number + 1}" for number in range(self.shown)] for when in ("now", "before"))
        return (
            Column("token", self.size, tokens=True),
            Column("place", self.most_notes + 1),
            *(Column(f"frame of {cycle}", cycle) for cycle in CYCLES),
            *(Column(name, self.size, tokens=True) for name in now),
            *(Column(f"degree of {name}", NO_DEGREE + 1) for name in now),
            *(Column(name, self.size, tokens=True) for name in before),
            *(Column(f"degree of {name}", NO_DEGREE + 1) for name in before),
            *(Column(f"age of {name}", OLDEST_AGE + 1) for name in before),
            Column("held", self.size, tokens=True),
            Column("age of held", OLDEST_AGE + 1),
            Column("degree", NO_DEGREE + 1),
            *(Column(f"as {frames} ago", self.size, tokens=True) for frames in self.lookback),
            *(Column(f"agreed with {frames} ago", LONGEST_AGREEMENT + 1) for frames in self.lookback),
        )

    def start(self, request: Request, rows: int) -> NDArray[np.int64]:
        """Return states before the first token. Raises BadOption for a key, or another time signature than 4/4."""
        if request.key is not None:
            raise BadOption("this model knows no keys; leave --key out.")
        if request.time_signature is not None and str(parse_time_signature(request.time_signature)) != "4/4":
            raise BadOption("this model writes bars of 4/4 only; leave --time-signature out.")
        floor = -(-request.primer_ticks // self.frame_ticks)
        before = -(-floor // self.bar_frames) * self.bar_frames
        state = np.zeros((rows, self.agreements_begin + len(self.lookback)), dtype=np.int64)
        state[:, Field.TOKEN] = BOS
        state[:, Field.LEAST] = max(floor, 1) if request.bars is None else before + request.bars * self.bar_frames
        wanted = request.most_bars if request.bars is None else request.bars
        state[:, Field.MOST] = before + wanted * self.bar_frames
        return state

    def get_current(self, state: Array) -> Array:
        """Return the tokens of this frame from the top, (B, most_notes); BOS for none."""
        return state[:, Field.OWN : Field.OWN + self.most_notes]

    def get_previous(self, state: Array) -> Array:
        """Return the tokens of the frame before from the top, (B, most_notes); BOS for none."""
        return state[:, Field.OWN + self.most_notes : Field.OWN + 2 * self.most_notes]

    def get_ages(self, state: Array) -> Array:
        """Return the number of frames for which each of those has sounded, (B, most_notes); 0 for none."""
        return state[:, Field.OWN + 2 * self.most_notes : self.older_begin]

    @property
    def older_begin(self) -> int:
        """The first column of older frames of the lookback."""
        return Field.OWN + 3 * self.most_notes

    @property
    def agreements_begin(self) -> int:
        """The first column of the agreements of the lookback."""
        return self.older_begin + (max(self.lookback, default=1) - 1) * self.most_notes

    def _get_lookback(self, state: Array) -> Array:
        """Return the frames of the lookback, relative to the current one, (B, L, most_notes)."""
        xp, most = get_namespace(state), self.most_notes
        begins = [
            self.older_begin + (frames - 2) * most if frames > 1 else Field.OWN + most for frames in self.lookback
        ]
        return xp.stack([state[:, begin : begin + most] for begin in begins], axis=1)

    def _has_agreed(self, state: Array) -> Array:
        """Tell whether this frame, as far as it is written, equals each frame of the lookback, (B, L)."""
        xp = get_namespace(state)
        unwritten = make_range(self.most_notes, state) >= state[:, Field.NOTES][:, None]
        same = (self._get_lookback(state) == self.get_current(state)[:, None, :]) | unwritten[:, None, :]
        return self._has_begun(state) & xp.all(same, axis=2)

    def _has_begun(self, state: Array) -> Array:
        """Tell whether the piece is long enough for each lookback, (B, L)."""
        return state[:, Field.FRAME][:, None] >= convert_like(np.array([self.lookback]), state)

    def get_ceiling(self, state: Array) -> Array:
        """Return the exclusive upper bound of the next pitch token, (B,): the last pitch of this frame."""
        xp, token = get_namespace(state), state[:, Field.TOKEN]
        return xp.where(state[:, Field.NOTES] > 0, token, xp.full_like(token, self.size))

    def mask(self, state: Array) -> Array:
        """Return the mask of allowed tokens, (B, V)."""
        xp = get_namespace(state)
        frame, notes, ended = state[:, Field.FRAME], state[:, Field.NOTES], state[:, Field.ENDED] != 0
        writing = ~ended & (frame < state[:, Field.MOST])
        end = ended | ((notes == 0) & (frame >= state[:, Field.LEAST])) | (frame >= state[:, Field.MOST])
        tokens = make_range(self.pitches, state) + self.first_pitch
        room = (writing & (notes < self.most_notes))[:, None]
        pitches = room & (tokens < self.get_ceiling(state)[:, None])
        return xp.concat([xp.zeros_like(ended)[:, None], end[:, None], writing[:, None], pitches], axis=1)

    def advance(self, state: Array, tokens: Array) -> Array:
        """Return the states after `tokens`."""
        xp = get_namespace(state)
        is_end = (tokens == FRAME)[:, None]
        is_pitch = tokens >= self.first_pitch
        now, before, ages, notes = (
            self.get_current(state),
            self.get_previous(state),
            self.get_ages(state),
            state[:, Field.NOTES],
        )
        here = is_pitch[:, None] & (make_range(self.most_notes, state) == notes[:, None])
        written = xp.where(here, tokens[:, None], now)
        sounded = xp.sum(
            xp.where(now[:, :, None] == before[:, None, :], ages[:, None, :], 0 * ages[:, None, :]), axis=2
        )
        older = xp.where(now == BOS, xp.zeros_like(now), xp.clip(sounded + 1, 0, OLDEST_AGE))
        shared = xp.stack(
            [
                tokens,
                state[:, Field.FRAME] + xp.where(is_end[:, 0], xp.ones_like(notes), xp.zeros_like(notes)),
                xp.where(is_pitch, notes + 1, xp.zeros_like(notes)),
                state[:, Field.LEAST],
                state[:, Field.MOST],
                xp.where(tokens == EOS, xp.ones_like(notes), state[:, Field.ENDED]),
            ],
            axis=1,
        )
        own = [
            xp.where(is_end, xp.zeros_like(now), written),
            xp.where(is_end, now, before),
            xp.where(is_end, older, ages),
        ]
        if self.lookback:
            own += [xp.where(is_end, then, known) for then, known in self._update_lookback(state)]
        return xp.where((state[:, Field.ENDED] != 0)[:, None], state, xp.concat([shared, *own], axis=1))

    def _update_lookback(self, state: Array) -> Iterator[tuple[Array, Array]]:
        """Yield the columns of the lookback as pairs: after the end of this frame, and before it."""
        xp = get_namespace(state)
        older, agreements = state[:, self.older_begin : self.agreements_begin], state[:, self.agreements_begin :]
        yield xp.concat([self.get_previous(state), older], axis=1)[:, : older.shape[1]], older
        whole = self._has_begun(state) & xp.all(
            self._get_lookback(state) == self.get_current(state)[:, None, :], axis=2
        )
        yield xp.where(whole, xp.clip(agreements + 1, 0, LONGEST_AGREEMENT), 0 * agreements), agreements

    def compute_states(self, tokens: Tokens) -> NDArray[np.int64]:
        """Compute the states before each token of a whole piece, (T, S)."""
        from composer_frames.tokenizer import compute_states

        return compute_states(self, tokens)

    def make_inputs(self, state: Array) -> Array:
        """Compute the features of the model's input, (B, C)."""
        xp, shown = get_namespace(state), self.shown
        now, before, ages = self.get_current(state), self.get_previous(state), self.get_ages(state)
        last = state[:, Field.TOKEN]
        above = xp.sum(
            xp.where(before >= self.get_ceiling(state)[:, None], 1, 0), axis=1
        )  # pitches that can no longer follow
        place = xp.clip(above, 0, self.most_notes - 1)[:, None]
        remains = (above < self.most_notes)[:, None]
        held = xp.where(remains, xp.take_along_axis(before, place, axis=1), BOS * place)
        age = xp.where(remains, xp.take_along_axis(ages, place, axis=1), 0 * place)
        columns = [
            xp.stack([last, state[:, Field.NOTES], *(state[:, Field.FRAME] % cycle for cycle in CYCLES)], axis=1),
            now[:, :shown],
            self._compute_degrees(now[:, :shown]),
            before[:, :shown],
            self._compute_degrees(before[:, :shown]),
            ages[:, :shown],
            held,
            age,
            self._compute_degrees(last[:, None]),
        ]
        if self.lookback:
            agreed, agreements = self._has_agreed(state), state[:, self.agreements_begin :]
            columns += [self._predict_repeats(state), xp.where(agreed, agreements, 0 * agreements)]
        return xp.concat(columns, axis=1)

    def _predict_repeats(self, state: Array) -> Array:
        """Return the next token if this frame repeats each frame of the lookback, (B, L); BOS for none."""
        xp, ago = get_namespace(state), self._get_lookback(state)
        lower = ago < self.get_ceiling(state)[:, None, None]
        following = xp.max(xp.where(lower, ago, 0 * ago), axis=2)
        following = xp.where(following == BOS, FRAME, following)
        return xp.where(self._has_begun(state), following, BOS)

    def _compute_degrees(self, tokens: Array) -> Array:
        """Compute semitones above C, without octaves. They stay as they are when relative pitches are transposed."""
        xp = get_namespace(tokens)
        pitched = tokens >= self.first_pitch
        return xp.where(pitched, (tokens - self.first_pitch + self.lowest) % 12, xp.full_like(tokens, NO_DEGREE))

    def interpret(self, state: Array) -> MusicalState:
        """Interpret states in musical terms."""
        xp = get_namespace(state)
        frame, bar, most = state[:, Field.FRAME], self.bar_frames, state[:, Field.MOST]
        # After the end, the position is that of the last frame.
        over = (state[:, Field.ENDED] != 0) | (frame == most)
        reached = xp.where(over, frame - 1, frame)
        left = most // bar - reached // bar
        announced = (state[:, Field.LEAST] == most) | (left == 1)
        return MusicalState(
            tick=frame * self.frame_ticks,
            bar=reached // bar,
            beat=reached % bar // (bar // 4),
            voice=xp.full_like(frame, -1),
            sounding=self._decode_pitches(self.get_previous(state)),
            shift=xp.zeros_like(frame),
            position=reached % bar * self.frame_ticks,
            upbeat=xp.zeros_like(frame),
            bar_ticks=xp.full_like(frame, bar * self.frame_ticks),
            beat_ticks=xp.full_like(frame, bar // 4 * self.frame_ticks),
            bars_left=xp.where(announced, left, 0),
            key=xp.full_like(frame, -1),
            written=self._decode_pitches(self.get_current(state)),
            others=state[:, Field.NOTES],
        )

    def _decode_pitches(self, tokens: Array) -> Array:
        """Convert tokens to MIDI pitches; -1 for BOS."""
        return get_namespace(tokens).where(tokens == BOS, -1, tokens - self.first_pitch + self.lowest)

    def fix_notes(self, score: Score, spans: Sequence[Span]) -> Callable[[Array], Array]:
        """Return a function from states to masks (B, V) that keep the notes of `score` in `spans`.

        The notes of all tracks are one.
        """
        return FixedFrames(self, score, tuple(spans))


# --- fixed notes ------------------------------------------------------------------------------------------------------


class FixedFrames:
    """A function from states to masks: a frame in a span has the pitches of the score, and no others.

    A pitch with an onset where a span begins is barred from the frame before: it would only be sustained.
    Tables are (frames + 1, pitches). Their last row, of free frames, stands for all later ones.
    """

    def __init__(self, grammar: FramesGrammar, score: Score, spans: Sequence[Span]) -> None:
        for span in spans:
            check_track(span, 1)
        notes = concatenate_notes([track.notes for track in score.tracks if not track.is_drum])
        if len(notes) and not (notes["pitch"] - grammar.lowest >= 0).all():
            raise CannotExpress(f"the fixed pitch {notes['pitch'].min()} is too low for this model.")
        if len(notes) and not (notes["pitch"] - grammar.lowest < grammar.pitches).all():
            raise CannotExpress(f"the fixed pitch {notes['pitch'].max()} is too high for this model.")
        starts, ends = (
            notes["start"] // grammar.frame_ticks,
            (notes["start"] + notes["duration"]) // grammar.frame_ticks,
        )
        length = max([int(ends.max(initial=0)), *(-(-span.end // grammar.frame_ticks) for span in spans)])
        length = min(length, int(ends.max(initial=0)) + 1)
        sounding = np.zeros((length + 1, grammar.pitches), dtype=bool)
        onsets = sounding.copy()
        for start, end, pitch in zip(
            starts, np.maximum(ends, starts + 1), notes["pitch"] - grammar.lowest, strict=True
        ):
            sounding[start:end, pitch] = True
            onsets[start, pitch] = True
        fixed = np.zeros(length + 1, dtype=bool)
        for span in spans:
            first, end = (-(-max(tick, 0) // grammar.frame_ticks) for tick in (span.start, span.end))
            fixed[first : end if end <= length else None] = True
        begins = np.append(fixed[1:] & ~fixed[:-1], False)
        self.grammar, self.fixed = grammar, fixed
        self.wanted = sounding & fixed[:, None]
        self.barred = np.where(begins[:, None], np.roll(onsets, -1, axis=0), False)
        needed = np.flatnonzero(self.wanted.any(axis=1))
        self.least = int(needed[-1]) + 1 if len(needed) else 0

    def __call__(self, state: Array) -> Array:
        """Return the mask (B, V)."""
        xp, grammar = get_namespace(state), self.grammar
        frame = state[:, Field.FRAME]
        row = xp.minimum(xp.clip(frame, 0, None), make_parameter(len(self.fixed) - 1, state))
        fixed = xp.take(convert_like(self.fixed, state), row)[:, None]
        tokens = make_range(grammar.pitches, state) + grammar.first_pitch
        remains = xp.take(convert_like(self.wanted, state), row, axis=0) & (
            tokens < grammar.get_ceiling(state)[:, None]
        )
        highest = xp.max(xp.where(remains, tokens, 0 * tokens), axis=1)[:, None]
        barred = xp.take(convert_like(self.barred, state), row, axis=0)
        pitches = xp.where(fixed, remains & (tokens == highest), ~barred)
        end = (frame >= make_parameter(self.least, state))[:, None]
        return xp.concat([xp.zeros_like(end), end, ~fixed | (highest == 0), pitches], axis=1)
