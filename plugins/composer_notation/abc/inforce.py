"""The state of a voice, by which its notes are read, and the fields that change it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from composer_notation.abc.fields import (
    NO_SIGNATURE,
    KeyField,
    Properties,
    parse_key_field,
    parse_properties,
    parse_time_signature,
    parse_unit_length,
)
from composer_notation.sounding import VELOCITY

_WITHOUT_EFFECT = (["gchordoff"], ["grace"], ["ratio"])  # stated elsewhere, or never played


@dataclass(frozen=True)
class VoiceState:
    """The state of a voice: key, metre, octave, instrument and more."""

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
