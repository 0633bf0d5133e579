"""Primers: music to continue, from a file or typed as notes."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from composer.errors import BadOption, printable
from composer.io.formats import read_notes
from composer.music.keys import parse_key, parse_pitch
from composer.music.score import (
    TICKS_PER_QUARTER,
    KeySignature,
    Score,
    Track,
    make_labels,
    make_notes,
    parse_time_signature,
)
from composer.request import Request
from composer.storage.inside import expand_home, is_file
from composer.storage.opening import check_regular
from composer.tokens.bar_encoding import find_key

_WITHOUT_OCTAVE = re.compile(r"([A-Ga-g])([#b]?)((?:[*/]\d+)*)")

LONGEST_NOTE = 64
"""Longest typed note, in quarter notes."""


def read_primer(text: str, what: str = "the primer") -> Score:
    """Read a primer from a file, or from notes; `what` names it in errors. Raises UnreadableFile, BadOption.

    Notes are separated by spaces: `C4`, `F#3`, `Bb5`, or `R` for a rest. A note lasts a quarter; `/2` makes it half as
    long, `*2` twice, `*3/2` one and a half times.
    """
    if is_typed(text):
        return parse_notes(text, what)
    check_regular(path := expand_home(text))
    return read_notes(path)


def is_typed(text: str) -> bool:
    """Tell whether `text` is not a file name, and so should be notes."""
    suffix = Path(text).suffix
    if not suffix or "/" in suffix or _is_note(text):
        return True
    return len(text.split()) > 1 and not is_file(expand_home(text))


def parse_notes(text: str, what: str = "the primer") -> Score:
    """Parse a melody. Raises BadOption, naming the first word that is not a note."""
    rows, tick = [], 0
    for word in text.split():
        try:
            pitch, ticks = _parse_note(word)
        except (ValueError, ZeroDivisionError):
            if named := _WITHOUT_OCTAVE.fullmatch(word):
                whole = f"{named[1].upper()}{named[2]}4{named[3]}"
                raise BadOption(
                    f"'{printable(word)}' in {what} has no octave: type {whole} for the octave from middle C up."
                ) from None
            raise BadOption(
                f"'{printable(word)}' in {what} is no note such as D4, F#4/2, Bb3*3/2 or R, and no music file."
            ) from None
        if pitch is not None:
            rows.append((tick, ticks, pitch, 80))
        tick += ticks
    if not rows:
        raise BadOption(f"{what} has no note.")
    return Score(tracks=(Track(make_notes(rows)),))


def apply_request(score: Score, request: Request, what: str = "the primer") -> Score:
    """Give a score the time signature and key of the request, if it has none; a key stated nowhere is estimated.

    Conditions of the request become labels, in place of others. Raises BadOption if it has another time signature or
    key.
    """
    stated = dict(request.conditions)
    labels = (label for label in score.labels if label[0] not in stated)
    score = replace(score, labels=make_labels(labels, request.conditions))
    return _apply_key(_apply_time_signature(score, request, what), request, what)


def _apply_time_signature(score: Score, request: Request, what: str) -> Score:
    if request.time_signature is None:
        return score
    requested = parse_time_signature(request.time_signature)
    if not score.time_signatures:
        return replace(score, time_signatures=(requested,))
    if (stated := str(score.time_signatures[-1])) != str(requested):
        raise BadOption(f"{what} is in {stated}, and {requested} was asked for; leave one of them out.")
    return score


def _apply_key(score: Score, request: Request, what: str) -> Score:
    if not score.key_signatures:
        key = find_key(score, ends=False) if request.key is None else parse_key(request.key)
        return replace(score, key_signatures=(KeySignature(0, key),))
    stated, requested = score.key_signatures[0].key, request.key
    if requested is not None and stated != parse_key(requested):
        raise BadOption(f"{what} is in {stated}, and {parse_key(requested)} was asked for; leave one of them out.")
    return score


def _is_note(word: str) -> bool:
    try:
        _parse_note(word)
    except (ValueError, ZeroDivisionError):
        return False
    return True


def _parse_note(word: str) -> tuple[int | None, int]:
    """Parse the pitch (None for a rest) and the ticks of `F#4*3/2`."""
    name, times, factor = word.partition("*")
    name, over, divisor = name.partition("/") if not times else (name, "", "")
    length = Fraction(factor) if times else Fraction(1, int(divisor)) if over else Fraction(1)
    ticks = round(length * TICKS_PER_QUARTER)
    if not 0 < length <= LONGEST_NOTE or ticks < 1:
        raise ValueError
    return None if name in ("R", "r") else parse_pitch(name), ticks
