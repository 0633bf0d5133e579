"""Infilling: masks that keep the fixed notes of a score.

A merged token may come where each of its parts might. Simultaneous onsets are in MidiTok's order. So the last onset
tells which fixed note is next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from composer.arrays import like, namespace, numbers
from composer.music.score import Score
from composer.tokens.fixed_bars import NEVER
from composer.tokens.vocabulary import EOS
from composer.types import Array, Span
from composer_miditok.holding import Holding
from composer_miditok.mask import last_end, programs, targets
from composer_miditok.plan import PARTS, Ints, Plan
from composer_miditok.sounds import SOUNDS
from composer_miditok.state import CODES, OPEN, Field, among, code, metre, notes, of
from composer_miditok.tables import NO_PROGRAM, STRUCK, Tables


class Given:
    """A function from states to masks. In a fixed part, notes begin as in the score, and no others do.

    The track of a span stands for its program. Bars are the score's, up to the last fixed one.
    """

    def __init__(self, tables: Tables, score: Score, spans: Sequence[Span]) -> None:
        self.tables, self.plan = tables, Plan.of(tables, score, spans)
        fixed, sounds = self.plan.given, self.plan.music.sounds
        starts = sounds.starts[fixed]
        # The fixed notes in the order of their tokens, and a last one that never comes.
        self.starts, self.parts = np.append(starts, NEVER), np.append(self.plan.parts[fixed], -1)
        self.codes = np.append(self.plan.codes[fixed], -1)
        self.lengths, self.velocities = (np.append(a[fixed], -1) for a in (self.plan.lengths, sounds.velocities))
        self.order = _order(self.starts, self.parts, self.codes % CODES)
        unfinished = (*STRUCK, "Velocity") if not tables.scheme.held else ()
        self.unfinished = np.array([kind in unfinished for kind in tables.types])
        self.holding = Holding(self.plan) if tables.scheme.held else None

    def __call__(self, state: Array) -> Array:
        """Mask (B, V) the tokens that keep the fixed notes."""
        here = Here(self, state)
        ended = (state[:, Field.TOKEN] == EOS)[:, None]
        is_end = numbers(len(self.tables.tokens), state) == EOS
        over = (here.following >= len(self.starts) - 1)[:, None]
        return ended | (here.sounds & here.moves & here.metres & (~is_end | over))


def _order(ticks: Array, parts: Array, sounds: Array) -> Array:
    """Return integers that rise in the order of tokens; -1 as part and sound comes before all others."""
    return (ticks * (PARTS + 1) + parts + 1) * (CODES + 1) + sounds + 1


@dataclass(frozen=True, eq=False)
class Here:
    """The fixed notes, seen from a batch of states."""

    given: Given
    state: Array

    @cached_property
    def tick(self) -> Array:
        """(B,) the current tick."""
        return self.state[:, Field.TICK] + 0  # a copy: torch's searchsorted needs a contiguous array

    def table(self, table: np.ndarray, indices: Array | None = None) -> Array:
        """Look up a table over time, or over fixed notes; its last entry stands for all beyond."""
        indices = self.tick if indices is None else indices
        return of(table, namespace(indices).clip(indices, 0, len(table) - 1))

    # --- the next fixed note ------------------------------------------------------------------------------------------

    @cached_property
    def last_part(self) -> Array:
        """(B,) the part of the last onset at this tick, -1 for none."""
        xp, pending = namespace(self.state), self.state[:, Field.PENDING]
        codes, starts, _ = notes(self.state)
        onset = xp.any((codes == pending[:, None]) & (starts == self.tick[:, None]), axis=1)
        onset = (onset | of(self.given.unfinished, self.state[:, Field.TYPE])) & (pending >= 0)
        return xp.where(onset, (pending // CODES - 1) % PARTS, -1)

    @cached_property
    def following(self) -> Array:
        """(B,) the index of the next fixed note."""
        xp, last = namespace(self.state), self.last_part
        sound = xp.where(last >= 0, self.state[:, Field.PENDING] % CODES, -1)
        return xp.searchsorted(like(self.given.order, self.state), _order(self.tick, last, sound), side="right")

    @cached_property
    def due(self) -> Array:
        """(B,) whether the next fixed note begins here."""
        return self.table(self.given.starts, self.following) == self.tick

    # --- notes --------------------------------------------------------------------------------------------------------

    @cached_property
    def sounds(self) -> Array:
        """(B, V) the programs, notes, velocities and durations that may come; other tokens stay allowed."""
        tables, state = self.given.tables, self.state
        onset, release = (like(table, state)[None, :] for table in (tables.struck, tables.let_go))
        bare = (like(tables.program, state)[None, :] > NO_PROGRAM) & (onset < 0) & (release < 0)
        strikes, ends = self._strikes, self._ends
        return (
            ((onset < 0) | (strikes & self._as_given)) & (~bare | strikes | ends) & ((release < 0) | ends) & self._told
        )

    @cached_property
    def _program(self) -> Array:
        """(B, V) the program of each token."""
        return programs(self.given.tables, self.state)

    @cached_property
    def _closed(self) -> Array:
        """(B, V) whether the part of each token is fixed here."""
        return self._closed_to(self._program)

    def _closed_to(self, program: Array) -> Array:
        cover = self.table(self.given.plan.cover)
        part = program % PARTS if cover.shape[1] > 1 else namespace(program).zeros_like(program)
        return namespace(program).take_along_axis(cover, part, axis=1)

    @cached_property
    def _as_given(self) -> Array:
        """(B, V) whether an onset is the next fixed note, where its part is fixed."""
        sound = like(self.given.tables.struck, self.state)[None, :]
        wanted = self.table(self.given.codes, self.following)[:, None]
        return ~self._closed | (code(self._program, sound) == wanted)

    @cached_property
    def _strikes(self) -> Array:
        """(B, V) whether a note of the part may begin: the next fixed note, or a free one in order."""
        part, due = self._program % PARTS, self.due[:, None]
        next_part = self.table(self.given.parts, self.following)[:, None]
        first = namespace(part).where(self.table(self.given.plan.crowded), self.last_part, -1)[:, None]
        free = (part >= first) & (~due | (part <= next_part)) & self._room[:, None]
        may = namespace(part).where(self._closed, due & (part == next_part), free)
        return may if self.given.holding is None else may & (part < self._first_to_end[:, None])

    @cached_property
    def _room(self) -> Array:
        """(B,) whether one more note may be sustained beside the fixed ones that begin here."""
        xp = namespace(self.state)
        if self.given.holding is None:
            return xp.ones_like(self.due)
        here = xp.searchsorted(like(self.given.starts, self.state), self.tick, side="right")
        sounding = xp.sum(xp.astype(notes(self.state)[2] == OPEN, xp.int64), axis=1)
        return sounding + here - self.following < SOUNDS

    @cached_property
    def _told(self) -> Array:
        """(B, V) velocities and durations; a fixed note has its own."""
        xp, tables = namespace(self.state), self.given.tables
        onset = like(tables.struck, self.state)[None, :] >= 0
        index = self.following[:, None] - xp.where(onset, 0, 1)
        velocity = like(tables.velocity, self.state)[None, :]
        may = (velocity < 0) | (velocity == self._note(self.given.velocities, index))
        if self.given.holding is None:
            length = of(tables.length, metre(self.state))
            wanted = xp.minimum(self._note(self.given.lengths, index), self._longest[:, None])
            may = may & ((length < 0) | (length == wanted))
        return ~self._closed | may

    @cached_property
    def _longest(self) -> Array:
        """(B,) the longest note that ends with the piece."""
        xp, state = namespace(self.state), self.state
        step = of(self.given.tables.scheme.step, metre(state))
        return xp.where(state[:, Field.EXACT] == 1, xp.maximum(last_end(state) - self.tick, step), NEVER)

    def _note(self, table: Ints, indices: Array) -> Array:
        """Look up (B, V) a table over fixed notes."""
        xp = namespace(indices)
        return xp.reshape(self.table(table, xp.reshape(indices, (-1,))), indices.shape)

    # --- sustained notes ----------------------------------------------------------------------------------------------

    @cached_property
    def _to_end(self) -> Array:
        """(B, SOUNDS) the notes that must be released here."""
        assert self.given.holding is not None  # noqa: S101  (only schemes with note-offs get here)
        return self.given.holding.due(self.state)

    @cached_property
    def _first_to_end(self) -> Array:
        """(B,) the first part with a note to release; no note of it or of later parts may begin before."""
        xp, codes = namespace(self.state), notes(self.state)[0]
        return xp.min(xp.where(self._to_end, (codes // CODES - 1) % PARTS, PARTS), axis=1)

    @cached_property
    def _ends(self) -> Array:
        """(B, V) whether a note, or a note of the program, may be released."""
        xp, state = namespace(self.state), self.state
        if self.given.holding is None:
            return xp.zeros_like(self._closed)
        codes, starts, ends = notes(state)
        may = (ends == OPEN) & (starts < self.tick[:, None]) & (self._to_end | ~self._closed_to(codes // CODES - 1))
        release = like(self.given.tables.let_go, state)[None, :]
        some = among(self._program, xp.where(may, codes // CODES - 1, NO_PROGRAM - 1))
        return xp.where(release >= 0, among(code(self._program, release), xp.where(may, codes, -1)), some)

    # --- time ---------------------------------------------------------------------------------------------------------

    @cached_property
    def moves(self) -> Array:
        """(B, V) the moves after which all fixed notes can still come; other tokens stay allowed."""
        xp, tables, plan = namespace(self.state), self.given.tables, self.given.plan
        is_move, until = targets(tables, self.state)
        need = self.table(self.given.starts, self.following)
        longer = bool(plan.top[-1] >= 0) & (self.state[:, Field.LAST] >= len(plan.music.metres))
        ahead = (until <= plan.last_free) | ((need < NEVER) | longer)[:, None]
        bound = need
        if not tables.by_position:
            stop = xp.searchsorted(like(plan.stops, self.state), self.tick, side="right")
            bound = xp.minimum(bound, self.table(plan.stops, stop))
        if self.given.holding is not None:
            bound = xp.minimum(bound, self.given.holding.bound(self.state))
            bound = xp.where(xp.any(self._to_end, axis=1), -1, bound)
            ahead = ahead | xp.any(notes(self.state)[2] == OPEN, axis=1)[:, None]
        may = (until <= bound[:, None]) & ahead
        if tables.by_position or tables.lands:
            may = may & (self._lands(until) | like(tables.bar, self.state)[None, :])
        return ~is_move | may

    def _lands(self, until: Array) -> Array:
        """Tell (B, V) whether a note can begin at the target of each move."""
        xp, plan = namespace(until), self.given.plan
        flat = xp.reshape(until, (-1,))
        good = xp.reshape(self.table(plan.reach, flat), until.shape)
        if self.given.tables.by_position:
            return good
        first = xp.where(self.table(plan.crowded), self.last_part, 0)
        stays = self.due | (self.table(plan.top) >= first)
        return xp.where(until == self.tick[:, None], stays[:, None] & good, good)

    @cached_property
    def metres(self) -> Array:
        """(B, V) the time signatures of the score; where one must be stated, all else is masked."""
        tables, state = self.given.tables, self.state
        stated, now = like(tables.metre, state)[None, :], state[:, Field.METRE]
        wanted = self.table(self.given.plan.metres, state[:, Field.BAR])
        may = (stated < 0) | (wanted < 0)[:, None] | (stated == wanted[:, None])
        if tables.by_position:
            return may
        first = (now >= 0) & (wanted >= 0) & (now != wanted)
        return may & ((stated >= 0) | ~first[:, None])
