"""The grammar of MidiTok's tokens: its graph of types, and what makes every sequence a piece; it knows no score.

Of MidiTok is which type may follow which. Of ours: bars that were asked for come and no more, time goes on, a note that
is held was struck, drums are of the drums, and the end comes when nothing is open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from composer.arrays import like, namespace, numbers, side_by_side
from composer.errors import BadOption
from composer.request import Request
from composer.score import Score, parse_time_signature
from composer.tokens import BOS, EOS
from composer.types import Array, Column, Facts, Span
from composer_miditok.sounds import DRUMS
from composer_miditok.tables import DRUM, NO_PROGRAM, Tables

SOUNDS = 32
"""Notes of which it is known whether they sound; of notes that are held, no more can be."""

BAR_CYCLE = 16
"""Bars are counted modulo this in a model's input."""

OPEN = 2**40
"""The end of a note that is held, and the last bar where none is known."""

CODES = 256
"""A note is told by its program, counted from the drums, times this, and its sound."""


class Field:
    """Columns of a state; times are in MidiTok's ticks from the beginning of the piece."""

    TOKEN = 0
    TYPE = 1  # of what was said last
    TICK = 2
    ORIGIN = 3  # where the bar begins
    LENGTH = 4  # of a bar, 0 before it is known
    BAR = 5  # 0 for the first, -1 before it
    POSITION = 6  # in the bar, -1 where none is said yet
    METRE = 7  # place of the time signature, -1 before it is known
    PROGRAM = 8  # in force
    SOUND = 9  # token of the last sound, 0 for none
    PENDING = 10  # note without a length yet
    LAST = 11  # bar
    EXACT = 12  # whether LAST is a wish and not only a limit
    FLOOR = 13  # before which nothing may be added
    ASKED = 14  # place of the time signature that was asked for, -1 for none
    NOTES = 15  # the notes that sound, or did…
    STARTS = NOTES + SOUNDS
    ENDS = STARTS + SOUNDS
    COUNT = ENDS + SOUNDS


@dataclass(frozen=True)
class MidiTokGrammar:
    """Which token may follow which, for any of the schemes and for tokens that were learnt."""

    tables: Tables

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Token, what it ends with, place in the bar, bar, time signature, program, last sound, notes that sound."""
        size = len(self.tables.tokens)
        return (
            Column("token", size, tokens=True),
            Column("type", len(self.tables.types)),
            Column("place", int(self.tables.bars.max()) + 1),
            Column("bar", BAR_CYCLE + 1),
            Column("metre", len(self.tables.bars) + 1),
            Column("program", 130),
            Column("sound", size, tokens=True),
            Column("sounding", SOUNDS + 1),
        )

    # --- the beginning ------------------------------------------------------------------------------------------------

    def start(self, request: Request, rows: int) -> NDArray[np.int64]:
        """States before the first token."""
        row = self._fresh(request)
        after = row
        for token in request.primer:
            after = self.advance(after, np.array([token]))
        begun, wanted = after[0], request.most_bars if request.bars is None else request.bars
        floor = -(-request.primer_ticks // self.tables.scheme.tick) if request.primer else -1
        if self.tables.lands:
            floor = min(floor, int(begun[Field.TICK] + self.tables.shift.max()))
        over = -((begun[Field.ORIGIN] - floor) // max(begun[Field.LENGTH], 1))
        whole = int(begun[Field.BAR] + over) if floor >= 0 and begun[Field.LENGTH] else 0
        row[0, Field.LAST] = whole + wanted - 1
        row[0, Field.FLOOR] = floor
        return np.repeat(row, rows, axis=0)

    def _fresh(self, request: Request) -> NDArray[np.int64]:
        """(1, S) silence."""
        scheme = self.tables.scheme
        row = np.zeros((1, Field.COUNT), dtype=np.int64)
        row[0, Field.TOKEN], row[0, Field.TYPE] = BOS, self.tables.types.index("BOS")
        row[0, [Field.BAR, Field.POSITION, Field.METRE, Field.PENDING, Field.FLOOR, Field.ASKED]] = -1
        row[0, Field.PROGRAM] = NO_PROGRAM if scheme.programs else 0
        row[0, Field.LAST], row[0, Field.EXACT] = OPEN, request.bars is not None
        row[0, Field.NOTES :] = -1
        if not scheme.says_metre:
            row[0, [Field.BAR, Field.METRE, Field.LENGTH]] = 0, 0, self.tables.bars[0]
        if request.time_signature is not None:
            text = str(parse_time_signature(request.time_signature))
            if text not in scheme.time_signatures:
                raise BadOption(f"this model has no bars of {text}; it has {', '.join(scheme.time_signatures)}.")
            row[0, Field.ASKED] = scheme.time_signatures.index(text)
        if request.key is not None:
            raise BadOption("this model has no keys: MidiTok's tokens do not say them here.")
        return row

    # --- what may come ------------------------------------------------------------------------------------------------

    def allowed(self, state: Array) -> Array:
        """Mask (B, V)."""
        xp, tables = namespace(state), self.tables
        follows = xp.take(like(tables.follows, state), state[:, Field.TYPE], axis=0)
        may = xp.take(follows, like(tables.first_type, state), axis=1)
        may = may & self._sounds(state, self._begins(state)) & self._moves(state) & self._metres(state)
        begun = state[:, Field.TICK] > state[:, Field.ORIGIN] if tables.scheme.held else state[:, Field.BAR] >= 0
        ends = (state[:, Field.EXACT] == 0) | ((state[:, Field.BAR] == state[:, Field.LAST]) & begun)
        ended = state[:, Field.TOKEN] == EOS
        is_end = numbers(len(tables.tokens), state) == EOS
        return may & (~is_end | ((ends & ~self._open(state)) | ended)[:, None])

    def _end(self, state: Array) -> Array:
        """(B,) where the last bar ends, if all go on as this one."""
        return state[:, Field.ORIGIN] + (state[:, Field.LAST] - state[:, Field.BAR] + 1) * state[:, Field.LENGTH]

    def _begins(self, state: Array) -> Array:
        """(B,) whether a note may begin here."""
        tick, xp = state[:, Field.TICK], namespace(state)
        may = (tick >= state[:, Field.FLOOR]) & (tick < self._end(state)) & (state[:, Field.BAR] >= 0)
        if self._by_position:
            may = may & (state[:, Field.POSITION] >= 0)
        return may & (xp.min(state[:, Field.ENDS :], axis=1) < OPEN)

    @property
    def _by_position(self) -> bool:
        return "Position" in self.tables.types

    def _held(self, state: Array) -> Array:
        """(B, SOUNDS) the notes that can be let go here."""
        return (state[:, Field.ENDS :] == OPEN) & (state[:, Field.STARTS : Field.ENDS] < state[:, Field.TICK][:, None])

    def _open(self, state: Array) -> Array:
        """(B,) whether a note is held."""
        return namespace(state).any(state[:, Field.ENDS :] == OPEN, axis=1)

    def _sounds(self, state: Array, begins: Array) -> Array:
        """(B, V) of programs and notes, those that may come; all others."""
        xp, tables = namespace(state), self.tables
        program = like(tables.program, state)[None, :]
        named = program > NO_PROGRAM
        in_force = xp.where(named, program, state[:, Field.PROGRAM][:, None])
        struck = like(tables.struck, state)[None, :]
        of_drums = (in_force == DRUMS) == (struck >= DRUM)
        may = (struck < 0) | (begins[:, None] & of_drums)
        if not tables.scheme.held:
            return may & (~named | begins[:, None])
        return may & self._let_go(state, begins)

    def _let_go(self, state: Array, begins: Array) -> Array:
        """(B, V) of ends of notes, and programs, those of notes that are held; programs also where notes may begin."""
        xp, tables = namespace(state), self.tables
        notes = xp.where(self._held(state), state[:, Field.NOTES : Field.STARTS], -1)
        offs, bare = tables.of_ends, tables.of_programs
        program = like(tables.program[offs], state)[None, :]
        in_force = xp.where(program > NO_PROGRAM, program, state[:, Field.PROGRAM][:, None])
        ends = _among(_code(in_force, like(tables.let_go[offs], state)[None, :]), notes)
        of_held = xp.where(notes >= 0, notes // CODES - 1, NO_PROGRAM - 1)
        programs = begins[:, None] | _among(like(tables.program[bare], state)[None, :], of_held)
        rest = xp.ones_like(begins)[:, None]
        order = np.full(len(tables.tokens), len(offs) + len(bare))
        order[offs], order[bare] = np.arange(len(offs)), len(offs) + np.arange(len(bare))
        return xp.take(xp.concat([ends, programs, rest], axis=1), like(order, state), axis=1)

    def _moves(self, state: Array) -> Array:
        """(B, V) of moves and lengths, those that stay within the piece; all others."""
        xp, tables = namespace(state), self.tables
        tick, end = state[:, Field.TICK][:, None], self._end(state)[:, None]
        metre = xp.clip(state[:, Field.METRE], 0, None)
        if self._by_position:
            may = self._positions(state, metre)
        else:
            shift = xp.take(like(tables.shift, state), metre, axis=0)
            until = tick + shift
            within = (until < end) | ((until == end) & self._open(state)[:, None])
            if tables.lands:
                within = within & (until >= state[:, Field.FLOOR][:, None])
            may = (shift < 0) | within
        if tables.scheme.held:
            return may
        length = xp.take(like(tables.length, state), metre, axis=0)
        shortest = like(tables.scheme.step, state)
        least = length == xp.take(shortest, metre)[:, None]
        free = (state[:, Field.EXACT] == 0)[:, None]
        return may & ((length < 0) | free | least | (tick + length <= end))

    def _positions(self, state: Array, metre: Array) -> Array:
        """(B, V) of bars and positions, those that may come; all others."""
        xp, tables = namespace(state), self.tables
        position = xp.take(like(tables.position, state), metre, axis=0)
        onward = (position > state[:, Field.POSITION][:, None]) & (position < state[:, Field.LENGTH][:, None])
        late = position >= (state[:, Field.FLOOR] - state[:, Field.ORIGIN])[:, None]
        bar = like(tables.bar, state)[None, :]
        return ((position < 0) | (onward & late)) & (~bar | (state[:, Field.BAR] < state[:, Field.LAST])[:, None])

    def _metres(self, state: Array) -> Array:
        """(B, V) of time signatures, those that may be stated; all other tokens."""
        metre, now = like(self.tables.metre, state)[None, :], state[:, Field.METRE][:, None]
        asked, origin = state[:, Field.ASKED][:, None], state[:, Field.ORIGIN][:, None]
        wished = (asked < 0) | (metre == asked)
        before = (origin < state[:, Field.FLOOR][:, None]) & (now >= 0)
        if self._by_position:
            may = (before & (metre == now)) | (~before & wished)
        else:
            at_line = (state[:, Field.TICK][:, None] == origin) & ~before & (metre != now)
            may = wished & ((now < 0) | (at_line & (asked < 0)))
        return (metre < 0) | may

    # --- what was said ------------------------------------------------------------------------------------------------

    def advance(self, state: Array, tokens: Array) -> Array:
        """States after `tokens`."""
        xp, tables = namespace(state), self.tables
        after = {name: state[:, place] for name, place in vars(Field).items() if name.isupper() and place < Field.NOTES}
        after["TOKEN"], after["TYPE"] = tokens, _of(tables.last_type, tokens)
        self._take_time(after, tokens)
        program, struck = _of(tables.program, tokens), _of(tables.struck, tokens)
        after["PROGRAM"] = xp.where(program > NO_PROGRAM, program, after["PROGRAM"])
        after["SOUND"] = xp.where(struck >= 0, _of(tables.sound_token, tokens), after["SOUND"])
        after["PENDING"] = xp.where(struck >= 0, _code(after["PROGRAM"], struck), after["PENDING"])
        notes = self._notes(state, after, tokens)
        row = xp.concat([side_by_side([after[name] for name in _NAMES]), *notes], axis=1)
        return xp.where((state[:, Field.TOKEN] == EOS)[:, None], state, row)

    def _take_time(self, after: dict[str, Array], tokens: Array) -> None:
        """Bars, time signatures, positions and moves."""
        xp, tables = namespace(tokens), self.tables
        bar, metre = _of(tables.bar, tokens), _of(tables.metre, tokens)
        onward = bar & (after["BAR"] >= 0)
        after["ORIGIN"] = xp.where(onward, after["ORIGIN"] + after["LENGTH"], after["ORIGIN"])
        after["BAR"] = xp.where(bar | ((metre >= 0) & (after["BAR"] < 0)), after["BAR"] + 1, after["BAR"])
        if not self._by_position:  # bars come of themselves, and the first with its time signature
            after["BAR"] = xp.where(bar, after["BAR"] - 1, after["BAR"])
        after["TICK"] = xp.where(bar, after["ORIGIN"], after["TICK"])
        after["POSITION"] = xp.where(bar, -1, after["POSITION"])
        after["METRE"] = xp.where(metre >= 0, metre, after["METRE"])
        after["LENGTH"] = xp.where(metre >= 0, _of(tables.bars, xp.clip(metre, 0, None)), after["LENGTH"])
        place = xp.clip(after["METRE"], 0, None) * len(tables.tokens) + tokens
        position, shift = _of(tables.position.reshape(-1), place), _of(tables.shift.reshape(-1), place)
        after["TICK"] = xp.where(position >= 0, after["ORIGIN"] + position, after["TICK"])
        after["POSITION"] = xp.where(position >= 0, position, after["POSITION"])
        after["TICK"] = after["TICK"] + xp.clip(shift, 0, None)
        if not self._by_position:
            gone = (after["TICK"] - after["ORIGIN"]) // xp.clip(after["LENGTH"], 1, None)
            gone = xp.where(shift >= 0, xp.minimum(gone, xp.clip(after["LAST"] - after["BAR"], 0, None)), 0)
            after["ORIGIN"] = after["ORIGIN"] + gone * after["LENGTH"]
            after["BAR"] = after["BAR"] + gone
        if tables.scheme.held:  # a bar at whose line the last note was let go has not begun
            unbegun = (tokens == EOS) & (after["TICK"] == after["ORIGIN"])
            after["BAR"] = xp.where(unbegun, after["BAR"] - 1, after["BAR"])

    def _notes(self, state: Array, after: dict[str, Array], tokens: Array) -> list[Array]:
        """NOTES, STARTS and ENDS: a new note takes the place of the one that ended first."""
        xp, tables = namespace(state), self.tables
        notes, starts = state[:, Field.NOTES : Field.STARTS], state[:, Field.STARTS : Field.ENDS]
        ends, tick = state[:, Field.ENDS :], after["TICK"][:, None]
        slots = numbers(SOUNDS, state)
        if tables.scheme.held:
            gone = _of(tables.let_go, tokens)
            match = self._held(state) & (notes == _code(after["PROGRAM"], gone)[:, None]) & (gone >= 0)[:, None]
            oldest = xp.argmin(xp.where(match, starts, OPEN), axis=1)[:, None]
            ends = xp.where(match & (slots == oldest), tick, ends)
            new, until = _of(tables.struck, tokens) >= 0, xp.full_like(tick, OPEN)
        else:
            place = xp.clip(after["METRE"], 0, None) * len(tables.tokens) + tokens
            length = _of(tables.length.reshape(-1), place)
            new, until = length >= 0, tick + length[:, None]
        slot = new[:, None] & (slots == xp.argmin(ends, axis=1)[:, None])
        return [
            xp.where(slot, after["PENDING"][:, None], notes),
            xp.where(slot, tick, starts),
            xp.where(slot, until, ends),
        ]

    # --- what others are told -----------------------------------------------------------------------------------------

    def inputs(self, state: Array) -> Array:
        """What the model is given, (B, 8)."""
        xp = namespace(state)
        place = xp.clip(state[:, Field.TICK] - state[:, Field.ORIGIN], 0, int(self.tables.bars.max()))
        bar = state[:, Field.BAR]
        return side_by_side(
            [
                state[:, Field.TOKEN],
                state[:, Field.TYPE],
                place,
                xp.where(bar < 0, BAR_CYCLE, bar % BAR_CYCLE),
                state[:, Field.METRE] + 1,
                state[:, Field.PROGRAM] + 2,
                state[:, Field.SOUND],
                xp.sum(xp.astype(self._sounding(state), xp.int64), axis=1),
            ]
        )

    def _sounding(self, state: Array) -> Array:
        """(B, SOUNDS) the notes that sound."""
        return state[:, Field.ENDS :] > state[:, Field.TICK][:, None]

    def facts(self, state: Array) -> Facts:
        """The same in musical terms; the voice is the program's place."""
        xp, tick = namespace(state), self.tables.scheme.tick
        sound = state[:, Field.NOTES : Field.STARTS] % CODES
        sounding = xp.where(self._sounding(state) & (sound < DRUM), sound, -1)
        none = xp.zeros_like(state[:, Field.TICK])
        known = state[:, Field.METRE] >= 0
        beat = _of(self.tables.beats, xp.clip(state[:, Field.METRE], 0, None))
        place = state[:, Field.TICK] - state[:, Field.ORIGIN]
        program = state[:, Field.PROGRAM] if self.tables.scheme.programs else none - 1
        left = state[:, Field.LAST] - state[:, Field.BAR] + 1
        return Facts(
            tick=state[:, Field.TICK] * tick,
            bar=state[:, Field.BAR],
            beat=place // beat,
            voice=xp.where(program == DRUMS, 128, program) if self.tables.scheme.programs else program,
            sounding=sounding,
            shift=none,
            place=place * tick,
            upbeat=none,
            bar_ticks=state[:, Field.LENGTH] * tick,
            beat_ticks=xp.where(known, beat * tick, 0),
            bars_left=xp.where((state[:, Field.EXACT] == 1) & (state[:, Field.BAR] >= 0), left, 0),
            key=none - 1,
            written=sounding,
            others=xp.sum(xp.where(sounding >= 0, 1, 0), axis=1),
        )

    def given(self, score: Score, spans: Sequence[Span]) -> Callable[[Array], Array]:
        """Raises BadOption: these tokens cannot be held to notes that are given."""
        raise BadOption("a model of MidiTok's tokens cannot keep given notes; take one of 'remi' or 'voices'.")


_NAMES = sorted(
    (name for name, place in vars(Field).items() if name.isupper() and place < Field.NOTES),
    key=lambda name: int(getattr(Field, name)),
)
"""The columns of a state before the notes, in order."""


def _of(table: NDArray[np.generic], places: Array) -> Array:
    return namespace(places).take(like(table, places), places)


def _code(program: Array, sound: Array) -> Array:
    """Whole numbers that tell notes apart."""
    return (program + 1) * CODES + sound


def _among(wanted: Array, found: Array) -> Array:
    """(B, V) which of `wanted` (B or 1, V) are among `found` (B, n)."""
    return namespace(wanted).any(wanted[:, :, None] == found[:, None, :], axis=2)
