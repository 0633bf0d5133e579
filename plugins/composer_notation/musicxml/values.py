"""Values in elements of MusicXML: lengths, pitches, time signatures, tempos, chord symbols."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import lru_cache
from xml.etree.ElementTree import Element

from composer.music.chords import find_chord
from composer.music.keys import SEMITONES

# --- numbers ----------------------------------------------------------------------------------------------------------


GRID = 2**10 * 3**2 * 5 * 7 * 11 * 13
"""Parts of a quarter note in which lengths are counted; other divisions are rounded to these."""

_COARSE = 2**10 * 3**2 * 5 * 7

MOST_QUARTERS = 2**24
"""Longest duration in quarter notes; a longer one is cut to it, and the piece then refused for its length."""

_QUARTERS = {
    "maxima": Fraction(32), "long": Fraction(16), "breve": Fraction(8), "whole": Fraction(4), "half": Fraction(2),
    "quarter": Fraction(1), "eighth": Fraction(1, 2), "16th": Fraction(1, 4), "32nd": Fraction(1, 8),
    "64th": Fraction(1, 16),
}  # fmt: skip
_NUMBER = re.compile(r"\d{1,6}(?:\.\d{0,6})?")
MOST_BEATS = 64
_UNITS = (1, 2, 4, 8, 16, 32, 64)


class NotUnderstood(ValueError):
    """An element with an impossible value."""


class TooLarge(ValueError):
    """A score that is too large; the text is the reason, in words that follow a file's name."""


def get_text(element: Element, tag: str) -> str:
    """Read the text of the first child with that tag, "" if there is none."""
    return (element.findtext(tag) or "").strip()


@lru_cache(maxsize=4096)
def read_number(text: str) -> Fraction:
    """Read a decimal number. Raises NotUnderstood."""
    try:
        value = Fraction(text) if len(text) <= 24 and "/" not in text and "e" not in text.lower() else None
    except ValueError:
        value = None
    if value is None:
        raise NotUnderstood(text)
    return value


@lru_cache(maxsize=4096)
def read_duration(text: str, divisions: Fraction) -> int:
    """Read a duration in divisions of a quarter note as parts of `GRID`. Raises NotUnderstood."""
    return min(max(round(read_number(text) * GRID / divisions), 0), MOST_QUARTERS * GRID)


@lru_cache(maxsize=65_536)
def convert_to_quarters(units: int) -> Fraction:
    """Convert parts of `GRID` to quarter notes."""
    return Fraction(units, GRID)


def round_length(units: int) -> Fraction:
    """Convert parts of `GRID` to quarter notes, without the rounding errors that tuplets of odd divisions add up to."""
    return Fraction(round(Fraction(units * _COARSE, GRID)), _COARSE)


def read_pitch(element: Element) -> tuple[int, bool]:
    """Read a `<pitch>` as a MIDI pitch, and whether a microtone in it was rounded. Raises NotUnderstood."""
    step, octave, alter = (element.findtext(tag) for tag in ("step", "octave", "alter"))
    return _compute_pitch(step or "", octave or "", alter or "0")


@lru_cache(maxsize=4096)
def _compute_pitch(step: str, octave: str, alter: str) -> tuple[int, bool]:
    if step.strip() not in SEMITONES:
        raise NotUnderstood(step)
    moved = read_number(alter.strip())
    exact = 12 * (read_number(octave.strip()) + 1) + SEMITONES[step.strip()] + moved
    return round(exact), moved.denominator != 1


def read_time_signature(element: Element) -> tuple[int, int] | None:
    """Read a `<time>` such as 3/4, 2+3/8 or 3/8 + 2/4; None for one that gives no bars. Raises NotUnderstood."""
    if element.find("senza-misura") is not None:
        return None
    beats, units = ([child.text or "" for child in element.findall(tag)] for tag in ("beats", "beat-type"))
    pairs = [
        (sum(_read_integer(part) for part in top.split("+")), _read_integer(unit))
        for top, unit in zip(beats, units, strict=False)
    ]
    if not pairs or len(pairs) > MOST_BEATS or any(unit not in _UNITS for _, unit in pairs):
        raise NotUnderstood("time")
    smallest = max(unit for _, unit in pairs)
    total = sum(top * smallest // unit for top, unit in pairs)
    if not 1 <= total <= MOST_BEATS:
        raise NotUnderstood("time")
    return total, smallest


def _read_integer(text: str) -> int:
    if not re.fullmatch(r"\s*\d{1,3}\s*", text):
        raise NotUnderstood(text)
    return int(text)


def read_endings(text: str) -> tuple[int, ...]:
    """Read the numbers of an ending, such as `1`, `1, 2` or `1-3`. Raises NotUnderstood."""
    found: set[int] = set()
    for part in text.replace(".", " ").replace(",", " ").split():
        first, _, last = part.partition("-")
        begin, end = _read_integer(first), _read_integer(last or first)
        if not 1 <= begin <= end <= MOST_BEATS:
            raise NotUnderstood(text)
        found.update(range(begin, end + 1))
    if not found:
        raise NotUnderstood(text)
    return tuple(sorted(found))


def read_metronome(element: Element) -> float:
    """Read a `<metronome>` as quarter notes a minute. Raises NotUnderstood for one that states no number."""
    rate = _NUMBER.search(get_text(element, "per-minute"))
    units = list(_read_beat_units(element))
    if not rate or len(units) != 1:
        raise NotUnderstood("metronome")
    return float(Fraction(rate[0]) * units[0])


def _read_beat_units(element: Iterable[Element]) -> Iterator[Fraction]:
    """Read the note values of a metronome mark in quarter notes, with their dots."""
    value = dotted = Fraction(0)
    for child in element:
        if child.tag == "beat-unit":
            if value:
                yield value
            value = dotted = _QUARTERS.get((child.text or "").strip(), Fraction(0))
        elif child.tag == "beat-unit-dot":
            dotted /= 2
            value += dotted
    if value:
        yield value


# --- chord symbols as text, such as `Am7b5` ---------------------------------------------------------------------------


NAMES = {
    "major": "", "minor": "m", "augmented": "aug", "diminished": "dim", "dominant": "7", "major-seventh": "maj7",
    "minor-seventh": "m7", "diminished-seventh": "dim7", "augmented-seventh": "aug7", "half-diminished": "m7b5",
    "major-minor": "mM7", "major-sixth": "6", "minor-sixth": "m6", "dominant-ninth": "9", "major-ninth": "maj9",
    "minor-ninth": "m9", "dominant-11th": "11", "major-11th": "maj11", "minor-11th": "m11", "dominant-13th": "13",
    "major-13th": "maj13", "minor-13th": "m13", "suspended-second": "sus2", "suspended-fourth": "sus4", "power": "5",
}  # fmt: skip
"""Usual qualities of chords, by MusicXML's kinds."""

KINDS = {name: kind for kind, name in NAMES.items()} | {"69": "major-sixth", "m69": "minor-sixth", "mM9": "major-minor"}
"""MusicXML's kinds, by the bases of qualities; a ninth that the kind lacks is a degree of its own."""

_ALTERS = {-2: "bb", -1: "b", 0: "", 1: "#", 2: "##"}


def read_chord(element: Element) -> str:
    """Read a `<harmony>`, "" if it names no chord in letters. Raises NotUnderstood."""
    kind = get_text(element, "kind")
    if kind == "none":
        return "N.C."
    root, bass = (_read_letter(element.find(name), name) for name in ("root", "bass"))
    quality = _read_quality(element, kind)
    if not root or quality is None:
        return ""
    if quality[:1] in ("#", "b") and len(quality) > 1:
        quality = f"({quality})"
    return f"{root}{quality}{'/' if bass else ''}{bass}"


def _read_letter(element: Element | None, name: str) -> str:
    if element is None:
        return ""
    step, alter = get_text(element, f"{name}-step"), read_number(get_text(element, f"{name}-alter") or "0")
    if len(step) != 1 or step not in "ABCDEFG" or alter not in _ALTERS:
        raise NotUnderstood(name)
    return step + _ALTERS[int(alter)]


def _read_quality(element: Element, kind: str) -> str | None:
    """Return the text after the root: as printed if that agrees with the kind, else the usual name of the kind."""
    printed = "".join(text for found in element.iterfind("kind") for text in found.get("text", "").split())
    degrees = "".join(_read_degree(degree) for degree in element.iterfind("degree"))
    named = NAMES.get(kind, printed) + degrees
    agreed, fits = _find_tones(named), [_find_tones(text) for text in (printed, printed + degrees)]
    if printed and agreed in fits:
        return (printed, printed + degrees)[fits.index(agreed)]
    return named if kind in NAMES else printed or None


def _find_tones(quality: str) -> frozenset[int] | None:
    found = find_chord(f"C({quality})")
    return None if found is None else found.tones


def _read_degree(element: Element) -> str:
    """Read a tone that is added, altered or left out: `add9`, `b5`, `no3`."""
    value, kind = get_text(element, "degree-value"), get_text(element, "degree-type")
    alter = read_number(get_text(element, "degree-alter") or "0")
    if not (value.isdecimal() and len(value) < 3) or alter not in _ALTERS:
        raise NotUnderstood("degree")
    sign = _ALTERS[int(alter)]
    return {"add": f"add{sign}{value}", "subtract": f"no{value}"}.get(kind, f"{sign}{value}")
