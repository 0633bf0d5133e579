"""The measures of an ABC tune, with the notes in each and the repeat signs around it; it knows no playing order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from composer_notation.abc.fields import metre, signature, unit
from composer_notation.abc.rhythm import lengths
from composer_notation.abc.symbols import Head, Symbol, heads, symbols
from composer_notation.sounding import Sounding

_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SHARPS = "FCGDAEB"
_ALTERED = {"__": -2, "_": -1, "=": 0, "^": 1, "^^": 2}


@dataclass(frozen=True)
class Written:
    """A measure as written: notes counted from its start, its length in quarter notes, and the signs around it."""

    notes: tuple[Sounding, ...]
    length: Fraction
    numerator: int
    denominator: int
    before: str  # the bar line that it follows, "" at an ending without one
    after: str
    said: tuple[tuple[Fraction, str], ...] = ()  # chord symbols and remarks, counted from its start
    ending: str = ""  # the times round that it, and what follows it, is for: "1", "1,3"

    @property
    def bar(self) -> Fraction:
        """How long it would be if it were complete."""
        return Fraction(4 * self.numerator, self.denominator)


@dataclass(frozen=True)
class _Stretch:
    """What stands between two bar lines, each symbol with its length."""

    items: tuple[tuple[Symbol, Fraction], ...]
    before: str
    after: str
    ending: str


@dataclass(frozen=True)
class _InForce:
    """What a measure takes over from the one before: the signature, the metre, what is tied over the bar line."""

    fifths: int
    numerator: int
    denominator: int
    tied: tuple[tuple[str, str, int], ...] = ()  # letter, octave marks, semitones


def measures(header: Mapping[str, str], music: str) -> list[Written]:
    """The measures of a voice in written order. ValueError, in words that follow a tune's name, for what is not ABC."""
    signs = metre(header.get("M", ""))
    written = list(symbols(music))
    times = lengths(written, unit(header), signs)
    force = _InForce(signature(header.get("K", "C")).fifths, *signs)
    found = []
    for stretch in _cut(zip(written, times, strict=True)):
        measure, force = _measure(stretch, force)
        found.append(measure)
    return found


def _cut(items: Iterable[tuple[Symbol, Fraction]]) -> list[_Stretch]:
    """The stretches between bar lines; lines with nothing between them are one, and an ending cuts as a line does."""
    found: list[_Stretch] = []
    inside: list[tuple[Symbol, Fraction]] = []
    line, ending = "", ""
    for symbol, time in (*items, (Symbol("bar", "|]"), Fraction(0))):
        if symbol.kind not in ("bar", "ending"):
            inside.append((symbol, time))
            continue
        text = symbol.text if symbol.kind == "bar" else ""
        if any(length for _, length in inside):
            found.append(_Stretch(tuple(inside), line, text, ending))
            inside, line, ending = [], text, ""
        elif text:
            line = f"{line} {text}".strip()
            found[-1:] = [replace(last, after=line) for last in found[-1:]]
        ending = symbol.text.strip("[") if symbol.kind == "ending" else ending
    return found


def _measure(stretch: _Stretch, force: _InForce) -> tuple[Written, _InForce]:
    notes: list[Sounding] = []
    said: list[tuple[Fraction, str]] = []
    altered: dict[str, int] = {}
    sung: list[tuple[str, str, int]] = []
    at = Fraction(0)
    for symbol, time in stretch.items:
        if symbol.kind == "field":
            force = _changed(force, symbol.text)
        elif symbol.kind == "said":
            said.append((at, symbol.text[1:-1]))
        elif symbol.kind == "tie" and sung:
            notes[-len(sung) :] = [replace(note, is_tied=True) for note in notes[-len(sung) :]]
            force = replace(force, tied=tuple(sung))
        elif time:
            sung = _sung(symbol, altered, force)
            notes.extend(Sounding(at, time, _pitch(note)) for note in sung)
            force = replace(force, tied=())
            at += time
    signs = force.numerator, force.denominator
    written = Written(tuple(notes), at, *signs, stretch.before, stretch.after, tuple(said), stretch.ending)
    return written, force


def _sung(symbol: Symbol, altered: dict[str, int], force: _InForce) -> list[tuple[str, str, int]]:
    """The notes of a symbol as letter, octave marks and alteration; accidentals are put down in `altered`."""
    if symbol.kind == "rests":
        return []
    return [(h.letter, h.octaves, _alteration(h, altered, force)) for h in heads(symbol) if h.letter not in "xz"]


def _alteration(head: Head, altered: dict[str, int], force: _InForce) -> int:
    """Semitones: its accidental, else that of the note tied to it, else of its bar in any octave, else of the key."""
    letter = head.letter.upper()
    if head.accidental:
        if head.accidental not in _ALTERED:
            raise ValueError(f"has the accidental '{head.accidental}', which is none")
        altered[letter] = _ALTERED[head.accidental]
    else:
        for letter_tied, octaves, alteration in force.tied:
            if (letter_tied, octaves) == (head.letter, head.octaves):
                return alteration
    return altered.get(letter, _signed(letter, force.fifths))


def _signed(letter: str, fifths: int) -> int:
    """What a signature does to a letter."""
    place = _SHARPS.index(letter)
    return (fifths - place + 6) // 7


def _pitch(note: tuple[str, str, int]) -> int:
    letter, octaves, alteration = note
    octave = 72 if letter.islower() else 60
    pitch = octave + 12 * (octaves.count("'") - octaves.count(",")) + _SEMITONES[letter.upper()] + alteration
    if not 0 <= pitch <= 127:
        raise ValueError(f"has the note '{letter}{octaves[:8]}', which is out of range")
    return pitch


def _changed(force: _InForce, text: str) -> _InForce:
    """What a field inside the music changes."""
    if text[1] == "K":
        return replace(force, fifths=signature(text[3:-1]).fifths)
    if text[1] == "M":
        numerator, denominator = metre(text[3:-1])
        return replace(force, numerator=numerator, denominator=denominator)
    return force
