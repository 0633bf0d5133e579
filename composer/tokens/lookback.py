"""Lookback: what stood at the same place some bars ago, as features of any grammar's inputs.

Much music comes back after 1, 2, 4 or 8 bars. `LookbackGrammar` wraps a grammar, keeps the tokens of the latest bars,
and tells the model at every step which token comes next if the music repeats what stood there k bars ago, and for how
many tokens it has done so. After Magenta's Lookback RNN (Waite 2016), which looks back one and two bars.

With `recall`, it also tells what followed the longest earlier stretch that is as the latest one, at whatever distance
(`matching.py`).

A place is a bar, a position in it, and the number of tokens written there before. So a bar is compared with another
one position by position, whatever was added or left out between. Bars are those of the time signature; a pickup is the
end of a bar.

What plugins may rely on is listed in `plugins/README.md`, under the helpers that are stable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from composer.arrays import carry_forward, convert_like, get_namespace, look_up, make_range, stack_columns
from composer.music.keys import ALL_KEYS
from composer.music.score import Score
from composer.request import Request
from composer.tokens.matching import LONGEST, advance_matches, compute_longest, compute_matches, find_longest_match
from composer.tokens.vocabulary import BOS, EOS
from composer.types import Array, Column, Grammar, MusicalState, Span, SupportsStates, TokenInfo, Tokens

MOST_BARS = 32
"""Longest distance of a lookback, in bars."""

ORDINALS = 2**7
"""Tokens at one position that are told apart. Later ones count as the last."""

TICKS = 2**16
"""Ticks in a bar, an exclusive bound."""

TOKENS = 2**16
"""Ids of tokens, an exclusive bound."""

RECALLED_BARS = 16
"""Bars that there is room for at least, to recall matches."""

RUNS = np.array([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192])
"""Where the classes of run lengths begin in the model's input; 0 is a class of its own."""

_RUN_CLASSES = np.searchsorted(RUNS, np.arange(LONGEST + 1), side="right")

SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10))
"""Semitones of the major and of the natural minor scale, by which sequences move."""

NEVER = np.iinfo(np.int64).max


class Own:
    """Columns of the state after those of the inner grammar.

    Then come the kept tokens, N of them with their places, and K columns of each kind. A model that recalls has a
    length for each kept token, and then the token after the longest match with its length.
    """

    ENDED = 0
    ORDINAL = 1  # tokens at this position so far, less one
    COUNT = 2  # tokens kept so far, the forgotten ones included
    KEPT = 3


@dataclass(frozen=True)
class LookbackGrammar:
    """A grammar with features of what stood `bars` ago; `room` is N, the number of tokens that it keeps.

    With `sequences`, also of what stood there moved along the scale by as much as the last note was. With `recall`,
    also of what followed the longest match. Tokens of a type in `alike` agree with each other, so that music counts as
    the same where it has another loudness; what stood there is told as it was.
    """

    inner: Grammar
    token_info: TokenInfo
    bars: tuple[int, ...]
    room: int
    sequences: bool = False
    recall: bool = False
    alike: tuple[str, ...] = ()

    # --- what the tokens are

    @property
    def size(self) -> int:
        """V, the size of the vocabulary."""
        return len(self.token_info.kind)

    @cached_property
    def inner_size(self) -> int:
        """The columns of the inner state."""
        return int(self.inner.start(Request(), 1).shape[1])

    @cached_property
    def _kept_as(self) -> NDArray[np.int64]:
        """(V,) the token that each is kept as: bar lines are one, whatever they count down."""
        info = self.token_info
        return np.where(info.is_bar, np.argmax(info.is_bar), np.arange(self.size))

    @cached_property
    def _classes(self) -> NDArray[np.int64]:
        """(V,) the token that stands for each in a comparison."""
        classes = self._kept_as.copy()
        for kind in self.alike:
            is_kind = self.token_info.kind == kind
            classes[is_kind] = np.argmax(is_kind)
        return classes

    def _classify(self, tokens: Array) -> Array:
        """Return tokens, of any shape, as they are compared."""
        return look_up(self._classes, tokens) if self.alike else tokens

    @cached_property
    def _scale_steps(self) -> NDArray[np.int64]:
        """(2, V) of each pitched token twice its step in the scale, and one more above it; -1 for others."""
        pitch = self.token_info.pitch
        steps = [np.searchsorted(scale, pitch % 12, side="right") - 1 for scale in SCALES]
        raised = [pitch % 12 != np.array(scale)[step] for scale, step in zip(SCALES, steps, strict=True)]
        found = [2 * (7 * (pitch // 12) + step) + above for step, above in zip(steps, raised, strict=True)]
        return np.where(pitch >= 0, np.stack(found), -1).astype(np.int64)

    @cached_property
    def _by_steps(self) -> NDArray[np.int64]:
        """(2, N) the pitched token at each of these numbers, BOS where there is none."""
        table = np.full((2, 2 * 7 * 12), BOS)
        pitched = np.flatnonzero(self.token_info.pitch >= 0)
        octave, place = np.divmod(np.arange(2 * 7 * 12), 14)
        tokens = dict(zip(self.token_info.pitch[pitched].tolist(), pitched.tolist(), strict=True))
        for row, scale in enumerate(SCALES):
            pitches = 12 * octave + np.array(scale)[place // 2] + place % 2
            table[row] = [tokens.get(pitch, BOS) for pitch in pitches.tolist()]
        return table

    # --- columns

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the inner grammar, and of each distance: the token there, and for how long they agreed.

        `as 8 bars ago` is the next token if the music repeats what stood 8 bars ago; BOS where nothing did.
        """
        kinds = ["as", "moved as"] if self.sequences else ["as"]
        own = []
        for kind in kinds:
            own += [Column(f"{kind} {count} bars ago", self.size, tokens=True) for count in self.bars]
            own += [Column(f"for long {kind} {count} bars ago", len(RUNS) + 1) for count in self.bars]
        if self.recall:
            own += [Column("recalled", self.size, tokens=True), Column("match", len(RUNS) + 1)]
        return (*self.inner.columns, *own)

    def _slice(self, kind: int) -> slice:
        """Return the own columns of one kind: 0 expected tokens, 1 runs, 2 offsets, 3 moved tokens, 4 their runs."""
        begin = self.inner_size + Own.KEPT + self.room + kind * len(self.bars)
        return slice(begin, begin + len(self.bars))

    @property
    def _kept(self) -> slice:
        begin = self.inner_size + Own.KEPT
        return slice(begin, begin + self.room)

    @property
    def _lengths(self) -> slice:
        """Return the columns of the lengths of matches. The longest match follows them."""
        begin = self._slice(5 if self.sequences else 2).start
        return slice(begin, begin + self.room)

    # --- the grammar

    def start(self, request: Request, rows: int) -> Array:
        """Return states before the first token: nothing is kept."""
        begun = self.inner.start(request, rows)
        width = self._lengths.start - self.inner_size + (self.room + 2 if self.recall else 0)
        return np.concatenate([begun, np.zeros((rows, width), dtype=np.int64)], axis=1)

    def get_inner(self, state: Array) -> Array:
        """Return the inner states."""
        return state[:, : self.inner_size]

    def mask(self, state: Array) -> Array:
        """Return the mask of allowed tokens, (B, V)."""
        return self.inner.mask(self.get_inner(state))

    def interpret(self, state: Array) -> MusicalState:
        """Interpret states in musical terms."""
        return self.inner.interpret(self.get_inner(state))

    def fix_notes(self, score: Score, spans: Sequence[Span]) -> Callable[[Array], Array]:
        """Return a function from states to masks (B, V) that keep the notes of `score` in `spans`."""
        mask = self.inner.fix_notes(score, spans)
        return lambda state: mask(self.get_inner(state))

    def make_inputs(self, state: Array) -> Array:
        """Compute the features of the model's input, (B, C)."""
        xp = get_namespace(state)
        blocks = [self.inner.make_inputs(self.get_inner(state))]
        for tokens, runs in ((0, 1), (3, 4)) if self.sequences else ((0, 1),):
            blocks += [state[:, self._slice(tokens)]]
            blocks += [_take(_RUN_CLASSES, state[:, self._slice(runs)])]
        if self.recall:
            longest = state[:, self._lengths.stop :]
            blocks += [longest[:, :1], _take(_RUN_CLASSES, longest[:, 1:])]
        return xp.concat(blocks, axis=1)

    def advance(self, state: Array, tokens: Array) -> Array:
        """Return the states after `tokens`."""
        xp = get_namespace(state)
        own = self.inner_size
        inner = self.get_inner(state)
        after = self.inner.advance(inner, tokens)
        before, now = self.inner.interpret(inner), self.inner.interpret(after)
        same = (before.bar == now.bar) & (before.position == now.position)
        ordinal = state[:, own + Own.ORDINAL] + 1
        ordinal = xp.where(same, xp.clip(ordinal, 0, ORDINALS - 1), xp.zeros_like(ordinal))
        count = state[:, own + Own.COUNT]
        written = xp.take(convert_like(self._kept_as, tokens), tokens)
        place = _number_place(now.bar, now.position, ordinal)
        keeps = (now.bar >= 0) & (tokens != EOS)
        here = keeps[:, None] & (make_range(self.room, state) == (count % self.room)[:, None])
        kept = xp.where(here, ((place + 1) * TOKENS + written)[:, None], state[:, self._kept])
        count = xp.where(keeps, count + 1, count)
        ended = xp.where(tokens == EOS, xp.ones_like(count), xp.zeros_like(count))
        expected = self._look_up(kept, count, now.bar, place)
        blocks = [after, stack_columns([ended, ordinal, count]), kept, expected]
        blocks += self._update_runs(state, written, expected, before, now)
        if self.recall:
            blocks += self._update_matches(state, kept, count, written, keeps)
        has_ended = (state[:, own + Own.ENDED] != 0)[:, None]
        return xp.where(has_ended, state, xp.concat(blocks, axis=1))

    def _look_up(self, kept: Array, count: Array, bar: Array, place: Array) -> Array:
        """Find (B, K) the tokens that come next if the music repeats what stood there; BOS where that is unknown.

        Kept tokens rise with their places. So the one to come is the least at or after the place in question.
        """
        xp = get_namespace(kept)
        oldest = xp.min(kept, axis=1)
        found = []
        for bars in self.bars:
            sought = (place + 2 - bars * TICKS * ORDINALS) * TOKENS
            least = xp.min(xp.where(kept >= sought[:, None], kept, xp.full_like(kept, NEVER)), axis=1)
            reaches = (count <= self.room) | (oldest < sought)
            known = (bar >= bars) & reaches & (least != NEVER)
            found.append(xp.where(known, least % TOKENS, BOS))
        return stack_columns(found) if found else kept[:, :0]

    def _update_runs(
        self, state: Array, written: Array, expected: Array, before: MusicalState, now: MusicalState
    ) -> list[Array]:
        """Return the columns of runs, and those of sequences, after `written` (B,); `expected` comes after them."""
        xp = get_namespace(state)
        past, here = state[:, self._slice(0)], self._classify(written)[:, None]
        blocks = [_count_on(state[:, self._slice(1)], self._classify(past), here)]
        if not self.sequences:
            return blocks
        row = self._find_scale(before.key)[:, None] * self.size
        own = _take(self._scale_steps, row + written[:, None])
        theirs = _take(self._scale_steps, row + past)
        offsets = xp.where((own >= 0) & (theirs >= 0), own // 2 - theirs // 2, state[:, self._slice(2)])
        moved = self._move(expected, offsets, self._find_scale(now.key))
        return [
            *blocks,
            offsets,
            moved,
            _count_on(state[:, self._slice(4)], self._classify(state[:, self._slice(3)]), here),
        ]

    def _update_matches(self, state: Array, kept: Array, count: Array, written: Array, keeps: Array) -> list[Array]:
        """Return the columns of matches after `written` (B,), which `kept` holds where `keeps` (B,) is true."""
        xp, ring = get_namespace(state), kept % TOKENS
        compared, latest = self._classify(ring), self._classify(written)
        lengths = advance_matches(state[:, self._lengths], compared, count, latest)
        lengths = xp.where(keeps[:, None], lengths, state[:, self._lengths])
        return [lengths, find_longest_match(lengths, ring, count)]

    def _find_scale(self, key: Array) -> Array:
        """Return the row of the scale's tables for keys (B,)."""
        minors = np.array([0, *(int(known.minor) for known in ALL_KEYS)])  # -1, an unknown key, comes first
        return get_namespace(key).take(convert_like(minors, key), key + 1)

    def _move(self, tokens: Array, offsets: Array, scale: Array) -> Array:
        """Move tokens (B, K) along the scale, where they are pitched; BOS where that leaves the vocabulary."""
        xp = get_namespace(tokens)
        steps = _take(self._scale_steps, scale[:, None] * self.size + tokens)
        length = self._by_steps.shape[1]
        wanted = steps + 2 * offsets
        found = _take(self._by_steps, scale[:, None] * length + xp.clip(wanted, 0, length - 1))
        exists = (wanted >= 0) & (wanted < length)
        return xp.where(steps < 0, tokens, xp.where(exists, found, BOS))


def _number_place(bar: Array, position: Array, ordinal: Array) -> Array:
    """Compute (B,) the number of each place, in the order of time."""
    return (bar * TICKS + position) * ORDINALS + ordinal


def _take(table: NDArray[np.int64], indices: Array) -> Array:
    """Take (B, K) numbers of a flattened table; the array API has no such function for indices of two axes."""
    flat = convert_like(table.ravel(), indices)
    if type(indices) is np.ndarray:
        return flat[indices]
    xp = get_namespace(indices)
    columns = [xp.take(flat, indices[:, column]) for column in range(indices.shape[1])]
    return stack_columns(columns) if columns else indices


def _count_on(runs: Array, expected: Array, written: Array) -> Array:
    """Count (B, K) the tokens in a row that were as expected."""
    xp = get_namespace(runs)
    return xp.where(expected == written, xp.clip(runs + 1, 0, LONGEST), 0 * runs)


# --- the states along a whole piece, computed at once -----------------------------------------------------------------


@dataclass(frozen=True)
class LookbackStates(LookbackGrammar):
    """The same around a grammar that computes all states of a piece at once."""

    def compute_states(self, tokens: Tokens) -> NDArray[np.int64]:
        """Compute the states before each token of a piece, (T, S), equal to those of `advance`."""
        inner = self.inner.compute_states(tokens)  # type: ignore[attr-defined]
        music = self.inner.interpret(inner)
        ordinal, place, written, keeps = self._list_places(tokens, music)
        entries = ((place[1:] + 1) * TOKENS + written)[keeps]
        count = np.append(0, np.cumsum(keeps))
        own = np.stack([np.zeros_like(count), ordinal, count], axis=1)
        expected = self._look_up_all(entries, count, music.bar, place)
        index = self._list_kept(count)
        kept = np.where(index >= 0, np.append(entries, 0)[index], 0)
        blocks = [inner, own, kept, expected, *self._compute_runs(np.append(BOS, written), expected, music)]
        if self.recall:
            past = entries % TOKENS
            blocks += compute_matches(past, self._classify(past), self.room, index, count)
        return np.concatenate(blocks, axis=1)

    def compute_inputs(self, tokens: Tokens) -> NDArray[np.int64]:
        """Compute the model's inputs before each token of a piece, (T, C), equal to those of `make_inputs`.

        States hold the memory of many bars, so this takes a small part of their time and room.
        """
        inner = self.inner.compute_states(tokens)  # type: ignore[attr-defined]
        music = self.inner.interpret(inner)
        _, place, written, keeps = self._list_places(tokens, music)
        entries = ((place[1:] + 1) * TOKENS + written)[keeps]
        count = np.append(0, np.cumsum(keeps))
        expected = self._look_up_all(entries, count, music.bar, place)
        runs, *moved = self._compute_runs(np.append(BOS, written), expected, music)
        blocks = [self.inner.make_inputs(inner), expected, _RUN_CLASSES[runs]]
        if moved:
            blocks += [moved[1], _RUN_CLASSES[moved[2]]]
        if self.recall:
            past = entries % TOKENS
            longest = compute_longest(past, self._classify(past), self.room)[count]
            blocks += [longest[:, :1], _RUN_CLASSES[longest[:, 1:]]]
        return np.concatenate(blocks, axis=1)

    def _list_places(self, tokens: Tokens, music: MusicalState) -> tuple[NDArray[np.int64], ...]:
        """List the ordinal and the place of each step (T,), the token before it as it is kept, and whether it is."""
        times = np.arange(len(tokens))
        same = np.append(False, (music.bar[1:] == music.bar[:-1]) & (music.position[1:] == music.position[:-1]))
        ordinal = np.minimum(times - np.maximum.accumulate(np.where(same, 0, times)), ORDINALS - 1)
        place = _number_place(music.bar, music.position, ordinal)
        return ordinal, place, self._kept_as[tokens[:-1]], music.bar[1:] >= 0

    def _list_kept(self, count: NDArray[np.int64]) -> NDArray[np.int64]:
        """List (T, N) which tokens are kept at each step, where `advance` puts them; -1 for none."""
        last = count[:, None] - 1
        return np.maximum(last - (last - np.arange(self.room)) % self.room, -1)

    def _look_up_all(
        self, entries: NDArray[np.int64], count: NDArray[np.int64], bar: NDArray[np.int64], place: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Find (T, K) what `_look_up` finds."""
        found, padded = [], np.append(entries, NEVER)
        for bars in self.bars:
            sought = (place + 2 - bars * TICKS * ORDINALS) * TOKENS
            index = np.searchsorted(entries, sought)
            reaches = (count <= self.room) | (padded[np.maximum(count - self.room, 0)] < sought)
            known = (bar >= bars) & reaches & (index < count)
            found.append(np.where(known, padded[index] % TOKENS, BOS))
        return np.array(found, dtype=np.int64).reshape(len(self.bars), len(bar)).T

    def _compute_runs(
        self, written: NDArray[np.int64], expected: NDArray[np.int64], music: MusicalState
    ) -> list[NDArray[np.int64]]:
        """Compute the columns of `_update_runs` at all steps; `written` (T,) is the token before each."""
        past = np.concatenate([np.zeros_like(expected[:1]), expected[:-1]])
        here = self._classify(written)[:, None]
        blocks = [_count_runs(self._classify(past) == here)]
        if not self.sequences:
            return blocks
        scale = self._find_scale(music.key)
        before = np.append(scale[:1], scale[:-1])
        own = self._scale_steps[before, written][:, None]
        theirs = self._scale_steps[before[:, None], past]
        both = (own >= 0) & (theirs >= 0)
        offsets = np.stack(
            [carry_forward(own[:, 0] // 2 - theirs[:, k] // 2, both[:, k], 0) for k in range(len(self.bars))], axis=1
        )
        moved = self._move(expected, offsets, scale)
        past_moved = np.concatenate([np.zeros_like(moved[:1]), moved[:-1]])
        return [*blocks, offsets, moved, _count_runs(self._classify(past_moved) == here)]


def _count_runs(agreed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count (T, K) the steps in a row, up to each, that agreed; the first is no step."""
    agreed[0] = False
    times = np.arange(len(agreed))[:, None]
    return np.minimum(times - np.maximum.accumulate(np.where(agreed, 0, times), axis=0), LONGEST)


def add_lookback(
    grammar: Grammar,
    token_info: TokenInfo,
    bars: tuple[int, ...],
    tokens_per_bar: int,
    *,
    sequences: bool = False,
    recall: bool = False,
    alike: tuple[str, ...] = (),
) -> Grammar:
    """Return a grammar that tells what stood some bars ago; the grammar itself if nothing is to be told.

    `tokens_per_bar` is what a full bar takes: memory is for as many bars as the longest distance, and what lies beyond
    it counts as unknown. `sequences` is for tokens that are relative to the key. Tokens of a type in `alike` count as
    the same where music is compared, such as those of loudness.
    """
    if not bars and not recall:
        return grammar
    kind = LookbackStates if isinstance(grammar, SupportsStates) else LookbackGrammar
    longest = max(bars + ((RECALLED_BARS,) if recall else ()))
    return kind(grammar, token_info, bars, (longest + 1) * tokens_per_bar, bool(sequences and bars), recall, alike)


def check_lookback(bars: Sequence[int]) -> None:
    """Raise ValueError for distances that cannot be had."""
    if not all(1 <= count <= MOST_BARS for count in bars):
        raise ValueError(f"lookback must be from 1 to {MOST_BARS} bars")
    if len(set(bars)) < len(bars):
        raise ValueError("lookback must not repeat a number of bars")
