"""Infilling: masks that keep the fixed notes of a score.

A merged token may come where each of its parts might. Simultaneous onsets are in MidiTok's order. So the last onset
tells which fixed note is next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from composer.arrays import convert_like, get_namespace, make_range
from composer.music.score import Score
from composer.tokens.fixed_bars import NEVER
from composer.tokens.vocabulary import EOS
from composer.types import Array, Span
from composer_miditok.mask import Sustains, find_last_end, find_programs, find_targets
from composer_miditok.plan import PARTS, Ints, Plan
from composer_miditok.sounds import SOUNDS
from composer_miditok.state import (
    CODES,
    OPEN,
    Field,
    count_sounding,
    encode_note,
    find_matches,
    get_notes,
    get_signature,
    take_rows,
)
from composer_miditok.tables import NO_PROGRAM, ONSETS, Tables


class FixedNotes:
    """A function from states to masks. In a fixed part, notes begin as in the score, and no others do.

    The track of a span stands for its program. Bars are the score's, up to the last fixed one.
    """

    def __init__(self, tables: Tables, score: Score, spans: Sequence[Span]) -> None:
        self.tables, self.plan = tables, Plan.build(tables, score, spans)
        fixed, sounds = self.plan.fixed, self.plan.music.sounds
        starts = sounds.starts[fixed]
        # The fixed notes in the order of their tokens, and a last one that never comes.
        self.starts, self.parts = np.append(starts, NEVER), np.append(self.plan.parts[fixed], -1)
        self.codes = np.append(self.plan.codes[fixed], -1)
        self.lengths, self.velocities = (np.append(a[fixed], -1) for a in (self.plan.lengths, sounds.velocities))
        self.order = _compute_order(self.starts, self.parts, self.codes % CODES)
        unfinished = (*ONSETS, "Velocity") if not tables.scheme.has_note_offs else ()
        self.unfinished = np.array([kind in unfinished for kind in tables.types])
        self.holding = Sustains(self.plan) if tables.scheme.has_note_offs else None

    def __call__(self, state: Array) -> Array:
        """Mask (B, V) the tokens that keep the fixed notes."""
        here = View(self, state)
        ended = (state[:, Field.TOKEN] == EOS)[:, None]
        is_end = make_range(len(self.tables.tokens), state) == EOS
        over = (here.next_note >= len(self.starts) - 1)[:, None]
        return ended | (here.sounds & here.moves & here.time_signatures & (~is_end | over))


def _compute_order(ticks: Array, parts: Array, sounds: Array) -> Array:
    """Return integers that rise in the order of tokens; -1 as part and sound comes before all others."""
    return (ticks * (PARTS + 1) + parts + 1) * (CODES + 1) + sounds + 1


@dataclass(frozen=True, eq=False)
class View:
    """The fixed notes, seen from a batch of states."""

    fixed: FixedNotes
    state: Array

    @cached_property
    def tick(self) -> Array:
        """(B,) the current tick."""
        return self.state[:, Field.TICK] + 0  # a copy: torch's searchsorted needs a contiguous array

    def look_up(self, table: np.ndarray, indices: Array | None = None) -> Array:
        """Look up a table over time, or over fixed notes; its last entry stands for all beyond."""
        indices = self.tick if indices is None else indices
        return take_rows(table, get_namespace(indices).clip(indices, 0, len(table) - 1))

    # --- the next fixed note ------------------------------------------------------------------------------------------

    @cached_property
    def last_part(self) -> Array:
        """(B,) the part of the last onset at this tick, -1 for none."""
        xp, pending = get_namespace(self.state), self.state[:, Field.PENDING]
        codes, starts, _ = get_notes(self.state)
        onset = xp.any((codes == pending[:, None]) & (starts == self.tick[:, None]), axis=1)
        onset = (onset | take_rows(self.fixed.unfinished, self.state[:, Field.TYPE])) & (pending >= 0)
        return xp.where(onset, (pending // CODES - 1) % PARTS, -1)

    @cached_property
    def next_note(self) -> Array:
        """(B,) the index of the next fixed note."""
        xp, last = get_namespace(self.state), self.last_part
        sound = xp.where(last >= 0, self.state[:, Field.PENDING] % CODES, -1)
        return xp.searchsorted(
            convert_like(self.fixed.order, self.state), _compute_order(self.tick, last, sound), side="right"
        )

    @cached_property
    def is_due(self) -> Array:
        """(B,) whether the next fixed note begins here."""
        return self.look_up(self.fixed.starts, self.next_note) == self.tick

    # --- notes --------------------------------------------------------------------------------------------------------

    @cached_property
    def sounds(self) -> Array:
        """(B, V) the programs, notes, velocities and durations that may come; other tokens stay allowed."""
        tables, state = self.fixed.tables, self.state
        onset, release = (convert_like(table, state)[None, :] for table in (tables.onset, tables.release))
        bare = (convert_like(tables.program, state)[None, :] > NO_PROGRAM) & (onset < 0) & (release < 0)
        strikes, ends = self._can_begin, self._can_release
        return (
            ((onset < 0) | (strikes & self._is_next_fixed))
            & (~bare | strikes | ends)
            & ((release < 0) | ends)
            & self._states_fixed
        )

    @cached_property
    def _program(self) -> Array:
        """(B, V) the program of each token."""
        return find_programs(self.fixed.tables, self.state)

    @cached_property
    def _fixed(self) -> Array:
        """(B, V) whether the part of each token is fixed here."""
        return self._is_fixed(self._program)

    def _is_fixed(self, program: Array) -> Array:
        cover = self.look_up(self.fixed.plan.cover)
        part = program % PARTS if cover.shape[1] > 1 else get_namespace(program).zeros_like(program)
        return get_namespace(program).take_along_axis(cover, part, axis=1)

    @cached_property
    def _is_next_fixed(self) -> Array:
        """(B, V) whether an onset is the next fixed note, where its part is fixed."""
        sound = convert_like(self.fixed.tables.onset, self.state)[None, :]
        wanted = self.look_up(self.fixed.codes, self.next_note)[:, None]
        return ~self._fixed | (encode_note(self._program, sound) == wanted)

    @cached_property
    def _can_begin(self) -> Array:
        """(B, V) whether a note of the part may begin: the next fixed note, or a free one in order."""
        part, due = self._program % PARTS, self.is_due[:, None]
        next_part = self.look_up(self.fixed.parts, self.next_note)[:, None]
        first = get_namespace(part).where(self.look_up(self.fixed.plan.has_onset), self.last_part, -1)[:, None]
        free = (part >= first) & (~due | (part <= next_part)) & self._has_room[:, None]
        may = get_namespace(part).where(self._fixed, due & (part == next_part), free)
        return may if self.fixed.holding is None else may & (part < self._first_to_release[:, None])

    @cached_property
    def _has_room(self) -> Array:
        """(B,) whether one more note may sound beside the fixed ones to come."""
        if self.fixed.holding is None:
            return get_namespace(self.state).ones_like(self.is_due)
        return count_sounding(self.state) + self.look_up(self.fixed.plan.reserve, self.next_note) < SOUNDS

    @cached_property
    def _leaves_room(self) -> Array:
        """(B,) whether the sustained notes leave room for the next fixed notes, if none is released before these."""
        xp, state = get_namespace(self.state), self.state
        starts = convert_like(self.fixed.starts, state)
        begin = xp.searchsorted(starts, self.look_up(self.fixed.starts, self.next_note) + 0, side="right")
        held = xp.sum(xp.where(get_notes(state)[2] == OPEN, 1, 0), axis=1)
        return held + begin - self.next_note <= SOUNDS

    @cached_property
    def _states_fixed(self) -> Array:
        """(B, V) velocities and durations; a fixed note has its own."""
        xp, tables = get_namespace(self.state), self.fixed.tables
        onset = convert_like(tables.onset, self.state)[None, :] >= 0
        index = self.next_note[:, None] - xp.where(onset, 0, 1)
        velocity = convert_like(tables.velocity, self.state)[None, :]
        may = (velocity < 0) | (velocity == self._look_up_notes(self.fixed.velocities, index))
        if self.fixed.holding is None:
            length = take_rows(tables.length, get_signature(self.state))
            wanted = xp.minimum(self._look_up_notes(self.fixed.lengths, index), self._longest[:, None])
            may = may & ((length < 0) | (length == wanted))
        return ~self._fixed | may

    @cached_property
    def _longest(self) -> Array:
        """(B,) the longest note that ends with the piece."""
        xp, state = get_namespace(self.state), self.state
        step = take_rows(self.fixed.tables.scheme.step, get_signature(state))
        return xp.where(state[:, Field.EXACT] == 1, xp.maximum(find_last_end(state) - self.tick, step), NEVER)

    def _look_up_notes(self, table: Ints, indices: Array) -> Array:
        """Look up (B, V) a table over fixed notes."""
        xp = get_namespace(indices)
        return xp.reshape(self.look_up(table, xp.reshape(indices, (-1,))), indices.shape)

    # --- sustained notes ----------------------------------------------------------------------------------------------

    @cached_property
    def _to_release(self) -> Array:
        """(B, SOUNDS) the notes that must be released here."""
        assert self.fixed.holding is not None  # noqa: S101  (only schemes with note-offs get here)
        return self.fixed.holding.must_release(self.state)

    @cached_property
    def _first_to_release(self) -> Array:
        """(B,) the first part with a note to release; no note of it or of later parts may begin before."""
        xp, codes = get_namespace(self.state), get_notes(self.state)[0]
        return xp.min(xp.where(self._to_release, (codes // CODES - 1) % PARTS, PARTS), axis=1)

    @cached_property
    def _can_release(self) -> Array:
        """(B, V) whether a note, or a note of the program, may be released."""
        xp, state = get_namespace(self.state), self.state
        if self.fixed.holding is None:
            return xp.zeros_like(self._fixed)
        codes, starts, ends = get_notes(state)
        may = (ends == OPEN) & (starts < self.tick[:, None]) & (self._to_release | ~self._is_fixed(codes // CODES - 1))
        release = convert_like(self.fixed.tables.release, state)[None, :]
        some = find_matches(self._program, xp.where(may, codes // CODES - 1, NO_PROGRAM - 1))
        return xp.where(release >= 0, find_matches(encode_note(self._program, release), xp.where(may, codes, -1)), some)

    # --- time ---------------------------------------------------------------------------------------------------------

    @cached_property
    def moves(self) -> Array:
        """(B, V) the moves after which all fixed notes can still come; other tokens stay allowed."""
        xp, tables, plan = get_namespace(self.state), self.fixed.tables, self.fixed.plan
        is_move, until = find_targets(tables, self.state)
        need = self.look_up(self.fixed.starts, self.next_note)
        longer = bool(plan.last_free_part[-1] >= 0) & (self.state[:, Field.LAST] >= len(plan.music.time_signatures))
        ahead = (until <= plan.last_free) | ((need < NEVER) | longer)[:, None]
        bound = need
        if not tables.by_position:
            stop = xp.searchsorted(convert_like(plan.stops, self.state), self.tick, side="right")
            bound = xp.minimum(bound, self.look_up(plan.stops, stop))
        if self.fixed.holding is not None:
            bound = xp.minimum(bound, self.fixed.holding.find_bound(self.state))
            bound = xp.where(self._leaves_room, bound, xp.minimum(bound, need - 1))
            bound = xp.where(xp.any(self._to_release, axis=1), -1, bound)
            ahead = ahead | xp.any(get_notes(self.state)[2] == OPEN, axis=1)[:, None]
        may = (until <= bound[:, None]) & ahead
        if tables.by_position or tables.must_land:
            may = may & (self._can_land(until) | convert_like(tables.bar, self.state)[None, :])
        return ~is_move | may

    def _can_land(self, until: Array) -> Array:
        """Tell (B, V) whether a note can begin at the target of each move."""
        xp, plan = get_namespace(until), self.fixed.plan
        flat = xp.reshape(until, (-1,))
        good = xp.reshape(self.look_up(plan.can_begin, flat), until.shape)
        if self.fixed.tables.by_position:
            return good
        first = xp.where(self.look_up(plan.has_onset), self.last_part, 0)
        stays = self.is_due | (self.look_up(plan.last_free_part) >= first)
        return xp.where(until == self.tick[:, None], stays[:, None] & good, good)

    @cached_property
    def time_signatures(self) -> Array:
        """(B, V) the time signatures of the score; where one must be stated, all else is masked."""
        tables, state = self.fixed.tables, self.state
        stated, now = convert_like(tables.time_signature, state)[None, :], state[:, Field.TIME_SIGNATURE]
        wanted = self.look_up(self.fixed.plan.time_signatures, state[:, Field.BAR])
        may = (stated < 0) | (wanted < 0)[:, None] | (stated == wanted[:, None])
        if tables.by_position:
            return may
        first = (now >= 0) & (wanted >= 0) & (now != wanted)
        return may & ((stated >= 0) | ~first[:, None])
