"""A music21 stream as a Score; it knows no file.

Ties are merged and repeats played. Grace notes, fermatas and lyrics are left out.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

from composer.errors import ReadingWarning
from composer.score import Score, Tempo, Text, Track, make_notes
from composer_notation.bargrid import Measure, ticks, time_signatures, upbeat_of
from composer_notation.keysigns import key_signatures
from composer_notation.parts import exact, is_unpitched, length_of, measures_of, notes_of
from composer_notation.repeats import play_order
from composer_notation.sounding import rows, voices

SLOWEST, FASTEST = 5, 1000  # quarter notes a minute; others are left out
_CHOIR = 52
_FLAT = re.compile(r"(?<=^[A-G])-|(?<=/[A-G])-")  # music21 writes B-7 for Bb7
_SUNG = ("soprano", "alto", "tenor", "bass", "baritone", "voice", "choir", "vocal")


@dataclass(frozen=True)
class _Laid:
    """The measures of a piece in playing order: which one is played (its index), and where it lies."""

    order: tuple[int, ...]
    measures: tuple[Measure, ...]

    def places(self) -> list[tuple[int, Fraction]]:
        """Index of each measure played, with its start in quarter notes."""
        return [(index, measure.start) for index, measure in zip(self.order, self.measures, strict=True)]


def score_from_music21(stream: Any, title: str = "", *, repeats: bool = True) -> Score:
    """The Score of a music21 Score or Part: a track per part, or per voice where voices of a part overlap.

    With `repeats=False` every measure is played once, as written. Warns with ReadingWarning of repeats that are not
    well formed, and of notes without a pitch.
    """
    from music21 import stream as streams

    stream = _at_sounding_pitch(stream)
    parts = list(stream.parts) if isinstance(stream, streams.Score) else [stream]
    written = [measures_of(part) for part in parts]
    longest = max(written, key=len, default=[])
    order = play_order(longest, _brackets(stream)) if repeats else range(len(longest))
    laid = _lay(written, longest, order)
    tracks = [t for part, measures in zip(parts, written, strict=True) for t in _tracks(part, measures, laid)]
    return Score(
        tracks=tuple(tracks),
        tempos=_tempos(longest, laid),
        time_signatures=time_signatures(laid.measures),
        key_signatures=key_signatures(_with_keys(written, longest), laid.places(), tracks),
        upbeat=upbeat_of(laid.measures),
        markers=_markers(longest, laid),
        chords=_chords(written, laid),
        title=title or _title(stream),
    )


def _at_sounding_pitch(stream: Any) -> Any:
    """The stream with the notes of transposing instruments as they sound."""
    from music21 import instrument

    transposing = any(i.transposition for i in stream.recurse().getElementsByClass(instrument.Instrument))
    return stream.toSoundingPitch() if transposing else stream


def _brackets(stream: Any) -> list[Any]:
    from music21 import spanner

    return list(stream.recurse().getElementsByClass(spanner.RepeatBracket))


def _lay(written: Sequence[Sequence[Any]], measures: Sequence[Any], order: Sequence[int]) -> _Laid:
    """The measures, of one part, in playing order one after the other; each as long as most parts have it."""
    alike = [_lengths(part) for part in written if len(part) == len(measures)]
    signature, laid = (4, 4), []
    for place, measure in enumerate(measures):
        if sign := measure.timeSignature:
            signature = (sign.numerator, sign.denominator)
        full = Measure(Fraction(0), Fraction(0), *signature)
        laid.append(replace(full, length=_agreed([lengths[place] for lengths in alike], full.bar)))
    start, played = Fraction(0), []
    for index in order:
        played.append(replace(laid[index], start=start))
        start += laid[index].length
    return _Laid(tuple(order), tuple(played))


def _lengths(measures: Sequence[Any]) -> list[Fraction]:
    """How long each measure of a part lasts; one that overlaps the next in writing ends where that one begins."""
    starts = [exact(measure.offset) for measure in measures]
    return [max(b - a, Fraction(0)) for a, b in pairwise(starts)] + [length_of(measure) for measure in measures[-1:]]


def _agreed(lengths: Sequence[Fraction], bar: Fraction) -> Fraction:
    """The length that most parts have; of several such, a full bar, or else the longest."""
    return max(lengths, key=lambda length: (lengths.count(length), length == bar, length))


def _tracks(part: Any, measures: Sequence[Any], laid: _Laid) -> list[Track]:
    """One track of a part, or one for each of its voices if they sound together."""
    if any(is_unpitched(measure) for measure in measures):
        warnings.warn("notes without a pitch, of drums perhaps, were left out", ReadingWarning, stacklevel=2)
    heard = [notes_of(measure) for measure in measures]
    notes = [
        replace(note, start=start + note.start)
        for index, start in laid.places()
        if index < len(heard)
        for note in heard[index]
    ]
    groups = voices(notes)
    name, program = _name(part), _program(part)
    names = [name] if len(groups) == 1 else [f"{name} {i}".strip() for i in range(1, len(groups) + 1)]
    return [Track(make_notes(rows(group)), own, program) for own, group in zip(names, groups, strict=True)]


def _tempos(measures: Sequence[Any], laid: _Laid) -> tuple[Tempo, ...]:
    from music21 import tempo

    found: dict[int, float] = {}
    for index, start in laid.places():
        for mark in measures[index].recurse().getElementsByClass(tempo.MetronomeMark):
            bpm = mark.getQuarterBPM()
            if bpm is not None and SLOWEST <= bpm <= FASTEST:
                found[ticks(start + exact(mark.getOffsetInHierarchy(measures[index])))] = float(bpm)
    marks = [Tempo(tick, bpm) for tick, bpm in sorted(found.items())]
    return tuple(mark for i, mark in enumerate(marks) if i == 0 or mark.bpm != marks[i - 1].bpm)


def _with_keys(written: Sequence[Sequence[Any]], longest: Sequence[Any]) -> Sequence[Any]:
    """The measures of the first part with a key signature: a staff of drums has none."""
    whole = [measures for measures in written if len(measures) == len(longest)]
    return next((measures for measures in whole if any(m.keySignature for m in measures)), longest)


def _markers(measures: Sequence[Any], laid: _Laid) -> tuple[Text, ...]:
    """The names of sections: rehearsal marks."""
    from music21 import expressions

    found = set()
    for index, start in laid.places():
        for mark in measures[index].getElementsByClass(expressions.RehearsalMark):
            found.add(Text(ticks(start + exact(mark.offset)), str(mark.content or "")))
    return tuple(sorted(mark for mark in found if mark.text))


def _chords(written: Sequence[Sequence[Any]], laid: _Laid) -> tuple[Text, ...]:
    from music21 import harmony

    found = set()
    for index, start in laid.places():
        for measure in (measures[index] for measures in written if index < len(measures)):
            for symbol in measure.recurse().getElementsByClass(harmony.Harmony):
                place = ticks(start + exact(symbol.getOffsetInHierarchy(measure)))
                found.add(Text(place, _FLAT.sub("b", str(symbol.figure or ""))))
    return tuple(sorted(found))


def _name(part: Any) -> str:
    return " ".join(str(part.partName or "").split())


def _program(part: Any) -> int:
    """General MIDI program of a part: a choir for voices, else its instrument's, by its name if need be, or a piano."""
    from music21 import instrument
    from music21.exceptions21 import Music21Exception

    found = part.recurse().getElementsByClass(instrument.Instrument).first()
    if isinstance(found, instrument.Vocalist) or _name(part).lower().startswith(_SUNG):
        return _CHOIR
    if getattr(found, "midiProgram", None) is None:
        try:
            found = instrument.fromString(_name(part))
        except Music21Exception:
            return 0
    return int(found.midiProgram) if found.midiProgram in range(128) else 0


def _title(stream: Any) -> str:
    metadata = stream.metadata
    return str((metadata and (metadata.title or metadata.movementName)) or "")
