"""What the fields of an ABC tune say: key, metre, unit length, tempo; it knows no music text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from composer.errors import printable
from composer.keys import Key, parse_key

_MINOR_THIRD = ("m", "min", "aeo", "dor", "phr", "loc")
_FIFTHS_OFF_MAJOR = {"lyd": 1, "mix": -1, "dor": -2, "m": -3, "min": -3, "aeo": -3, "phr": -4, "loc": -5}
_MAJOR = ("", "maj", "ion")
_KEY = re.compile(r"^([A-G])([#b]?)\s*([A-Za-z]*)$")
_CLEFS = re.compile(r"\s+(?:[a-z]+=\S+|treble|bass|alto|tenor|perc)\S*")
_PIPES = ("HP", "Hp")  # of the Highlands: A with F and C sharp
_TEMPO = re.compile(r"(\d{1,2})/(\d{1,2})\s*=\s*(\d{1,3})")
_LONGEST_BAR = 64


@dataclass(frozen=True)
class Signature:
    """A `K:` field: the key, and the sharps (positive) or flats of its signature, which a church mode changes."""

    key: Key
    fifths: int


def signature(text: str) -> Signature:
    """The value of a `K:` field, with a church mode as the major or minor key of its third. ValueError for others."""
    named = _CLEFS.sub("", f" {text}").strip()
    if named in _PIPES:
        return Signature(parse_key("A"), 2)
    found = _KEY.match(named)
    mode = found[3][:3] if found else ""
    mode = mode if mode in ("m", "M") else mode.lower()
    mode = "maj" if mode == "M" else mode
    if not found or mode not in (*_MAJOR, *_FIFTHS_OFF_MAJOR):
        raise ValueError(f"has the key '{printable(text, 40)}', which is none")
    major = "FCGDAEB".index(found[1]) - 1 + {"#": 7, "b": -7}.get(found[2], 0)
    minor = mode in _MINOR_THIRD
    return Signature(parse_key(found[1] + found[2] + ("m" if minor else "")), major + _FIFTHS_OFF_MAJOR.get(mode, 0))


def metre(text: str) -> tuple[int, int]:
    """The value of an `M:` field as (numerator, denominator); ValueError for none."""
    common = {"C": "4/4", "C|": "2/2", "": "4/4"}.get(text.strip(), text.strip())
    found = re.match(r"^(\d{1,2})/(1|2|4|8|16|32)$", common)
    if not found or not 0 < int(found[1]) <= _LONGEST_BAR:
        raise ValueError(f"has the metre '{printable(text, 40)}', which gives no bars")
    return int(found[1]), int(found[2])


def unit(header: Mapping[str, str]) -> Fraction:
    """Length in quarter notes of a note without a number: the `L:` field, else as the metre has it."""
    if "L" in header:
        return unit_length(header["L"])
    numerator, denominator = metre(header.get("M", ""))
    return Fraction(1, 4) if 4 * numerator < 3 * denominator else Fraction(1, 2)


def unit_length(text: str) -> Fraction:
    """The value of an `L:` field in quarter notes; ValueError if it is no fraction of a whole note."""
    found = re.match(r"^1/(1|2|4|8|16|32|64)$", text.replace(" ", ""))
    if not found:
        raise ValueError(f"has the unit length '{printable(text, 40)}', which is none")
    return Fraction(4, int(found[1]))


def tempo(header: Mapping[str, str]) -> float | None:
    """Quarter notes a minute by a `Q:` field such as `1/4=100`; None for one that names none, or makes no sense."""
    found = _TEMPO.search(header.get("Q", ""))
    top, bottom, rate = (int(part) for part in found.groups()) if found else (0, 0, 0)
    bpm = float(Fraction(4 * top, bottom) * rate) if bottom else 0.0
    return bpm if 5 <= bpm <= 1000 else None
