"""The tokens of MidiTok that may come next: its graph of types, and rules that make sequences pieces.

MidiTok's graph says which type may follow which. Our rules: the number of bars is as requested, time moves forward, a
released note was begun, drum sounds belong to drums, and no note is sustained at the end. In a fixed part, a note is
sustained only while a note of that pitch sounds in the score.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from composer.arrays import convert_like, get_namespace, make_range
from composer.tokens.fixed_bars import NEVER
from composer.tokens.vocabulary import EOS
from composer.types import Array
from composer_miditok.plan import PARTS, Ints, Plan
from composer_miditok.sounds import DRUMS, SOUNDS
from composer_miditok.state import (
    CODES,
    OPEN,
    Field,
    count_sounding,
    encode_note,
    find_held,
    find_matches,
    get_notes,
    get_signature,
    has_held,
    take_rows,
)
from composer_miditok.tables import DRUM, NO_PROGRAM, Tables

# --- allowed tokens ---------------------------------------------------------------------------------------------------


def mask_tokens(tables: Tables, state: Array) -> Array:
    """Mask (B, V) the tokens that may come next."""
    xp = get_namespace(state)
    may = xp.take(take_rows(tables.follows, state[:, Field.TYPE]), convert_like(tables.first_type, state), axis=1)
    may = may & _mask_notes(tables, state) & _mask_moves(tables, state) & _mask_signatures(tables, state)
    begun = state[:, Field.TICK] > state[:, Field.ORIGIN] if tables.scheme.has_note_offs else state[:, Field.BAR] >= 0
    ends = (state[:, Field.EXACT] == 0) | ((state[:, Field.BAR] == state[:, Field.LAST]) & begun)
    ended = state[:, Field.TOKEN] == EOS
    is_end = make_range(len(tables.tokens), state) == EOS
    return may & (~is_end | ((ends & ~has_held(state)) | ended)[:, None])


def find_programs(tables: Tables, state: Array) -> Array:
    """Return (B, V) the program of each token: its own, or the current one."""
    named = convert_like(tables.program, state)[None, :]
    return get_namespace(state).where(named > NO_PROGRAM, named, state[:, Field.PROGRAM][:, None])


def find_targets(tables: Tables, state: Array) -> tuple[Array, Array]:
    """Return (B, V) whether a token moves in time, and (B or 1, V) the tick it moves to."""
    xp, bar = get_namespace(state), convert_like(tables.bar, state)[None, :]
    if tables.by_position:
        position, origin = take_rows(tables.position, get_signature(state)), state[:, Field.ORIGIN][:, None]
        following = origin + state[:, Field.LENGTH][:, None]
        return bar | (position >= 0), xp.where(bar, following, origin + position)
    shift = take_rows(tables.shift, get_signature(state))
    return shift >= 0, state[:, Field.TICK][:, None] + shift


def find_last_end(state: Array) -> Array:
    """Return (B,) the end of the last bar, if the time signature does not change."""
    return state[:, Field.ORIGIN] + (state[:, Field.LAST] - state[:, Field.BAR] + 1) * state[:, Field.LENGTH]


def _can_begin(tables: Tables, state: Array) -> Array:
    """Tell (B,) whether a note may begin here."""
    tick, xp = state[:, Field.TICK], get_namespace(state)
    may = (tick >= state[:, Field.FLOOR]) & (tick < find_last_end(state)) & (state[:, Field.BAR] >= 0)
    if tables.by_position:
        may = may & (state[:, Field.POSITION] >= 0)
    if tables.scheme.has_note_offs:
        return may & (count_sounding(state) < SOUNDS)
    return may & ~xp.all(state[:, Field.STARTS : Field.ENDS] == tick[:, None], axis=1)  # else notes could come for ever


def _mask_notes(tables: Tables, state: Array) -> Array:
    """Mask (B, V) the programs and notes that may come; other tokens stay allowed."""
    begins = _can_begin(tables, state)
    named = convert_like(tables.program, state)[None, :] > NO_PROGRAM
    onset = convert_like(tables.onset, state)[None, :]
    of_drums = (find_programs(tables, state) == DRUMS) == (onset >= DRUM)
    may = (onset < 0) | (begins[:, None] & of_drums)
    return may & (_mask_releases(tables, state, begins) if tables.scheme.has_note_offs else ~named | begins[:, None])


def _mask_releases(tables: Tables, state: Array, begins: Array) -> Array:
    """Mask (B, V) the releases of sustained notes, and programs of sustained or new notes."""
    xp = get_namespace(state)
    found = xp.where(find_held(state), state[:, Field.NOTES : Field.STARTS], -1)
    offs, bare = tables.release_tokens, tables.program_tokens
    program = convert_like(tables.program[offs], state)[None, :]
    in_force = xp.where(program > NO_PROGRAM, program, state[:, Field.PROGRAM][:, None])
    ends = find_matches(encode_note(in_force, convert_like(tables.release[offs], state)[None, :]), found)
    of_held = xp.where(found >= 0, found // CODES - 1, NO_PROGRAM - 1)
    named = begins[:, None] | find_matches(convert_like(tables.program[bare], state)[None, :], of_held)
    rest = xp.ones_like(begins)[:, None]
    order = np.full(len(tables.tokens), len(offs) + len(bare))
    order[offs], order[bare] = np.arange(len(offs)), len(offs) + np.arange(len(bare))
    return xp.take(xp.concat([ends, named, rest], axis=1), convert_like(order, state), axis=1)


def _mask_moves(tables: Tables, state: Array) -> Array:
    """Mask (B, V) the moves and durations that stay within the piece; other tokens stay allowed."""
    xp = get_namespace(state)
    tick, end = state[:, Field.TICK][:, None], find_last_end(state)[:, None]
    if tables.by_position:
        may = _mask_positions(tables, state)
    else:
        moves, until = find_targets(tables, state)
        within = (until < end) | ((until == end) & has_held(state)[:, None])
        if tables.must_land:
            within = within & (until >= state[:, Field.FLOOR][:, None])
        may = ~moves | within
    if tables.scheme.has_note_offs:
        return may
    length = take_rows(tables.length, get_signature(state))
    least = length == xp.take(convert_like(tables.scheme.step, state), get_signature(state))[:, None]
    free = (state[:, Field.EXACT] == 0)[:, None]
    return may & ((length < 0) | free | least | (tick + length <= end))


def _mask_positions(tables: Tables, state: Array) -> Array:
    """Mask (B, V) the bars and positions that may come; other tokens stay allowed."""
    position = take_rows(tables.position, get_signature(state))
    onward = (position > state[:, Field.POSITION][:, None]) & (position < state[:, Field.LENGTH][:, None])
    late = position >= (state[:, Field.FLOOR] - state[:, Field.ORIGIN])[:, None]
    bar = convert_like(tables.bar, state)[None, :]
    return ((position < 0) | (onward & late)) & (~bar | (state[:, Field.BAR] < state[:, Field.LAST])[:, None])


def _mask_signatures(tables: Tables, state: Array) -> Array:
    """Mask (B, V) the time signatures that may come; other tokens stay allowed."""
    stated, now = convert_like(tables.time_signature, state)[None, :], state[:, Field.TIME_SIGNATURE][:, None]
    requested, origin = state[:, Field.REQUESTED][:, None], state[:, Field.ORIGIN][:, None]
    matches = (requested < 0) | (stated == requested)
    before = (origin < state[:, Field.FLOOR][:, None]) & (now >= 0)
    if tables.by_position:
        may = (before & (stated == now)) | (~before & matches)
    else:
        at_line = (state[:, Field.TICK][:, None] == origin) & ~before & (stated != now)
        may = matches & ((now < 0) | (at_line & (requested < 0)))
    return (stated < 0) | may


# --- sustained notes near fixed ones ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Sustains:
    """The times of a plan at which notes must be released."""

    plan: Plan

    @cached_property
    def codes(self) -> Ints:
        """(K,) the codes of the score's notes, each once."""
        return np.unique(self.plan.codes)

    @cached_property
    def ends(self) -> Ints:
        """(ticks, K + parts) the next tick at which a note must be released; one column a part for unknown notes."""
        cover, sounds = self.plan.cover, self.plan.music.sounds
        parts = np.concatenate([(self.codes // CODES - 1) % PARTS, np.arange(cover.shape[1])])
        must = cover[:, parts] & self.plan.grid[:, None]
        rows = np.searchsorted(self.codes, self.plan.codes)
        for row, start, end in zip(rows, sounds.starts, sounds.ends, strict=True):
            must[start + 1 : end, row] = False
        ticks = np.where(must, np.arange(len(must))[:, None], NEVER)
        return np.ascontiguousarray(np.minimum.accumulate(ticks[::-1], axis=0)[::-1])

    def find_next_end(self, state: Array, later: int) -> Array:
        """Return (B, SOUNDS) the next tick, from `later` ticks on, at which each note must be released."""
        xp, (codes, _, _) = get_namespace(state), get_notes(state)
        flat = xp.reshape(codes, (-1,))
        index = xp.clip(xp.searchsorted(convert_like(self.codes, state), flat), 0, len(self.codes) - 1)
        part = (flat // CODES - 1) % PARTS if self.plan.cover.shape[1] > 1 else xp.zeros_like(flat)
        row = xp.where(take_rows(self.codes, index) == flat, index, len(self.codes) + part)
        table = take_rows(self.ends, xp.clip(state[:, Field.TICK] + later, 0, len(self.ends) - 1))
        return xp.take_along_axis(table, xp.reshape(row, codes.shape), axis=1)

    def must_release(self, state: Array) -> Array:
        """Mark (B, SOUNDS) the notes that must be released here."""
        return find_held(state) & (self.find_next_end(state, 0) <= state[:, Field.TICK][:, None])

    def find_bound(self, state: Array) -> Array:
        """Return (B,) the last tick to which all sustained notes may continue."""
        xp, (_, _, ends) = get_namespace(state), get_notes(state)
        return xp.min(xp.where(ends == OPEN, self.find_next_end(state, 1), NEVER), axis=1)
