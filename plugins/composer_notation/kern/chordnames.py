"""Chord symbols of `**mxhm` columns, which name chords as MusicXML does, as text such as `Am7b5` or `D/F#`."""

from __future__ import annotations

import re

from composer_notation.musicxml.chordsymbols import NAMES

_CHORD = re.compile(r"^([A-G])([#-]{0,2}) ([a-z0-9-]{1,24})(?:/([A-G])([#-]{0,2}))?$")


def convert_chord(text: str) -> str:
    """Convert `B- minor-seventh/D` to `Bbm7/D`; "" if it names no chord."""
    found = _CHORD.match(text)
    if not found or found[3] not in NAMES:
        return "N.C." if text == "none" else ""
    bass = f"/{found[4]}{_convert_flats(found[5])}" if found[4] else ""
    return f"{found[1]}{_convert_flats(found[2])}{NAMES[found[3]]}{bass}"


def _convert_flats(sign: str) -> str:
    return sign.replace("-", "b")
