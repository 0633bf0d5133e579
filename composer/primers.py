"""Primers: music to go on from, out of a file or typed in; it knows no model."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from composer.errors import BadOption, printable
from composer.files import read_notes
from composer.keys import parse_pitch
from composer.score import TICKS_PER_QUARTER, Score, Track, make_notes

LONGEST_NOTE = 64
"""In quarter notes."""


def read_primer(text: str) -> Score:
    """The score that `text` names or spells. Raises UnreadableFile, BadOption.

    Notes are separated by spaces: `C4`, `F#3`, `Bb5`, or `R` for a rest. A note lasts a quarter; `/2` makes it half as
    long, `*2` twice, `*3/2` one and a half times.
    """
    path = Path(text).expanduser()
    if path.suffix and "/" not in path.suffix and not text.split()[1:] and not _is_note(text):
        return read_notes(path)
    return typed_notes(text)


def typed_notes(text: str) -> Score:
    """The melody that `text` spells. Raises BadOption, naming the first word that is no note."""
    rows, tick = [], 0
    for word in text.split():
        try:
            pitch, ticks = _note(word)
        except (ValueError, ZeroDivisionError):
            raise BadOption(
                f"'{printable(word)}' in the primer is no note such as D4, F#4/2, Bb3*3/2 or R, and no music file."
            ) from None
        if pitch is not None:
            rows.append((tick, ticks, pitch, 80))
        tick += ticks
    if not rows:
        raise BadOption("the primer has no note.")
    return Score(tracks=(Track(make_notes(rows)),))


def _is_note(word: str) -> bool:
    try:
        _note(word)
    except (ValueError, ZeroDivisionError):
        return False
    return True


def _note(word: str) -> tuple[int | None, int]:
    """Pitch (None for a rest) and ticks of `F#4*3/2`."""
    name, times, factor = word.partition("*")
    name, over, divisor = name.partition("/") if not times else (name, "", "")
    length = Fraction(factor) if times else Fraction(1, int(divisor)) if over else Fraction(1)
    ticks = round(length * TICKS_PER_QUARTER)
    if not 0 < length <= LONGEST_NOTE or ticks < 1:
        raise ValueError
    return None if name in ("R", "r") else parse_pitch(name), ticks
