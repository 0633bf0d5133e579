"""The grammar of MidiTok's tokens, for all schemes, with and without merged tokens, and its state after each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from composer.arrays import get_namespace, make_range, stack_columns
from composer.music.score import Score
from composer.request import Request
from composer.tokens.vocabulary import EOS
from composer.types import Array, Column, MusicalState, Span
from composer_miditok import state as states
from composer_miditok import telling
from composer_miditok.fixed_notes import FixedNotes
from composer_miditok.mask import mask_tokens
from composer_miditok.sounds import SOUNDS
from composer_miditok.state import NAMES, OPEN, Field, encode_note, make_start, take_rows
from composer_miditok.tables import NO_PROGRAM, Tables

# --- states -----------------------------------------------------------------------------------------------------------


def advance(tables: Tables, state: Array, tokens: Array) -> Array:
    """Return the states after `tokens`; after EOS they do not change."""
    xp = get_namespace(state)
    after = {name: state[:, index] for index, name in enumerate(NAMES)}
    after["TOKEN"], after["TYPE"] = tokens, take_rows(tables.last_type, tokens)
    _update_time(tables, after, tokens)
    program, onset = take_rows(tables.program, tokens), take_rows(tables.onset, tokens)
    after["PROGRAM"] = xp.where(program > NO_PROGRAM, program, after["PROGRAM"])
    after["SOUND"] = xp.where(onset >= 0, take_rows(tables.sound_token, tokens), after["SOUND"])
    after["PENDING"] = xp.where(onset >= 0, encode_note(after["PROGRAM"], onset), after["PENDING"])
    notes = _update_notes(tables, state, after, tokens)
    row = xp.concat([stack_columns([after[name] for name in NAMES]), *notes], axis=1)
    return xp.where((state[:, Field.TOKEN] == EOS)[:, None], state, row)


def _update_time(tables: Tables, after: dict[str, Array], tokens: Array) -> None:
    """Update bars, time signatures, positions and moves."""
    xp = get_namespace(tokens)
    bar, metre = take_rows(tables.bar, tokens), take_rows(tables.time_signature, tokens)
    onward = bar & (after["BAR"] >= 0)
    after["ORIGIN"] = xp.where(onward, after["ORIGIN"] + after["LENGTH"], after["ORIGIN"])
    after["BAR"] = xp.where(bar | ((metre >= 0) & (after["BAR"] < 0)), after["BAR"] + 1, after["BAR"])
    if not tables.by_position:  # bars have no tokens; the first begins with its time signature
        after["BAR"] = xp.where(bar, after["BAR"] - 1, after["BAR"])
    after["TICK"] = xp.where(bar, after["ORIGIN"], after["TICK"])
    after["POSITION"] = xp.where(bar, -1, after["POSITION"])
    after["TIME_SIGNATURE"] = xp.where(metre >= 0, metre, after["TIME_SIGNATURE"])
    after["LENGTH"] = xp.where(metre >= 0, take_rows(tables.bars, xp.clip(metre, 0, None)), after["LENGTH"])
    index = _index_table(tables, after, tokens)
    position, shift = take_rows(tables.position.reshape(-1), index), take_rows(tables.shift.reshape(-1), index)
    after["TICK"] = xp.where(position >= 0, after["ORIGIN"] + position, after["TICK"])
    after["POSITION"] = xp.where(position >= 0, position, after["POSITION"])
    after["TICK"] = after["TICK"] + xp.clip(shift, 0, None)
    if not tables.by_position:
        _update_bars(after, shift)
    if tables.scheme.has_note_offs:  # if the last note ends on a bar line, the next bar does not count
        unbegun = (tokens == EOS) & (after["TICK"] == after["ORIGIN"])
        after["BAR"] = xp.where(unbegun, after["BAR"] - 1, after["BAR"])


def _update_bars(after: dict[str, Array], shift: Array) -> None:
    """Update the bars that a move passes."""
    xp = get_namespace(shift)
    gone = (after["TICK"] - after["ORIGIN"]) // xp.clip(after["LENGTH"], 1, None)
    gone = xp.where(shift >= 0, xp.minimum(gone, xp.clip(after["LAST"] - after["BAR"], 0, None)), 0)
    after["ORIGIN"] = after["ORIGIN"] + gone * after["LENGTH"]
    after["BAR"] = after["BAR"] + gone


def _index_table(tables: Tables, after: dict[str, Array], tokens: Array) -> Array:
    """Compute (B,) the index of each token in a flattened (M, V) table of times."""
    return get_namespace(tokens).clip(after["TIME_SIGNATURE"], 0, None) * len(tables.tokens) + tokens


def _update_notes(tables: Tables, state: Array, after: dict[str, Array], tokens: Array) -> list[Array]:
    """Update NOTES, STARTS and ENDS; a new note replaces the one that ended first."""
    xp, tick, slots = get_namespace(state), after["TICK"][:, None], make_range(SOUNDS, state)
    notes, starts, ends = states.get_notes(state)
    if tables.scheme.has_note_offs:
        gone = take_rows(tables.release, tokens)
        match = states.find_held(state) & (notes == encode_note(after["PROGRAM"], gone)[:, None]) & (gone >= 0)[:, None]
        oldest = xp.argmin(xp.where(match, starts, OPEN), axis=1)[:, None]
        ends = xp.where(match & (slots == oldest), tick, ends)
        new, until = take_rows(tables.onset, tokens) >= 0, xp.full_like(tick, OPEN)
    else:
        length = take_rows(tables.length.reshape(-1), _index_table(tables, after, tokens))
        new, until = length >= 0, tick + length[:, None]
    slot = new[:, None] & (slots == xp.argmin(ends, axis=1)[:, None])
    return [
        xp.where(slot, after["PENDING"][:, None], notes),
        xp.where(slot, tick, starts),
        xp.where(slot, until, ends),
    ]


# --- the grammar ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MidiTokGrammar:
    """The tokens that may follow, by state."""

    tables: Tables

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Columns of a model's input."""
        return telling.make_columns(self.tables)

    def start(self, request: Request, rows: int) -> NDArray[np.int64]:
        """Return the states before the first token."""
        row = make_start(self.tables, request)
        after = row
        for token in request.primer:
            after = self.advance(after, np.array([token]))
        begun, wanted = after[0], request.most_bars if request.bars is None else request.bars
        floor = -(-request.primer_ticks // self.tables.scheme.tick) if request.primer else -1
        if self.tables.must_land:
            floor = min(floor, int(begun[Field.TICK] + self.tables.shift.max()))
        over = -((begun[Field.ORIGIN] - floor) // max(begun[Field.LENGTH], 1))
        whole = int(begun[Field.BAR] + over) if floor >= 0 and begun[Field.LENGTH] else 0
        row[0, Field.LAST] = whole + wanted - 1
        row[0, Field.FLOOR] = floor
        return np.repeat(row, rows, axis=0)

    def mask(self, state: Array) -> Array:
        """Mask (B, V) the tokens that may come next."""
        return mask_tokens(self.tables, state)

    def advance(self, state: Array, tokens: Array) -> Array:
        """Return the states after `tokens`."""
        return advance(self.tables, state, tokens)

    def make_inputs(self, state: Array) -> Array:
        """Return (B, 8) the inputs of the model."""
        return telling.make_inputs(self.tables, state)

    def interpret(self, state: Array) -> MusicalState:
        """Interpret states as music; the voice is the index of the program."""
        return telling.interpret(self.tables, state)

    def fix_notes(self, score: Score, spans: Sequence[Span]) -> Callable[[Array], Array]:
        """Return a function from states to masks (B, V) that keep the notes of `score` in `spans`."""
        return FixedNotes(self.tables, score, spans)
