"""The state of a MidiTok grammar: its columns, how a piece begins, and what is read off; it knows no rule."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from composer.arrays import like, namespace
from composer.errors import BadOption
from composer.music.score import parse_time_signature
from composer.request import Request
from composer.tokens.vocabulary import BOS
from composer.types import Array
from composer_miditok.sounds import SOUNDS
from composer_miditok.tables import NO_PROGRAM, Tables

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
    PENDING = 10  # the note that was struck last
    LAST = 11  # bar
    EXACT = 12  # whether LAST is a wish and not only a limit
    FLOOR = 13  # before which nothing may be added
    ASKED = 14  # place of the time signature that was asked for, -1 for none
    NOTES = 15  # the notes that sound, or did…
    STARTS = NOTES + SOUNDS
    ENDS = STARTS + SOUNDS
    COUNT = ENDS + SOUNDS


NAMES = sorted(
    (name for name, place in vars(Field).items() if name.isupper() and place < Field.NOTES),
    key=lambda name: int(getattr(Field, name)),
)
"""The columns of a state before the notes, in order."""


def fresh(tables: Tables, request: Request) -> NDArray[np.int64]:
    """(1, S) silence. Raises BadOption for a wish that there are no tokens for."""
    scheme = tables.scheme
    row = np.zeros((1, Field.COUNT), dtype=np.int64)
    row[0, Field.TOKEN], row[0, Field.TYPE] = BOS, tables.types.index("BOS")
    row[0, [Field.BAR, Field.POSITION, Field.METRE, Field.PENDING, Field.FLOOR, Field.ASKED]] = -1
    row[0, Field.PROGRAM] = NO_PROGRAM if scheme.programs else 0
    row[0, Field.LAST], row[0, Field.EXACT] = OPEN, request.bars is not None
    row[0, Field.NOTES :] = -1
    if not scheme.says_metre:
        row[0, [Field.BAR, Field.METRE, Field.LENGTH]] = 0, 0, tables.bars[0]
    if request.time_signature is not None:
        text = str(parse_time_signature(request.time_signature))
        if text not in scheme.time_signatures:
            raise BadOption(f"this model has no bars of {text}; it has {', '.join(scheme.time_signatures)}.")
        row[0, Field.ASKED] = scheme.time_signatures.index(text)
    if request.key is not None:
        raise BadOption("this model has no keys: MidiTok's tokens do not say them here.")
    return row


# --- what is read off a state -----------------------------------------------------------------------------------------


def notes(state: Array) -> tuple[Array, Array, Array]:
    """The codes, beginnings and ends of the last notes, (B, SOUNDS) each."""
    return state[:, Field.NOTES : Field.STARTS], state[:, Field.STARTS : Field.ENDS], state[:, Field.ENDS :]


def held(state: Array) -> Array:
    """(B, SOUNDS) the notes that can be let go here."""
    _, starts, ends = notes(state)
    return (ends == OPEN) & (starts < state[:, Field.TICK][:, None])


def is_open(state: Array) -> Array:
    """(B,) whether a note is held."""
    return namespace(state).any(state[:, Field.ENDS :] == OPEN, axis=1)


def sounding(state: Array) -> Array:
    """(B, SOUNDS) the notes that sound."""
    return state[:, Field.ENDS :] > state[:, Field.TICK][:, None]


def metre(state: Array) -> Array:
    """(B,) place of the time signature in force, the first one before it is known."""
    return namespace(state).clip(state[:, Field.METRE], 0, None)


def code(program: Array, sound: Array) -> Array:
    """Whole numbers that tell notes apart."""
    return (program + 1) * CODES + sound


def of(table: NDArray[np.generic], places: Array) -> Array:
    """The rows of a table at these places."""
    return namespace(places).take(like(table, places), places, axis=0)


def among(wanted: Array, found: Array) -> Array:
    """(B, V) which of `wanted` (B or 1, V) are among `found` (B, n)."""
    return namespace(wanted).any(wanted[:, :, None] == found[:, None, :], axis=2)
