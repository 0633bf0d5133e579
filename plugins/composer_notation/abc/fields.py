"""Fields of an ABC tune, and the state of a voice that they change.

They state key, time signature, unit length, tempo, properties of a voice, and order of the parts. Section numbers are
those of the ABC standard 2.1. Errors are ValueErrors, in words that follow a tune's name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from composer.errors import printable
from composer.music.keys import LETTERS, Key, parse_key
from composer_notation.bargrid import MODES, count_fifths, find_alteration, has_minor_third
from composer_notation.unfolding import VELOCITY

ALTERATIONS = {"__": -2, "_": -1, "=": 0, "^": 1, "^^": 2}
"""Semitones of each accidental."""

SLOWEST, FASTEST = 1, 1000  # quarter notes a minute; others are left out

_MODES = {mode[:3]: mode for mode in MODES} | {"": "major", "exp": "major"}
_TONIC = re.compile(r"([A-G])([#b]?) *([A-Za-z]*)")
_ACCIDENTALS = re.compile(r"([_^]{1,2}|=)([A-Ga-g])")
_PIPES = ("HP", "Hp")  # of the Highlands: A with F and C sharp

_METRES = {"C": "4/4", "C|": "2/2"}
_METRE = re.compile(r"(\d{1,2}(?:\+\d{1,2}){0,15})/(1|2|4|8|16|32|64)")
_LONGEST_BAR = 64
_UNIT = re.compile(r"1(?:/(1|2|4|8|16|32|64|128|256|512))?")

_QUOTED = re.compile(r'"[^"]*"')
_BEATS = re.compile(r"(\d{1,3})/(\d{1,3})")
_UNITS = re.compile(r"(?:C(\d{0,2}))?")  # of a beat, in unit lengths
_RATE = re.compile(r"\d{1,4}(?:\.\d{1,3})?(?![\d/])")

_PROPERTY = re.compile(r'([^\s"=]+)=("[^"]*"|[^\s"]*)|([^\s"]+)|"[^"]*"|"')
_CLEF = r"(treble|alto|tenor|bass|perc|soprano|mezzosoprano|baritone|none{})\d?([-+^_]8)?"
_CLEF_WORD, _CLEF_VALUE = re.compile(_CLEF.format("")), re.compile(_CLEF.format("|[GFCP]"))
_OCTAVE = re.compile(r"([-+^_]8)(va)?")  # with `va`, an old spelling, it has no effect on pitch
_UNPLAYED = ("score", "sound", "shift", "instrument")

_PART = re.compile(r"([A-Za-z])|([()])|(\d+)")
_MOST_PARTS = 1000


# --- key --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class KeyField:
    """A `K:` field: its key, None if it names none, and the semitones by which it alters C, D, E … B."""

    key: Key | None = None
    altered: tuple[int, ...] = (0,) * 7


NO_SIGNATURE = KeyField()


def parse_key_field(text: str) -> tuple[KeyField | None, Properties]:
    """Parse the value of a `K:` field (3.1.14): the signature, and the properties of the voice beside it.

    A church mode becomes the major or minor key with its third. The signature is None if there are only properties.
    """
    words, others = parse_properties(text, is_key=True)
    named = " ".join(words)
    if not named and others != Properties():
        return None, others
    if named in _PIPES:
        return KeyField(parse_key("A"), _alter_letters(2)), others
    marks = _ACCIDENTALS.search(named)
    head, accidentals = (named[: marks.start()].strip(), named[marks.start() :]) if marks else (named, "")
    if head.lower() in ("", "none"):
        return KeyField(None, _apply_accidentals((0,) * 7, accidentals, text)), others
    found = _TONIC.fullmatch(head)
    mode = found[3][:3] if found else ""
    mode = {"M": "maj", "m": "min"}.get(mode, mode.lower())
    if not found or mode not in _MODES:
        raise ValueError(f"has an invalid key '{printable(text, 40)}'")
    named_mode = _MODES[mode]
    fifths = count_fifths(found[1], {"#": 1, "b": -1}.get(found[2], 0)) + MODES[named_mode]
    altered = (0,) * 7 if mode == "exp" else _alter_letters(fifths)
    key = parse_key(found[1] + found[2] + ("m" if has_minor_third(named_mode) else ""))
    return KeyField(key, _apply_accidentals(altered, accidentals, text)), others


def _alter_letters(fifths: int) -> tuple[int, ...]:
    """Return the alteration of each letter under so many sharps, or flats if negative."""
    return tuple(find_alteration(letter, fifths) for letter in LETTERS)


def _apply_accidentals(altered: tuple[int, ...], accidentals: str, text: str) -> tuple[int, ...]:
    """Apply the accidentals of a field, such as `^f _b`, to its signature."""
    changed = list(altered)
    for accidental, letter in _ACCIDENTALS.findall(accidentals):
        if accidental not in ALTERATIONS:
            raise ValueError(f"has an invalid key '{printable(text, 40)}'")
        changed[LETTERS.index(letter.upper())] = ALTERATIONS[accidental]
    if _ACCIDENTALS.sub("", accidentals).strip(" ,"):
        raise ValueError(f"has an invalid key '{printable(text, 40)}'")
    return tuple(changed)


# --- time -------------------------------------------------------------------------------------------------------------


def parse_time_signature(text: str) -> tuple[int, int] | None:
    """Parse the value of an `M:` field (3.1.6) as (numerator, denominator); None for free metre."""
    named = text.strip()
    if named.lower() in ("", "none"):
        return None
    found = _METRE.fullmatch(_METRES.get(named, re.sub(r"[ ()]", "", named)))
    numerator = sum(int(part) for part in found[1].split("+")) if found else 0
    if not found or not 0 < numerator <= _LONGEST_BAR:
        raise ValueError(f"has an invalid metre '{printable(text, 40)}'")
    return numerator, int(found[2])


def parse_unit_length(text: str) -> Fraction:
    """Parse the value of an `L:` field (3.1.7): the length in quarter notes of a note without a number."""
    found = _UNIT.fullmatch(text.replace(" ", ""))
    if not found:
        raise ValueError(f"has an invalid unit length '{printable(text, 40)}'")
    return Fraction(4, int(found[1] or 1))


def choose_unit_length(time_signature: tuple[int, int] | None) -> Fraction:
    """Return the default unit length: a sixteenth in time signatures shorter than 3/4, else an eighth."""
    return Fraction(1, 4) if time_signature and 4 * time_signature[0] < 3 * time_signature[1] else Fraction(1, 2)


def parse_tempo(text: str, unit: Fraction) -> float | None:
    """Parse the value of a `Q:` field (3.1.8) as quarter notes a minute; None for words and unplayable tempos.

    Beats are added up: `1/4 3/8=40` is five eighths at 40. A number alone counts unit lengths (10.1).
    """
    beats, equals, rate = (part.strip() for part in _QUOTED.sub(" ", text[:200]).partition("="))
    if not equals:
        beats, rate = "", beats
    number = _RATE.match(rate)
    values = [Fraction(4 * int(top), int(bottom)) for top, bottom in _BEATS.findall(beats) if int(bottom)]
    units = _UNITS.fullmatch(beats)
    length = int(units[1] or 1) * unit if units else sum(values, Fraction(0))
    bpm = float(length) * float(number[0]) if number else 0
    return bpm if SLOWEST <= bpm <= FASTEST else None


# --- voices and parts -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Properties:
    """The properties of a voice in a `V:` or `K:` field (4.6, 7.1); None for those not stated."""

    name: str | None = None
    octave: int | None = None
    transpose: int | None = None
    clef_octave: int | None = None
    is_drum: bool | None = None
    unplayed: int = 0  # number of those that would change the sound, and are left out


def parse_properties(text: str, *, is_key: bool = False) -> tuple[list[str], Properties]:
    """Split a field into properties, and the words that belong to none."""
    words: list[str] = []
    found: dict[str, str] = {}
    for name, value, word in _PROPERTY.findall(text[:2000]):
        if name and (name.islower() or not is_key):
            found[name] = value.strip('"')
        elif _CLEF_WORD.fullmatch(word) and (word != "none" or words):
            found["clef"] = word
        elif octave := _OCTAVE.fullmatch(word):
            found["clef"] = f"{found.get('clef', 'treble')}{'' if octave[2] else octave[1]}"
        elif name or word:
            words.append(f"{name}={value}" if name else word)
    clef = _CLEF_VALUE.match(found.get("clef", ""))
    return words, Properties(
        name=found.get("name", found.get("nm")),
        octave=_parse_number(found.get("octave"), 10),
        transpose=_parse_number(found.get("transpose", found.get("t")), 127),
        clef_octave={"-8": -1, "_8": -1, "+8": 1, "^8": 1}.get(clef[2] or "", 0) if clef else None,
        is_drum=clef[1] in ("perc", "P") if clef else None,
        unplayed=sum(name in found for name in _UNPLAYED),
    )


def _parse_number(text: str | None, most: int) -> int | None:
    found = re.fullmatch(r"[-+]?\d{1,3}", text or "")
    return int(found[0]) if found and abs(int(found[0])) <= most else None


def expand_parts(text: str) -> list[str]:
    """Expand the `P:` field of a header (3.1.9): `(AB)2C` to A, B, A, B, C."""
    stack: list[list[str]] = [[]]
    last: list[str] = []  # the labels that a number repeats
    for letter, bracket, number in _PART.findall(text):
        if letter:
            last = [letter]
            stack[-1] += last
        elif bracket == "(":
            stack.append([])
        elif bracket and len(stack) > 1:
            last = stack.pop()
            stack[-1] += last
        elif number and last:
            times = int(number[:6])
            if len(last) * times > _MOST_PARTS:
                raise ValueError(f"plays more than {_MOST_PARTS:,} parts")
            stack[-1] += last * (times - 1) if times else []
            last = []
        if sum(map(len, stack[-2:])) > _MOST_PARTS or len(stack) > _MOST_PARTS:
            raise ValueError(f"plays more than {_MOST_PARTS:,} parts")
    return [label for group in stack for label in group]


# --- the state of a voice ---------------------------------------------------------------------------------------------


_WITHOUT_EFFECT = (["gchordoff"], ["grace"], ["ratio"])  # stated elsewhere, or never played


@dataclass(frozen=True)
class VoiceState:
    """The state of a voice: key, time signature, octave, instrument and more."""

    signature: KeyField = NO_SIGNATURE
    time_signature: tuple[int, int] | None = None
    unit: Fraction = Fraction(1, 2)  # quarter notes
    octave: int = 0
    transpose: int = 0  # semitones
    clef_octave: int = 0
    velocity: int = VELOCITY
    program: int | None = None
    is_drum: bool = False
    sounds: Mapping[str, int] = field(default_factory=dict)  # of a drum voice: General MIDI sounds by note
    reach: str = "pitch"  # of an accidental: `pitch` (in every octave), `octave` or `not`

    @property
    def shift(self) -> int:
        """Semitones from written to sounding pitch."""
        return 12 * (self.octave + self.clef_octave) + self.transpose


def apply_field(force: VoiceState, text: str, left_out: Counter[str]) -> VoiceState:
    """Apply a field such as `K:D`, and count what is not understood. ValueError if it is wrong."""
    letter, _, value = text.partition(":")
    match letter:
        case "K":
            its, others = parse_key_field(value)
            return _apply_properties(replace(force, signature=its or force.signature), others, left_out)
        case "M":
            return replace(force, time_signature=parse_time_signature(value))
        case "L":
            return replace(force, unit=parse_unit_length(value))
        case "V":
            return _apply_properties(force, parse_properties(value)[1], left_out)
        case "I":
            return apply_directive(force, value.split(), left_out)
    return force


def _apply_properties(force: VoiceState, others: Properties, left_out: Counter[str]) -> VoiceState:
    """Apply properties of a voice."""
    left_out["transpositions and instruments of other programs"] += others.unplayed
    values = {name: getattr(others, name) for name in ("octave", "transpose", "clef_octave", "is_drum")}
    return replace(force, **{name: value for name, value in values.items() if value is not None})


def apply_directive(force: VoiceState, words: list[str], left_out: Counter[str]) -> VoiceState:
    """Apply a directive (`%%` or `I:`): an instrument, a drum, the reach of accidentals."""
    match words:
        case ["MIDI", "program", number] | ["MIDI", "program", _, number] if _is_between(number, 0, 127):
            return _set_program(force, int(number), left_out)
        case ["MIDI", "channel", number] if number.isdecimal():
            return replace(force, is_drum=number == "10")
        case ["MIDI", "drummap", note, sound] | ["percmap", note, sound, *_] if _is_between(sound, 0, 127):
            return replace(force, sounds={**force.sounds, note: int(sound)})
        case ["MIDI", "transpose", number] if _is_between(number.lstrip("-"), 0, 127):
            return replace(force, transpose=int(number))
        case ["MIDI", "voice", *settings]:
            numbers = [word.partition("=")[2] for word in settings if word.startswith("instrument=")]
            if numbers and _is_between(numbers[0], 1, 128):
                return _set_program(force, int(numbers[0]) - 1, left_out)
        case ["MIDI", "nobarlines"]:
            return replace(force, reach="not")
        case ["MIDI", "barlines"]:
            return replace(force, reach="pitch")
        case ["propagate-accidentals", "not" | "octave" | "pitch" as reach]:
            return replace(force, reach=reach)
    left_out["%%MIDI lines"] += words[:1] == ["MIDI"] and words[1:2] not in _WITHOUT_EFFECT
    return force


def _set_program(force: VoiceState, program: int, left_out: Counter[str]) -> VoiceState:
    """Set the instrument; a track keeps the first one named."""
    left_out["changes of instrument"] += force.program not in (None, program)
    return force if force.program is not None else replace(force, program=program)


def _is_between(text: str, low: int, high: int) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 3 and low <= int(text) <= high
