"""The tokens of MidiTok that may come next: its graph of types, and rules that make sequences pieces.

MidiTok's graph says which type may follow which. Our rules: the number of bars is as requested, time moves forward, a
released note was begun, drum sounds belong to drums, and no note is sustained at the end.
"""

from __future__ import annotations

import numpy as np

from composer.arrays import like, namespace, numbers
from composer.tokens.vocabulary import EOS
from composer.types import Array
from composer_miditok.sounds import DRUMS
from composer_miditok.state import CODES, OPEN, Field, among, code, held, is_open, metre, of
from composer_miditok.tables import DRUM, NO_PROGRAM, Tables


def allowed(tables: Tables, state: Array) -> Array:
    """Mask (B, V) the tokens that may come next."""
    xp = namespace(state)
    may = xp.take(of(tables.follows, state[:, Field.TYPE]), like(tables.first_type, state), axis=1)
    may = may & _sounds(tables, state) & _moves(tables, state) & _metres(tables, state)
    begun = state[:, Field.TICK] > state[:, Field.ORIGIN] if tables.scheme.held else state[:, Field.BAR] >= 0
    ends = (state[:, Field.EXACT] == 0) | ((state[:, Field.BAR] == state[:, Field.LAST]) & begun)
    ended = state[:, Field.TOKEN] == EOS
    is_end = numbers(len(tables.tokens), state) == EOS
    return may & (~is_end | ((ends & ~is_open(state)) | ended)[:, None])


def programs(tables: Tables, state: Array) -> Array:
    """Return (B, V) the program of each token: its own, or the current one."""
    named = like(tables.program, state)[None, :]
    return namespace(state).where(named > NO_PROGRAM, named, state[:, Field.PROGRAM][:, None])


def targets(tables: Tables, state: Array) -> tuple[Array, Array]:
    """Return (B, V) whether a token moves in time, and (B or 1, V) the tick it moves to."""
    xp, bar = namespace(state), like(tables.bar, state)[None, :]
    if tables.by_position:
        position, origin = of(tables.position, metre(state)), state[:, Field.ORIGIN][:, None]
        following = origin + state[:, Field.LENGTH][:, None]
        return bar | (position >= 0), xp.where(bar, following, origin + position)
    shift = of(tables.shift, metre(state))
    return shift >= 0, state[:, Field.TICK][:, None] + shift


def last_end(state: Array) -> Array:
    """Return (B,) the end of the last bar, if the time signature does not change."""
    return state[:, Field.ORIGIN] + (state[:, Field.LAST] - state[:, Field.BAR] + 1) * state[:, Field.LENGTH]


def _begins(tables: Tables, state: Array) -> Array:
    """Tell (B,) whether a note may begin here."""
    tick, xp = state[:, Field.TICK], namespace(state)
    may = (tick >= state[:, Field.FLOOR]) & (tick < last_end(state)) & (state[:, Field.BAR] >= 0)
    if tables.by_position:
        may = may & (state[:, Field.POSITION] >= 0)
    full = xp.all(state[:, Field.STARTS : Field.ENDS] == tick[:, None], axis=1)  # else notes could come without end
    return may & ~full & (xp.min(state[:, Field.ENDS :], axis=1) < OPEN)


def _sounds(tables: Tables, state: Array) -> Array:
    """Mask (B, V) the programs and notes that may come; other tokens stay allowed."""
    begins = _begins(tables, state)
    named = like(tables.program, state)[None, :] > NO_PROGRAM
    onset = like(tables.struck, state)[None, :]
    of_drums = (programs(tables, state) == DRUMS) == (onset >= DRUM)
    may = (onset < 0) | (begins[:, None] & of_drums)
    return may & (_let_go(tables, state, begins) if tables.scheme.held else ~named | begins[:, None])


def _let_go(tables: Tables, state: Array, begins: Array) -> Array:
    """Mask (B, V) the releases of sustained notes, and programs of sustained or new notes."""
    xp = namespace(state)
    found = xp.where(held(state), state[:, Field.NOTES : Field.STARTS], -1)
    offs, bare = tables.of_ends, tables.of_programs
    program = like(tables.program[offs], state)[None, :]
    in_force = xp.where(program > NO_PROGRAM, program, state[:, Field.PROGRAM][:, None])
    ends = among(code(in_force, like(tables.let_go[offs], state)[None, :]), found)
    of_held = xp.where(found >= 0, found // CODES - 1, NO_PROGRAM - 1)
    named = begins[:, None] | among(like(tables.program[bare], state)[None, :], of_held)
    rest = xp.ones_like(begins)[:, None]
    order = np.full(len(tables.tokens), len(offs) + len(bare))
    order[offs], order[bare] = np.arange(len(offs)), len(offs) + np.arange(len(bare))
    return xp.take(xp.concat([ends, named, rest], axis=1), like(order, state), axis=1)


def _moves(tables: Tables, state: Array) -> Array:
    """Mask (B, V) the moves and durations that stay within the piece; other tokens stay allowed."""
    xp = namespace(state)
    tick, end = state[:, Field.TICK][:, None], last_end(state)[:, None]
    if tables.by_position:
        may = _positions(tables, state)
    else:
        moves, until = targets(tables, state)
        within = (until < end) | ((until == end) & is_open(state)[:, None])
        if tables.lands:
            within = within & (until >= state[:, Field.FLOOR][:, None])
        may = ~moves | within
    if tables.scheme.held:
        return may
    length = of(tables.length, metre(state))
    least = length == xp.take(like(tables.scheme.step, state), metre(state))[:, None]
    free = (state[:, Field.EXACT] == 0)[:, None]
    return may & ((length < 0) | free | least | (tick + length <= end))


def _positions(tables: Tables, state: Array) -> Array:
    """Mask (B, V) the bars and positions that may come; other tokens stay allowed."""
    position = of(tables.position, metre(state))
    onward = (position > state[:, Field.POSITION][:, None]) & (position < state[:, Field.LENGTH][:, None])
    late = position >= (state[:, Field.FLOOR] - state[:, Field.ORIGIN])[:, None]
    bar = like(tables.bar, state)[None, :]
    return ((position < 0) | (onward & late)) & (~bar | (state[:, Field.BAR] < state[:, Field.LAST])[:, None])


def _metres(tables: Tables, state: Array) -> Array:
    """Mask (B, V) the time signatures that may come; other tokens stay allowed."""
    stated, now = like(tables.metre, state)[None, :], state[:, Field.METRE][:, None]
    requested, origin = state[:, Field.ASKED][:, None], state[:, Field.ORIGIN][:, None]
    matches = (requested < 0) | (stated == requested)
    before = (origin < state[:, Field.FLOOR][:, None]) & (now >= 0)
    if tables.by_position:
        may = (before & (stated == now)) | (~before & matches)
    else:
        at_line = (state[:, Field.TICK][:, None] == origin) & ~before & (stated != now)
        may = matches & ((now < 0) | (at_line & (requested < 0)))
    return (stated < 0) | may
