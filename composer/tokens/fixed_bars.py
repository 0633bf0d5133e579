"""Infilling: a mask over the grid's tokens that keeps the bars of a score.

What plugins may rely on is listed in `plugins/README.md`, under the helpers that are stable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from composer.arrays import convert_like, get_namespace, look_up, make_parameter, make_range
from composer.errors import BadOption
from composer.music.score import Score, Track
from composer.tokens import bar_sections
from composer.tokens.bar_encoding import Measures, encode_sections
from composer.tokens.bar_grammar import COUNTDOWN, Field, Grid, Slot, count_whole_bars, find_last_step
from composer.types import Array, Span

NEVER = 2**40
"""A step that no piece reaches: no more fixed notes."""


def mark_fixed(grid: Grid, spans: Sequence[tuple[Span, Sequence[int]]], parts: int, steps: int) -> NDArray[np.bool_]:
    """Mark (parts, steps + 1) where each part is fixed; the last step stands for all later ones.

    Each span comes with the parts it covers. A span that begins after `steps` fixes nothing. One that goes beyond fixes
    silence there.
    """
    cover = np.zeros((parts, steps + 1), dtype=bool)
    for span, of in spans:
        first, end = (-(-max(tick, 0) // grid.step_ticks) for tick in (span.start, span.end))
        for part in of:
            cover[part, first : end if end <= steps else None] = True
    return cover


def check_track(span: Span, tracks: int) -> None:
    """Raise BadOption for a span of a track that does not exist."""
    if span.track is not None and not 0 <= span.track < tracks:
        raise BadOption(f"there is no track {span.track} to keep; the tracks are 0 to {tracks - 1}.")


@dataclass(frozen=True, eq=False)
class FixedBars:
    """The bars of a score up to the last fixed note. Positions are allowed only where they are needed."""

    grid: Grid
    time_signatures: NDArray[np.int64]  # (bars + 1,) token of each bar's time signature; the last one, 0, allows any
    upbeat: int  # steps, -1 for any
    last: int  # the last bar with a fixed part
    open: NDArray[np.bool_]  # (steps + 1,) whether any part is free at a step; the last one stands for all later
    sections: NDArray[np.int64]  # (bars + 1,) token of the section before each bar; 0 and the last one allow any

    def mask(self, state: Array, need: Array) -> Array:
        """Mask (B, G) the grid's G tokens that keep the fixed notes.

        `need` (B,) is the step of the next fixed note, NEVER for none. No position and no bar line goes beyond it.
        Positions before it are allowed only where a part is free.
        """
        xp, slot = get_namespace(state), state[:, Field.SLOT]
        leave = need >= state[:, Field.NEXT]
        steps, bars = (make_parameter(len(table) - 1, state) for table in (self.open, self.time_signatures))
        end = (need >= steps) | (slot == Slot.END)  # sounding notes end with the piece
        following = xp.minimum(xp.clip(state[:, Field.BAR] + 1, 0, None), bars)
        wanted = xp.take(convert_like(self.time_signatures, state), following)
        as_wanted = (wanted == 0) | (wanted == state[:, Field.TIME_SIGNATURE])
        rows, first = state.shape[0], self.grid.first
        metres = make_range(len(self.grid.signatures), state) + first["TimeSignature"]
        return xp.concat(
            [
                xp.zeros_like(end)[:, None],  # BOS
                end[:, None],
                leave[:, None] & ((wanted == 0)[:, None] | (metres == wanted[:, None])),
                xp.broadcast_to(xp.ones_like(end)[:, None], (rows, first["Upbeat"] - first["Key"])),
                xp.broadcast_to(self._mask_pickups(state), (rows, self.grid.longest_bar)),
                (leave & as_wanted)[:, None] & self._mask_countdown(state),
                self._mask_positions(state, need),
                *([self._mask_sections(state, leave & as_wanted)] if self.grid.sections else []),
            ],
            axis=1,
        )

    def _mask_sections(self, state: Array, may_begin: Array) -> Array:
        """Mask (B, sections) that of the score where it marks one, as long as that many bars may still begin."""
        xp, first = get_namespace(state), self.grid.first["Section"]
        following = xp.clip(state[:, Field.BAR] + 1, 0, len(self.sections) - 1)
        wanted = xp.take(convert_like(self.sections, state), following)
        is_free = (wanted == 0) | (wanted - first > count_whole_bars(state))
        tokens = make_range(len(bar_sections.TOKENS), state) + first
        return may_begin[:, None] & (is_free[:, None] | (tokens == wanted[:, None]))

    def _mask_pickups(self, state: Array) -> Array:
        steps = make_range(self.grid.longest_bar, state)
        upbeat = make_parameter(self.upbeat, state)
        return (steps == upbeat) | (upbeat < 0)

    def _mask_countdown(self, state: Array) -> Array:
        """Mask (B, COUNTDOWN + 1) the bar lines: the end is not announced before the last fixed bar."""
        left = make_range(COUNTDOWN + 1, state)
        return (left == 0) | (state[:, Field.BAR][:, None] + left >= make_parameter(self.last, state))

    def _mask_positions(self, state: Array, need: Array) -> Array:
        xp = get_namespace(state)
        steps = state[:, Field.ORIGIN][:, None] + make_range(self.grid.longest_bar, state)
        inside = xp.minimum(xp.clip(steps, 0, None), make_parameter(len(self.open) - 1, state))
        return (steps == need[:, None]) | ((steps < need[:, None]) & look_up(self.open, inside))


def fix_bars(grid: Grid, found: Measures, cover: NDArray[np.bool_]) -> FixedBars:
    """Return the bars of a score that contain fixed notes; `cover` (parts, steps + 1) is true where notes are fixed."""
    fixed = np.flatnonzero(cover.any(axis=0))
    bars = int(np.searchsorted(found.starts[:-1], fixed[-1], side="right")) if len(fixed) else 0
    return FixedBars(
        grid=grid,
        time_signatures=np.append(found.time_signatures[:bars], 0),
        upbeat=found.upbeat if bars else -1,
        last=bars - 1,
        open=np.any(~cover, axis=0, keepdims=True)[0],
        sections=np.append(_list_sections(grid, found), 0) if bars else np.zeros(1, dtype=np.int64),
    )


def _list_sections(grid: Grid, found: Measures) -> NDArray[np.int64]:
    """List the tokens (bars,) of the sections that a score marks, 0 for none before a bar."""
    if not len(found.sections):
        return np.zeros_like(found.time_signatures)
    return np.maximum(encode_sections(grid, found, len(found.time_signatures), ends=True), 0)


def clip_step(state: Array, length: int, further: int = 0) -> Array:
    """Return (B,) the current step, plus `further`, clipped to a table of `length` rows."""
    xp = get_namespace(state)
    return xp.minimum(xp.clip(find_last_step(state) + further, 0, None), make_parameter(length - 1, state))


# --- one part, whose tokens rise --------------------------------------------------------------------------------------


def choose_spans(score: Score, spans: Sequence[Span], wanted: Callable[[Track], bool]) -> list[Span]:
    """Choose the spans of all tracks, and of a single track that is `wanted`.

    Raises BadOption for a track that does not exist.
    """
    for span in spans:
        check_track(span, len(score.tracks))
    return [span for span in spans if span.track is None or wanted(score.tracks[span.track])]


@dataclass(frozen=True, eq=False)
class FixedTokens:
    """A function from states to masks, for a grammar whose notes rise at each position. See `fix_tokens`."""

    bars: FixedBars
    size: int  # V
    note: int  # the column of a state with the first token of the last note
    cover: NDArray[np.bool_]  # (steps + 1,) whether a step is fixed; the last one stands for all later
    order: NDArray[np.int64]  # (N + 1,) step * V + first token of each fixed note, rising; the last is never reached
    rest: NDArray[np.int64]  # (N + 1, K - 1) further tokens of each fixed note, -1 for none

    def __call__(self, state: Array) -> Array:
        """Return the mask (B, V)."""
        xp, here, first = get_namespace(state), find_last_step(state), len(self.bars.grid.tokens)
        # After a bar line, and before the first, everything at the last step is written.
        last = xp.where(state[:, Field.SLOT] >= Slot.OWN, state[:, self.note], self.size - 1)
        order = convert_like(self.order, state)
        place = xp.searchsorted(order, here * self.size + last, side="right")
        due = xp.take(order, place) // self.size
        own = make_range(self.size - first, state) + first
        fixed = (due == here)[:, None] & (own == (xp.take(order, place) % self.size)[:, None])
        rest = xp.take(convert_like(self.rest, state), xp.clip(place - 1, 0, None), axis=0)
        for number in range(self.rest.shape[1]):
            fixed = fixed | (own == rest[:, number, None])
        closed = xp.take(convert_like(self.cover, state), clip_step(state, len(self.cover)))
        return xp.concat([self.bars.mask(state, due), fixed | ~closed[:, None]], axis=1)


def fix_tokens(
    grid: Grid,
    size: int,
    found: Measures,
    steps: NDArray[np.int64],
    rows: NDArray[np.int64],
    spans: Sequence[Span],
    note: int = Field.TOKEN,
) -> FixedTokens:
    """Build a function from states to masks (B, V), which keeps the notes of a score in `spans`.

    It suits a grammar of one part, in which the first tokens of the notes at a position rise. `size` is that of the
    whole vocabulary: the grid's tokens, then the grammar's own. `rows` (N, K) are the tokens of notes at `steps` (N,),
    as for `assemble_tokens`, of a score with the bars `found`. `note` is a column of the state: it has the first token
    of the last note at this position, and before there is one, any token below these, as that of the position. The
    last token does where a note is one token, or its tokens rise. Raises ValueError for a size without these tokens.
    """
    least = max(len(grid.tokens), int(rows.max(initial=-1)) + 1)
    if size < least:
        raise ValueError(f"size is that of the whole vocabulary, with the grid's tokens: {least} at least, not {size}")
    last = int(found.starts[-1])
    cover = mark_fixed(grid, [(span, [0]) for span in spans], 1, last)
    fixed = cover[0, steps]
    order = np.append((steps * size + rows[:, 0])[fixed], NEVER * size)
    rest = np.concatenate([rows[fixed, 1:], np.full_like(rows[:1, 1:], -1)])
    return FixedTokens(fix_bars(grid, found, cover), size, note, cover[0], order, rest)
