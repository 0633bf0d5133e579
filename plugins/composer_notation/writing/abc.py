"""Pages as a tune in ABC 2.1, one voice or several; it knows no Score and no file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

from composer.score import Text
from composer_notation.writing.beams import beams
from composer_notation.writing.musicxml import Heading
from composer_notation.writing.pages import Pages
from composer_notation.writing.rhythm import Event, Measure, Symbol, symbols
from composer_notation.writing.spelling import STEPS, Spelled, altered
from composer_notation.writing.staves import Line, Part, Staff
from composer_notation.writing.xmltext import clean

_UNIT = 240  # ticks of an eighth, L:1/8
_ACCIDENTALS = {-2: "__", -1: "_", 0: "=", 1: "^", 2: "^^"}
_CLEFS = {"F": "bass", "C": "alto"}
_BARS_IN_A_LINE = 4


def tune(pages: Pages, heading: Heading) -> str:
    """The pages as the text of a file; drums are no part of it."""
    parts = [part for part in pages.parts if not part.is_drum]
    voices = [(part, staff, line) for part in parts for staff in part.staves for line in staff.lines]
    first = pages.measures[0]
    lines = ["X:1", f"T:{_escaped(heading.title) or 'Tune'}"]
    if heading.composer:
        lines.append(f"C:{_escaped(heading.composer)}")
    lines += [f"M:{first.numerator}/{first.denominator}", "L:1/8"]
    lines += [f"Q:1/4={_whole(tempo.bpm)}" for tempo in pages.tempos[:1] if tempo.tick == 0]
    if len(voices) == 1:
        return "\n".join([*lines, f"K:{pages.keys[0]}", *_music(pages, voices[0][2], is_first=True), ""])
    lines += _score_line(parts)
    lines += [_voice_line(number, part, staff) for number, (part, staff, _) in enumerate(voices, start=1)]
    lines.append(f"K:{pages.keys[0]}")
    for number, (_, _, line) in enumerate(voices, start=1):
        lines += [f"V:{number}", *_music(pages, line, is_first=number == 1)]
    return "\n".join([*lines, ""])


def _whole(bpm: float) -> int:
    return max(1, min(999, round(bpm)))


def _escaped(text: str) -> str:
    return clean(text).replace("\\", "\\\\").replace("%", "\\%")


def _inline(text: str) -> str:
    """A text that may stand in the music: it ends no field, no quotation and no line."""
    return clean(text.translate(str.maketrans('"[]', "'()", "%")))


def _score_line(parts: Sequence[Part]) -> Iterator[str]:
    """Which voices stand on one staff, where any do."""
    number = 0
    groups = []
    for staff in (staff for part in parts for staff in part.staves):
        mine = [str(number + place) for place in range(1, len(staff.lines) + 1)]
        groups.append(f"({' '.join(mine)})" if len(mine) > 1 else mine[0])
        number += len(mine)
    if any(group.startswith("(") for group in groups):
        yield f"%%score {' '.join(groups)}"


def _voice_line(number: int, part: Part, staff: Staff) -> str:
    names = part.name.split("\n")
    place = number % 2 - 1 if staff.is_shared else 0  # of two that share a staff the second has the even number
    name = _escaped(names[place] if len(names) > 1 else part.name).replace('"', "'")
    return f'V:{number} name="{name}" clef={_CLEFS.get(staff.clef.sign, "treble")}'


def _music(pages: Pages, line: Line, *, is_first: bool) -> Iterator[str]:
    """The lines of music of a voice."""
    written: list[str] = []
    chords = list(pages.chords) if is_first else []
    for place, measure in enumerate(pages.measures):
        here = [chord for chord in chords if measure.start <= chord.tick < measure.end]
        before = "".join(_changes(pages, place, is_first=is_first))
        events = [e for e in line.events if e.start < measure.end and e.end > measure.start]
        text = before + _measure(events, measure, pages.keys[place].fifths, here)
        written.append(text + (" |]" if place + 1 == len(pages.measures) else " |"))
    first = 1 if pages.measures[0].nominal < pages.measures[0].start else 0
    starts = [0, *range(first + _BARS_IN_A_LINE, len(written), _BARS_IN_A_LINE), len(written)]
    for begin, end in pairwise(starts):
        yield " ".join(written[begin:end])


def _changes(pages: Pages, place: int, *, is_first: bool) -> Iterator[str]:
    """The key, the metre, the tempo and the section that begin with a measure."""
    measure = pages.measures[place]
    if place and pages.keys[place] != pages.keys[place - 1]:
        yield f"[K:{pages.keys[place]}]"
    before = pages.measures[place - 1] if place else measure
    if (measure.numerator, measure.denominator) != (before.numerator, before.denominator):
        yield f"[M:{measure.numerator}/{measure.denominator}]"
    if is_first:
        marks = [mark for mark in pages.markers if measure.start <= mark.tick < measure.end]
        yield from (f"[P:{_inline(mark.text)}]" for mark in marks if _inline(mark.text))
        tempos = [tempo for tempo in pages.tempos if measure.start <= tempo.tick < measure.end and tempo.tick]
        yield from (f"[Q:1/4={_whole(tempo.bpm)}]" for tempo in tempos[-1:])


def _measure(events: Sequence[Event], measure: Measure, fifths: int, chords: Sequence[Text]) -> str:
    found = symbols(events, measure)
    in_force: dict[int, int] = {}
    parts: list[str] = []
    waiting = list(chords)
    for place, (symbol, beamed) in enumerate(zip(found, beams(found, measure), strict=True)):
        joins = bool(beamed) and beamed[0] in ("continue", "end")
        parts.append("" if joins or not place else " ")
        while waiting and (waiting[0].tick <= symbol.start or place + 1 == len(found)):
            quoted = _inline(waiting.pop(0).text)
            parts.append(f'"{quoted}"' if quoted else "")
        parts.append(_tuplet(found, place) + _symbol(symbol, fifths, in_force))
    return "".join(parts)


def _tuplet(found: Sequence[Symbol], place: int) -> str:
    its = found[place].tuplet
    if not its or not its.begins:
        return ""
    count = 1
    for symbol in found[place:]:
        if symbol.tuplet and symbol.tuplet.ends:
            break
        count += 1
    return "(3" if (its.actual, its.normal, count) == (3, 2, 3) else f"({its.actual}:{its.normal}:{count}"


def _symbol(symbol: Symbol, fifths: int, in_force: dict[int, int]) -> str:
    stretch = Fraction(symbol.tuplet.actual, symbol.tuplet.normal) if symbol.tuplet else Fraction(1)
    length = _length(symbol.duration * stretch / _UNIT)
    if not symbol.pitches:
        return f"z{length}"
    notes = [_accidental(name, symbol, fifths, in_force) + _letter(name) for name in symbol.pitches]
    if len(notes) == 1:
        return notes[0] + length + ("-" if symbol.held_to else "")
    if len(symbol.held_to) == len(notes):
        return f"[{''.join(notes)}]{length}-"
    tied = (note + ("-" if name in symbol.held_to else "") for note, name in zip(notes, symbol.pitches, strict=True))
    return f"[{''.join(tied)}]{length}"


def _length(units: Fraction) -> str:
    if units == 1:
        return ""
    return str(units.numerator) if units.denominator == 1 else f"{units.numerator}/{units.denominator}"


def _accidental(name: Spelled, symbol: Symbol, fifths: int, in_force: dict[int, int]) -> str:
    """The accidental of a note, unless the signature or the bar says it already, in whatever octave."""
    if name in symbol.held_from:
        return ""
    if in_force.get(name.step, altered(name.step, fifths)) == name.alter:
        return ""
    in_force[name.step] = name.alter
    return _ACCIDENTALS[name.alter]


def _letter(name: Spelled) -> str:
    """`C` is C4, `c` C5, `c'` C6, `C,` C3."""
    letter = STEPS[name.step]
    return letter.lower() + "'" * (name.octave - 5) if name.octave >= 5 else letter + "," * (4 - name.octave)
