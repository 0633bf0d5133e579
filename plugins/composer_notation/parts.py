"""The notes of one music21 part, measure by measure, as exact fractions; it knows no tick and no Score.

Offsets count from the start of the measure, in quarter notes, so that a measure can be laid down more than once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from composer_notation.sounding import VELOCITY, Sounding
from composer_notation.writing.drumkit import sound_of


def measures_of(part: Any) -> list[Any]:
    """The measures of a part; made from its time signatures if it was written without any."""
    from music21 import stream

    found = list(part.getElementsByClass(stream.Measure))
    return found or list(part.makeMeasures().getElementsByClass(stream.Measure))


def length_of(measure: Any) -> Fraction:
    """How long a measure lasts as written, in quarter notes; a measure without notes or rests is a full bar."""
    length = exact(measure.highestTime)
    return length if length > 0 else exact(measure.barDuration.quarterLength)


def notes_of(measure: Any) -> list[Sounding]:
    """Every note of a measure; grace notes, chord symbols and notes without a pitch are not among them."""
    from music21 import harmony

    found: list[Sounding] = []
    for voice, element in _elements(measure):
        if isinstance(element, harmony.Harmony) or element.duration.isGrace:
            continue
        place = exact(element.getOffsetInHierarchy(measure)), exact(element.quarterLength)
        if place[1] > 0:
            found.extend(_one(single, place, voice) for single in _singles(element))
    return found


def struck(measure: Any) -> list[Sounding]:
    """The notes of a measure for a drum kit, whose pitches are the sounds' numbers in General MIDI.

    A sound is told by its line and note head, as `composer_notation.writing.drumkit` writes them.
    """
    from music21 import note

    found: list[Sounding] = []
    for voice, element in _elements(measure):
        place = exact(element.offset), exact(element.duration.quarterLength)
        for single in _written(element):
            if isinstance(single, note.Unpitched):
                sound = sound_of(single.displayStep, single.displayOctave, str(single.notehead))
                found += [] if sound is None else [_of_pitch(single, place, voice, sound)]
    return found


def is_unpitched(measure: Any) -> bool:
    """Whether a measure holds notes without a pitch."""
    from music21 import note

    return any(isinstance(single, note.Unpitched) for _, element in _elements(measure) for single in _written(element))


def exact(quarters: Any) -> Fraction:
    """music21's floats and fractions as fractions of a sensible size."""
    return Fraction(quarters).limit_denominator(10_080)


def _elements(measure: Any) -> Iterator[tuple[str, Any]]:
    for element in measure.notes:
        yield "", element
    for voice in measure.voices:
        for element in voice.notes:
            yield str(voice.id), element


def _singles(element: Any) -> list[Any]:
    """The notes of a note or chord that have a pitch which MIDI can say."""
    return [single for single in _written(element) if hasattr(single, "pitch") and 0 <= single.pitch.midi <= 127]


def _written(element: Any) -> Sequence[Any]:
    return getattr(element, "notes", (element,))


def _one(single: Any, place: tuple[Fraction, Fraction], voice: str) -> Sounding:
    return _of_pitch(single, place, voice, int(single.pitch.midi))


def _of_pitch(single: Any, place: tuple[Fraction, Fraction], voice: str, pitch: int) -> Sounding:
    is_tied = single.tie is not None and single.tie.type in ("start", "continue")
    velocity = single.volume.velocity or VELOCITY
    return Sounding(*place, pitch, max(1, min(127, int(velocity))), is_tied, voice)
