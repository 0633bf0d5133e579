"""The state of a MidiTok grammar: its columns, its start, and how to read it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from composer.arrays import convert_like, get_namespace
from composer.errors import BadOption
from composer.music.score import parse_time_signature
from composer.request import Request
from composer.tokens.vocabulary import BOS
from composer.types import Array
from composer_miditok.sounds import SOUNDS
from composer_miditok.tables import NO_PROGRAM, Tables

OPEN = 2**40
"""The end of a sustained note, and the last bar where none is known."""

CODES = 256
"""The code of a note is (program + 1) * CODES + sound; drums are program -1."""


class Field:
    """Columns of a state; times are in MidiTok's ticks from the beginning of the piece."""

    TOKEN = 0
    TYPE = 1  # of the last token
    TICK = 2
    ORIGIN = 3  # start of the bar
    LENGTH = 4  # of a bar, 0 before it is known
    BAR = 5  # 0 for the first, -1 before it
    POSITION = 6  # in the bar, -1 before the first
    TIME_SIGNATURE = 7  # index of the time signature, -1 before the first
    PROGRAM = 8  # current
    SOUND = 9  # token of the last onset, 0 for none
    PENDING = 10  # code of the last onset
    LAST = 11  # bar
    EXACT = 12  # whether LAST is requested, and not only a limit
    FLOOR = 13  # no note may begin before this
    REQUESTED = 14  # index of the requested time signature, -1 for none
    NOTES = 15  # codes of the last notes
    STARTS = NOTES + SOUNDS
    ENDS = STARTS + SOUNDS
    COUNT = ENDS + SOUNDS


NAMES = sorted(
    (name for name, index in vars(Field).items() if name.isupper() and index < Field.NOTES),
    key=lambda name: int(getattr(Field, name)),
)
"""The columns of a state before the notes, in order."""


def make_start(tables: Tables, request: Request) -> NDArray[np.int64]:
    """Return (1, S) the state before the first token. Raises BadOption for a condition that has no tokens."""
    scheme = tables.scheme
    row = np.zeros((1, Field.COUNT), dtype=np.int64)
    row[0, Field.TOKEN], row[0, Field.TYPE] = BOS, tables.types.index("BOS")
    row[0, [Field.BAR, Field.POSITION, Field.TIME_SIGNATURE, Field.PENDING, Field.FLOOR, Field.REQUESTED]] = -1
    row[0, Field.PROGRAM] = NO_PROGRAM if scheme.programs else 0
    row[0, Field.LAST], row[0, Field.EXACT] = OPEN, request.bars is not None
    row[0, Field.NOTES :] = -1
    if not scheme.has_time_signatures:
        row[0, [Field.BAR, Field.TIME_SIGNATURE, Field.LENGTH]] = 0, 0, tables.bars[0]
    if request.time_signature is not None:
        text = str(parse_time_signature(request.time_signature))
        if text not in scheme.time_signatures:
            raise BadOption(f"this model has no bars of {text}; it has {', '.join(scheme.time_signatures)}.")
        row[0, Field.REQUESTED] = scheme.time_signatures.index(text)
    if request.key is not None:
        raise BadOption("this model has no keys: MidiTok's tokens do not state them.")
    return row


# --- reading a state --------------------------------------------------------------------------------------------------


def get_notes(state: Array) -> tuple[Array, Array, Array]:
    """Return the codes, onsets and ends of the last notes, (B, SOUNDS) each."""
    return state[:, Field.NOTES : Field.STARTS], state[:, Field.STARTS : Field.ENDS], state[:, Field.ENDS :]


def find_held(state: Array) -> Array:
    """Mark (B, SOUNDS) the sustained notes that can be released here."""
    _, starts, ends = get_notes(state)
    return (ends == OPEN) & (starts < state[:, Field.TICK][:, None])


def has_held(state: Array) -> Array:
    """Tell (B,) whether a note is sustained."""
    return get_namespace(state).any(state[:, Field.ENDS :] == OPEN, axis=1)


def find_sounding(state: Array) -> Array:
    """Mark (B, SOUNDS) the notes that sound."""
    return state[:, Field.ENDS :] > state[:, Field.TICK][:, None]


def count_sounding(state: Array) -> Array:
    """Count (B,) the notes that sound here, with those that end here.

    MidiTok writes the note-offs of a program after the notes of an earlier one: in a score, both sound at once.
    """
    xp = get_namespace(state)
    return xp.sum(xp.where(state[:, Field.ENDS :] >= state[:, Field.TICK][:, None], 1, 0), axis=1)


def get_signature(state: Array) -> Array:
    """Return (B,) the index of the current time signature, 0 before the first."""
    return get_namespace(state).clip(state[:, Field.TIME_SIGNATURE], 0, None)


def encode_note(program: Array, sound: Array) -> Array:
    """Encode program and sound as one integer."""
    return (program + 1) * CODES + sound


def take_rows(table: NDArray[np.generic], indices: Array) -> Array:
    """Take the rows of a table at these indices."""
    return get_namespace(indices).take(convert_like(table, indices), indices, axis=0)


def find_matches(wanted: Array, found: Array) -> Array:
    """Mark (B, V) which of `wanted` (B or 1, V) are in `found` (B, n)."""
    return get_namespace(wanted).any(wanted[:, :, None] == found[:, None, :], axis=2)
