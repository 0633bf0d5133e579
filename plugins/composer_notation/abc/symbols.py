"""The music of an ABC tune as symbols: notes, rests, bar lines and what changes them; it knows no pitch and no time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from composer.errors import printable

_PITCH = r"[_^=]{0,2}[A-Ga-g][,']*"
_LENGTH = r"\d{0,3}/{0,6}\d{0,3}"
_ENDING = r"[1-9](?:[,-][1-9])*"
_SYMBOL = re.compile(
    rf"""(?P<said>"[^"]*")
      |(?P<skipped>[\s`\\*$]+|y\d*|\{{[^}}]*\}}|![^!|\s]{{1,20}}!|\+[A-Za-z()]{{2,20}}\+|!(?=\s*$)|=(?:20)?\ *$
          |[~.H-Wh-w]|\((?!\d)|\)|\[[A-JN-Za-z]:[^\]]*\])
      |(?P<field>\[[KLM]:[^\]]*\])
      |(?P<note>(?:{_PITCH}|[xz]){_LENGTH})
      |(?P<rests>Z\d{{0,3}})
      |(?P<chord>\[(?:{_PITCH}{_LENGTH}[-.\s]*|"[^"]*")+\]{_LENGTH})
      |(?P<tuplet>\(\d(?::\d?){{0,2}})
      |(?P<tie>-)
      |(?P<broken><{{1,3}}|>{{1,3}})
      |(?P<bar>(?:[|:\]]|\[(?=[|\]]))+)
      |(?P<ending>(?<=[|:\]]){_ENDING}|\[{_ENDING})
    """,
    re.VERBOSE | re.MULTILINE,
)
_NOTE = re.compile(r"([_^=]{0,2})([A-Ga-gxz])([,']*)(\d*)(/*)(\d*)")
_QUOTED = re.compile(r'"[^"]*"')
_CHORD_LENGTH = re.compile(r"\](\d*)(/*)(\d*)$")


@dataclass(frozen=True)
class Symbol:
    """A piece of music text.

    Its kind: `note`, `chord`, `rests` (whole bars), `tuplet`, `tie`, `broken`, `bar`, `ending`, `field`, `said` (a
    chord symbol or a remark in quotes).
    """

    kind: str
    text: str


@dataclass(frozen=True)
class Head:
    """A note as written: accidental, letter (`z`, `x` for a rest), octave marks, and its length in units."""

    accidental: str
    letter: str
    octaves: str
    length: Fraction


def symbols(music: str) -> Iterator[Symbol]:
    """The symbols of a tune in order, without what does not sound. ValueError at a character that fits nowhere."""
    place = 0
    while place < len(music):
        found = _SYMBOL.match(music, place)
        if not found:
            raise ValueError(f"has '{printable(music[place : place + 8].strip())}' where a note was expected")
        if found.lastgroup != "skipped":
            yield Symbol(str(found.lastgroup), found[0])
        place = found.end()


@lru_cache(maxsize=4096)  # a book repeats the same few
def heads(symbol: Symbol) -> tuple[Head, ...]:
    """The note of a `note`, or the notes of a `chord`, whose own length multiplies theirs."""
    factor = Fraction(1)
    text = _QUOTED.sub("", symbol.text)
    if symbol.kind == "chord" and (after := _CHORD_LENGTH.search(text)):
        factor = _length(*after.groups())
        text = text[: after.start()]
    return tuple(
        Head(accidental, letter, octaves, factor * _length(*length))
        for accidental, letter, octaves, *length in _NOTE.findall(text)
    )


def bars_of_rest(symbol: Symbol) -> int:
    """How many bars a `rests` symbol is silent for."""
    return int(symbol.text[1:] or 1)


def _length(over: str, slashes: str, under: str) -> Fraction:
    """`3/2`, `/`, `//`, `/4` and the like; ValueError for a zero."""
    top = int(over or 1)
    bottom = int(under) if under else 2 ** min(len(slashes), 8)
    if not 0 < top < 1000 or not 0 < bottom < 1000:
        raise ValueError(f"has a note of length '{over}{slashes}{under}'")
    return Fraction(top, bottom)
