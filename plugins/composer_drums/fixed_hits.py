"""Masks of `drums` that keep fixed hits, those whose onsets are in a span.

A rhythm may be fixed alone, so that drums follow it; or a pattern, what is struck and where on the grid, so that
loudness and timing are free. A span may begin or end within the cell of a position. Then hits
of other classes, and other offsets, are free there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from composer.arrays import convert_like, get_namespace, look_up, make_parameter, make_range
from composer.music.score import TICKS_PER_QUARTER, Score
from composer.tokens.bar_encoding import Measures
from composer.tokens.bar_grammar import Field, Grid, find_last_step
from composer.tokens.fixed_bars import NEVER, FixedBars, choose_spans, clip_step, fix_bars, mark_fixed
from composer.types import Array, Span
from composer_drums.events import STEPS, Events, Ints
from composer_drums.following import LIGHT
from composer_drums.grammar import OwnField
from composer_drums.hits import encode_hits, find_hits, find_tempo

if TYPE_CHECKING:
    from composer_drums.grammar import DrumGrammar

RHYTHM, PATTERN = 1, 2
"""The tracks of spans that fix no hit of the drums, which are track 0: their rhythm alone, or their pattern."""


@dataclass(frozen=True, eq=False)
class FixedHits:
    """A function from states to masks. See `fix_hits`."""

    grammar: DrumGrammar
    bars: FixedBars
    tempo: int  # token of the fixed tempo, 0 for any
    cover: NDArray[np.bool_]  # (N,) whether each fine step is fixed; the last one stands for all later
    order: Ints  # (N + 1,) step * V + first token of each fixed hit, rising; the last is never reached
    rest: Ints  # (N + 1, 2) velocity and offset of each, -1 for one that is free
    needed: Ints  # (steps + STEPS,) the pattern that the rhythm of a beat has, if it begins STEPS before each step
    free: Ints  # (steps + STEPS,) the pattern that it may have, likewise; the last one stands for all later
    followed: Ints  # (M + 1,) the steps of the rhythm that is fixed, rising; the last is never reached
    accents: NDArray[np.bool_]  # (steps + 1,) where the rhythm that is fixed has an accent

    def __call__(self, state: Array) -> Array:
        """Return the mask (B, V)."""
        xp, here, events = get_namespace(state), find_last_step(state), self.grammar.events
        size, last = len(events.tokens), state[:, OwnField.HIT]
        order = convert_like(self.order, state)
        place = xp.searchsorted(order, here * size + last, side="right")
        due = xp.take(order, place)
        due_step, due_token = due // size, (due % size)[:, None]
        followed = convert_like(self.followed, state)
        need = xp.minimum(due_step, xp.take(followed, xp.searchsorted(followed, here, side="right")))
        is_due = (due_step == here)[:, None]
        is_free = look_up(self.bars.open, clip_step(state, len(self.bars.open)))[:, None]
        drum = self._list_tokens("Drum", state)
        drums = (is_due & (drum == due_token)) | (is_free & (~is_due | (drum <= due_token)))
        drums = drums & ~(self._mask_light(drum) & self._needs_accent(state)[:, None])
        before = xp.clip(place - 1, 0, None)
        rest = xp.take(convert_like(self.rest, state), before, axis=0)
        is_last = (xp.take(order, before) == here * size + last) & (last > 0)
        is_fixed = is_last[:, None] & (rest >= 0)
        velocities = ~is_fixed[:, :1] | (self._list_tokens("Velocity", state) == rest[:, :1])
        timing = self._list_tokens("Timing", state) == rest[:, 1:]
        timings = xp.where(is_fixed[:, 1:], timing, self._mask_free_offsets(state))
        return xp.concat(
            [
                self.bars.mask(state, need),
                self._mask_tempos(state),
                self._mask_rhythms(state, need),
                drums,
                velocities,
                timings,
            ],
            axis=1,
        )

    def _mask_rhythms(self, state: Array, need: Array) -> Array:
        """Mask (B, patterns) those of the next beat that have all that is fixed, and nothing else where all is."""
        xp = get_namespace(state)
        begin = state[:, Field.ORIGIN] + (state[:, OwnField.BEAT] + 1) * STEPS
        place = xp.minimum(xp.clip(begin + STEPS, 0, None), make_parameter(len(self.free) - 1, state))
        struck = (look_up(self.needed, place) & self.grammar.find_places(state))[:, None]  # the rest is the next bar's
        free = look_up(self.free, place)[:, None]
        patterns = convert_like(self.grammar.events.patterns, state)
        return (need >= begin)[:, None] & ((patterns & struck) == struck) & ((patterns & ~free) == 0)

    def _mask_light(self, drum: Array) -> Array:
        """Mask (1, drums) those that make no accent."""
        number = drum - self.grammar.events.first["Drum"]
        is_light = number < 0
        for light in LIGHT:
            is_light = is_light | (number == light)
        return is_light

    def _needs_accent(self, state: Array) -> Array:
        """Tell (B,) which rows are at an accent that nothing makes yet."""
        is_accent = look_up(self.accents, clip_step(state, len(self.accents)))
        return is_accent & (state[:, OwnField.HIT] == 0) & (find_last_step(state) >= 0)

    def _list_tokens(self, kind: str, state: Array) -> Array:
        """List (1, count) the tokens of a type."""
        events = self.grammar.events
        return make_range(events.count[kind], state) + events.first[kind]

    def _mask_free_offsets(self, state: Array) -> Array:
        """Mask (B, offsets) those at which nothing is fixed."""
        xp = get_namespace(state)
        onsets = find_last_step(state)[:, None] * self.grammar.events.fine + self.grammar.list_offsets(state)
        last = make_parameter(len(self.cover) - 1, state)
        return ~look_up(self.cover, xp.minimum(xp.clip(onsets, 0, None), last))

    def _mask_tempos(self, state: Array) -> Array:
        """Mask (B, tempos) the fixed one, unless another is requested."""
        wanted, is_asked = make_parameter(self.tempo, state), state[:, OwnField.REQUESTED_TEMPO] > 0
        return is_asked[:, None] | (wanted == 0) | (self._list_tokens("Tempo", state) == wanted)


def fix_hits(grammar: DrumGrammar, score: Score, spans: Sequence[Span]) -> FixedHits:
    """Build a function from states to masks (B, V), which keeps the hits of a score in `spans`.

    A span of the track RHYTHM keeps the rhythm of the hits alone: something is struck where they are, and maybe more.
    Where there is more than light ones (`LIGHT`), so it is in the new hits. One of PATTERN keeps what is struck and
    where on the grid; loudness and offsets are free. The tempo is fixed where the beginning is. Raises BadOption for a
    track that does not exist, CannotExpress for a score without drums.
    """
    events, size = grammar.events, len(grammar.events.tokens)
    found, hits = find_hits(events, score)
    rhythms, patterns = ([span for span in spans if span.track == kind] for kind in (RHYTHM, PATTERN))
    hit_spans = [span for span in spans if span not in (*rhythms, *patterns)]
    chosen = choose_spans(score, hit_spans, lambda track: track.is_drum)
    rows = encode_hits(events, hits)
    fine_grid = Grid(TICKS_PER_QUARTER // events.fine_ticks, events.grid.time_signatures)
    cover, followed, placed = (
        mark_fixed(fine_grid, [(span, [0]) for span in some], 1, int(found.starts[-1]) * events.fine)[0]
        for some in (chosen, rhythms, patterns)
    )
    onsets = hits.steps * events.fine + hits.offsets
    fixed = cover[onsets] | placed[onsets]
    rows[~cover[onsets], 1:] = -1
    touched, closed = _mark_cells(events, found, cover | placed)
    bars = fix_bars(events.grid, found, (touched | _mark_cells(events, found, followed)[0])[None])
    accents = np.zeros(len(closed), dtype=bool)
    accents[hits.steps[followed[onsets] & ~np.isin(hits.classes, LIGHT) & ~closed[hits.steps]]] = True
    struck, free = _list_patterns(events, hits.steps[fixed | followed[onsets]], closed)
    return FixedHits(
        grammar,
        replace(bars, open=~closed),
        find_tempo(events, score) if events.tempo_count and (cover | followed | placed)[0] else 0,
        cover,
        np.append((hits.steps * size + rows[:, 0])[fixed], NEVER * size),
        np.concatenate([rows[fixed, 1:], np.full_like(rows[:1, 1:], -1)]),
        struck,
        free,
        np.append(np.unique(hits.steps[followed[onsets]]), NEVER),
        accents,
    )


def _list_patterns(events: Events, struck: Ints, closed: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """List (steps + STEPS,) the patterns struck, and those free, of beats that begin STEPS before each of the steps.

    `struck` are steps of fixed hits, and `closed` (steps + 1,) tells where nothing else may be, at last for all later.
    """
    tables = np.zeros((2, len(closed) + STEPS), dtype=np.int64)
    tables[0, struck + STEPS] = 1
    tables[1, STEPS:] = ~closed
    tables[1] |= tables[0]
    padded = np.concatenate([tables, np.repeat(tables[:, -1:], STEPS - 1, axis=1)], axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, STEPS, axis=1)
    found = events.gather_bits(windows)
    return found[0], found[1]


def _mark_cells(events: Events, found: Measures, cover: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], ...]:
    """Mark the steps, and a last one for all later (steps + 1,), of whose cells any fine step is fixed, and all are."""
    steps = np.arange(int(found.starts[-1]) + 1)
    bar = np.minimum(np.searchsorted(found.starts, steps, side="right") - 1, len(found.time_signatures) - 1)
    row, position = found.time_signatures[bar] - events.grid.first["TimeSignature"], steps - found.origins[bar]
    position = np.where(steps == steps[-1], 0, position)
    low, high = (events.reach[side, row, position] for side in (0, 1))
    total = np.append(0, np.cumsum(cover))
    begin = np.clip(steps * events.fine + low, 0, len(cover) - 1)
    end = np.clip(steps * events.fine + high + 1, begin + 1, len(cover))
    count = total[end] - total[begin]
    return count > 0, count == end - begin
