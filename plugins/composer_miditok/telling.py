"""The model's input and the musical state, computed from a state of MidiTok's tokens."""

from __future__ import annotations

from composer.arrays import get_namespace, stack_columns
from composer.types import Array, Column, MusicalState
from composer_miditok.sounds import DRUMS, SOUNDS
from composer_miditok.state import CODES, Field, find_sounding, get_signature, take_rows
from composer_miditok.tables import DRUM, Tables

BAR_CYCLE = 16
"""Bars are counted modulo this in a model's input."""


def make_columns(tables: Tables) -> tuple[Column, ...]:
    """Return columns for token, type, position, bar, time signature, program, last onset, and number of notes."""
    size = len(tables.tokens)
    return (
        Column("token", size, tokens=True),
        Column("type", len(tables.types)),
        Column("place", int(tables.bars.max()) + 1),
        Column("bar", BAR_CYCLE + 1),
        Column("metre", len(tables.bars) + 1),
        Column("program", 130),
        Column("sound", size, tokens=True),
        Column("sounding", SOUNDS + 1),
    )


def make_inputs(tables: Tables, state: Array) -> Array:
    """Return (B, 8) the inputs of the model."""
    xp = get_namespace(state)
    bar = state[:, Field.BAR]
    return stack_columns(
        [
            state[:, Field.TOKEN],
            state[:, Field.TYPE],
            xp.clip(state[:, Field.TICK] - state[:, Field.ORIGIN], 0, int(tables.bars.max())),
            xp.where(bar < 0, BAR_CYCLE, bar % BAR_CYCLE),
            state[:, Field.TIME_SIGNATURE] + 1,
            state[:, Field.PROGRAM] + 2,
            state[:, Field.SOUND],
            xp.sum(xp.astype(find_sounding(state), xp.int64), axis=1),
        ]
    )


def interpret(tables: Tables, state: Array) -> MusicalState:
    """Interpret states as music; the voice is the index of the program."""
    xp, tick = get_namespace(state), tables.scheme.tick
    sound = state[:, Field.NOTES : Field.STARTS] % CODES
    pitches = xp.where(find_sounding(state) & (sound < DRUM), sound, -1)
    none = xp.zeros_like(state[:, Field.TICK])
    beat = take_rows(tables.beats, get_signature(state))
    position = state[:, Field.TICK] - state[:, Field.ORIGIN]
    program = state[:, Field.PROGRAM] if tables.scheme.programs else none - 1
    left = state[:, Field.LAST] - state[:, Field.BAR] + 1
    return MusicalState(
        tick=state[:, Field.TICK] * tick,
        bar=state[:, Field.BAR],
        beat=position // beat,
        voice=xp.where(program == DRUMS, 128, program) if tables.scheme.programs else program,
        sounding=pitches,
        shift=none,
        position=position * tick,
        upbeat=none,
        bar_ticks=state[:, Field.LENGTH] * tick,
        beat_ticks=xp.where(state[:, Field.TIME_SIGNATURE] >= 0, beat * tick, 0),
        bars_left=xp.where((state[:, Field.EXACT] == 1) & (state[:, Field.BAR] >= 0), left, 0),
        key=none - 1,
        written=pitches,
        others=xp.sum(xp.where(pitches >= 0, 1, 0), axis=1),
    )
