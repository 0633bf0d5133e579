"""The text of an ABC file cut into tunes, each with its header and its lines of music; it knows no note.

ABC is described at https://abcnotation.com/wiki/abc:standard:v2.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from composer.keys import Key, parse_key

_FIELD = re.compile(r"^([A-Za-z]):(.*)$")
_IN_THE_MUSIC = "KLM"
_SKIPPED_IN_THE_MUSIC = "HINOPQRSTUVWXZmrsw"
_MINOR_THIRD = ("m", "min", "aeo", "dor", "phr", "loc")
_FIFTHS_OFF_MAJOR = {"lyd": 1, "mix": -1, "dor": -2, "m": -3, "min": -3, "aeo": -3, "phr": -4, "loc": -5}
_MAJOR = ("", "maj", "ion")
_KEY = re.compile(r"^([A-G])([#b]?)\s*([A-Za-z]*)$")


@dataclass(frozen=True)
class Tune:
    """One tune as written: its header fields by letter, and its music with fields inside it as `[K:…]`."""

    header: Mapping[str, str]
    music: str


@dataclass(frozen=True)
class Signature:
    """A `K:` field: the key, and the sharps (positive) or flats of its signature, which a church mode changes."""

    key: Key
    fifths: int


def tunes(text: str) -> Iterator[Tune]:
    """The tunes of a file, in order: each begins with an `X:` field and its header ends with the first `K:`."""
    for block in re.split(r"^(?=X:)", text.replace("\r\n", "\n").replace("\r", "\n"), flags=re.MULTILINE):
        if block.startswith("X:"):
            yield _tune(block)


def _tune(block: str) -> Tune:
    header: dict[str, str] = {}
    music: list[str] = []
    for line in block.split("\n"):
        line = line.partition("%")[0].rstrip()
        field = _FIELD.match(line)
        if "K" not in header:
            if field:
                header.setdefault(field[1], field[2].strip())
        elif field and field[1] in _IN_THE_MUSIC:
            music.append(f"[{line}]")
        elif not (field and field[1] in _SKIPPED_IN_THE_MUSIC):
            music.append(line)
    return Tune(header, "\n".join(music))


def signature(text: str) -> Signature:
    """The value of a `K:` field, with a church mode as the major or minor key of its third. ValueError for others."""
    found = _KEY.match(text.strip())
    mode = found[3].lower()[:3] if found else None
    if not found or mode is None or mode not in (*_MAJOR, *_FIFTHS_OFF_MAJOR):
        raise ValueError(f"has the key '{text}', which is none")
    tonic = found[1] + found[2]
    major = "FCGDAEB".index(found[1]) - 1 + {"#": 7, "b": -7}.get(found[2], 0)
    minor = mode in _MINOR_THIRD
    return Signature(parse_key(tonic + ("m" if minor else "")), major + _FIFTHS_OFF_MAJOR.get(mode, 0))


def metre(text: str) -> tuple[int, int]:
    """The value of an `M:` field as (numerator, denominator); ValueError for none."""
    common = {"C": "4/4", "C|": "2/2"}.get(text.strip(), text.strip())
    found = re.match(r"^(\d{1,2})/(1|2|4|8|16|32)$", common)
    if not found or int(found[1]) == 0:
        raise ValueError(f"has the metre '{text}', which gives no bars")
    return int(found[1]), int(found[2])


def unit(header: Mapping[str, str], numerator: int, denominator: int) -> Fraction:
    """Length in quarter notes of a note without a number: the `L:` field, else as the metre has it."""
    if "L" in header:
        return unit_length(header["L"])
    return Fraction(1, 4) if 4 * numerator < 3 * denominator else Fraction(1, 2)


def unit_length(text: str) -> Fraction:
    """The value of an `L:` field in quarter notes; ValueError if it is no fraction of a whole note."""
    found = re.match(r"^1/(1|2|4|8|16|32|64)$", text.replace(" ", ""))
    if not found:
        raise ValueError(f"has the unit length '{text}', which is none")
    return Fraction(4, int(found[1]))
