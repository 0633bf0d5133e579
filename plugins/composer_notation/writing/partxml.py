"""A part as an element of MusicXML, measure by measure: signatures, clefs, voices and their notes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeAlias
from xml.etree.ElementTree import Element, SubElement

from composer.music.keys import LETTERS, Key
from composer.music.score import TICKS_PER_QUARTER
from composer_notation.unfolding import FORTE, VELOCITY, Signs
from composer_notation.writing.above import make_marks, place_mark
from composer_notation.writing.fermatas import find_held
from composer_notation.writing.pages import Pages
from composer_notation.writing.rhythm import Event, Measure, Symbol, find_beams, write_symbols
from composer_notation.writing.spelling import Spelled, find_sound, get_alteration
from composer_notation.writing.staves import MOST_LINES, Clef, Line, Part, Staff
from composer_notation.writing.xmltext import add

# --- notes, chords and rests ------------------------------------------------------------------------------------------


Accidentals: TypeAlias = Mapping[tuple[int, int, Spelled], str]
"""The accidentals to show, as MusicXML names them, by voice, tick and note."""


@dataclass(frozen=True)
class Voice:
    """One voice of a staff in a measure: its number in the part, its symbols, and their appearance."""

    number: int
    staff: int  # 0 where the part has but one
    symbols: Sequence[Symbol]
    stem: str = ""
    hides: frozenset[int] = frozenset()  # starts of rests that are not shown
    common: frozenset[int] = frozenset()  # starts of rests of both voices, shown once and in the middle
    middle: tuple[str, int] = ("B", 4)  # the pitch on the middle line
    fermatas: frozenset[int] = frozenset()  # starts of symbols that have one


def add_notes(
    written: Element,
    symbol: Symbol,
    voice: Voice,
    beamed: Sequence[str],
    shown: Accidentals,
    drums: int,
) -> None:
    """Add the elements of a note, of each note of a chord, or of a rest. `drums`: the number of a drum part, or 0."""
    for index, name in enumerate(symbol.pitches or (None,)):
        loud = symbol.velocities[index] if symbol.velocities else VELOCITY
        element = SubElement(written, "note", {"dynamics": f"{loud * 100 / FORTE:.2f}"} if loud != VELOCITY else {})
        if index:
            SubElement(element, "chord")
        _add_pitch(element, symbol, voice, name, drums)
        add(element, "duration", symbol.duration)
        ties = [] if name is None else _list_ties(symbol, name)
        for tie in ties:
            SubElement(element, "tie", type=tie)
        if drums and name is not None:
            SubElement(element, "instrument", id=f"P{drums}-I{name.pitch + 1}")
        add(element, "voice", voice.number)
        _add_value(element, symbol)
        if name is not None:
            _add_appearance(element, symbol, voice, name, shown, drums)
        if voice.staff:
            add(element, "staff", voice.staff)
        if not index:
            for number, state in enumerate(beamed, start=1):
                add(element, "beam", state, number=str(number))
        fermata = "" if index or symbol.start not in voice.fermatas else _FERMATAS.get(voice.stem, "upright")
        _add_notations(element, symbol, ties, beamed, is_first=not index, fermata=fermata)


def _add_pitch(element: Element, symbol: Symbol, voice: Voice, name: Spelled | None, drums: int) -> None:
    if name is None:
        rest = SubElement(element, "rest", {"measure": "yes"} if symbol.fills_bar else {})
        if symbol.start in voice.common:
            add(rest, "display-step", voice.middle[0])
            add(rest, "display-octave", voice.middle[1])
    elif drums:
        unpitched, its = SubElement(element, "unpitched"), find_sound(name.pitch)
        add(unpitched, "display-step", its.step)
        add(unpitched, "display-octave", its.octave)
    else:
        pitch = SubElement(element, "pitch")
        add(pitch, "step", LETTERS[name.step])
        if name.alter:
            add(pitch, "alter", name.alter)
        add(pitch, "octave", name.octave)


def _list_ties(symbol: Symbol, name: Spelled) -> list[str]:
    stops, starts = name in symbol.held_from, name in symbol.held_to
    return [kind for kind, is_there in (("stop", stops), ("start", starts)) if is_there]


def _add_value(element: Element, symbol: Symbol) -> None:
    if not symbol.fills_bar:
        add(element, "type", symbol.value)
        for _ in range(symbol.dots):
            SubElement(element, "dot")


def _add_appearance(
    element: Element,
    symbol: Symbol,
    voice: Voice,
    name: Spelled,
    shown: Accidentals,
    drums: int,
) -> None:
    if accidental := shown.get((voice.number, symbol.start, name)):
        add(element, "accidental", accidental)
    _add_modification(element, symbol)
    if voice.stem or drums:
        add(element, "stem", voice.stem or "up")
    if drums and (head := find_sound(name.pitch).head) != "normal":
        add(element, "notehead", head)


def _add_modification(element: Element, symbol: Symbol) -> None:
    if symbol.tuplet:
        change = SubElement(element, "time-modification")
        add(change, "actual-notes", symbol.tuplet.actual)
        add(change, "normal-notes", symbol.tuplet.normal)


_FERMATAS = {"down": "inverted"}


def _add_notations(
    element: Element, symbol: Symbol, ties: Iterable[str], beamed: Sequence[str], *, is_first: bool, fermata: str
) -> None:
    if not symbol.pitches:
        _insert_modification(element, symbol)
    found = [Element("tied", type=tie) for tie in ties]
    if is_first and symbol.tuplet:
        if symbol.tuplet.begins:
            bracket = "no" if beamed and beamed[0] == "begin" else "yes"
            found.append(Element("tuplet", type="start", bracket=bracket))
        if symbol.tuplet.ends:
            found.append(Element("tuplet", type="stop"))
    if fermata:
        found.append(Element("fermata", type=fermata))
    if found:
        SubElement(element, "notations").extend(found)


def _insert_modification(element: Element, symbol: Symbol) -> None:
    if symbol.tuplet:
        change = Element("time-modification")
        add(change, "actual-notes", symbol.tuplet.actual)
        add(change, "normal-notes", symbol.tuplet.normal)
        tags = [child.tag for child in element]
        element.insert(tags.index("staff") if "staff" in tags else len(tags), change)


def add_forward(written: Element, symbol: Symbol, voice: Voice) -> None:
    """Add hidden time, instead of a rest."""
    element = SubElement(written, "forward")
    add(element, "duration", symbol.duration)
    add(element, "voice", voice.number)
    if voice.staff:
        add(element, "staff", voice.staff)


# --- measures ---------------------------------------------------------------------------------------------------------


_ACCIDENTALS = {-2: "flat-flat", -1: "flat", 0: "natural", 1: "sharp", 2: "double-sharp"}
_MIDDLE_LINES = {"G": ("B", 4), "F": ("D", 3), "C": ("C", 4), "percussion": ("B", 4)}


def make_part(pages: Pages, part: Part, number: int) -> Element:
    """Make the element of a part; `number` counts from 1."""
    element = Element("part", id=f"P{number}")
    staves = [[_split_by_measure(line, pages.measures) for line in staff.lines] for staff in part.staves]
    marks = make_marks(pages, number)
    first = 0 if pages.measures[0].nominal < pages.measures[0].start else 1
    for index, measure in enumerate(pages.measures):
        implicit = {"implicit": "yes"} if index + first == 0 else {}
        written = SubElement(element, "measure", {"number": str(index + first), **implicit})
        _add_left_barline(written, pages.signs.get(measure.start, PLAIN))
        _add_attributes(written, pages, part, index)
        here = [mark for mark in marks if measure.start <= mark[0] < measure.end]
        in_measure = [[line[index] for line in lines] for lines in staves]
        _add_music(written, part, in_measure, measure, pages.keys[index], here, number, pages.fermatas)
        _add_right_barline(written, pages, index, is_inside=index + first > 0)
    return element


PLAIN = Signs()
"""The signs of a measure without any."""


def _add_left_barline(written: Element, signs: Signs) -> None:
    if not (signs.opens or signs.begins_ending):
        return
    element = SubElement(written, "barline", location="left")
    if signs.opens:
        add(element, "bar-style", "heavy-light")
    if signs.begins_ending:
        SubElement(element, "ending", number=str(signs.endings[0]), type="start")
    if signs.opens:
        SubElement(element, "repeat", direction="forward")


def _add_right_barline(written: Element, pages: Pages, index: int, *, is_inside: bool) -> None:
    """Add the bar line after a measure, unless it is a plain one: `is_inside` is false after a pickup."""
    measure, is_last = pages.measures[index], index + 1 == len(pages.measures)
    signs = pages.signs.get(measure.start, PLAIN)
    following = PLAIN if is_last else pages.signs.get(pages.measures[index + 1].start, PLAIN)
    ends = bool(signs.endings) and (following.endings != signs.endings or following.begins_ending)
    is_marked = is_inside and any(mark.tick == measure.end for mark in pages.markers)
    style = "light-heavy" if is_last or signs.times else "light-light" if is_marked and not following.opens else ""
    if not (style or ends):
        return
    element = SubElement(written, "barline", location="right")
    if style:
        add(element, "bar-style", style)
    if ends:
        SubElement(element, "ending", number=str(signs.endings[0]), type="stop" if signs.times else "discontinue")
    if signs.times:
        SubElement(element, "repeat", direction="backward")


def _split_by_measure(line: Line, measures: Sequence[Measure]) -> list[list[Event]]:
    """List the events that sound in each measure."""
    found: list[list[Event]] = [[] for _ in measures]
    index = 0
    for event in line.events:
        while measures[index].end <= event.start:
            index += 1
        for number in range(index, len(measures)):
            if measures[number].start >= event.end:
                break
            found[number].append(event)
    return found


def _add_attributes(written: Element, pages: Pages, part: Part, index: int) -> None:
    measure, is_first = pages.measures[index], index == 0
    before = None if is_first else pages.measures[index - 1]
    new_key = not part.is_drum and (is_first or pages.keys[index] != pages.keys[index - 1])
    new_metre = before is None or (measure.numerator, measure.denominator) != (before.numerator, before.denominator)
    if not (is_first or new_key or new_metre):
        return
    element = SubElement(written, "attributes")
    if is_first:
        add(element, "divisions", TICKS_PER_QUARTER)
    if new_key:
        key = SubElement(element, "key")
        add(key, "fifths", pages.keys[index].fifths)
        add(key, "mode", "minor" if pages.keys[index].minor else "major")
    if new_metre:
        time = SubElement(element, "time")
        add(time, "beats", measure.numerator)
        add(time, "beat-type", measure.denominator)
    if is_first:
        if len(part.staves) > 1:
            add(element, "staves", len(part.staves))
        for number, staff in enumerate(part.staves, start=1):
            _add_clef(element, staff.clef, number if len(part.staves) > 1 else 0)


def _add_clef(element: Element, clef: Clef, number: int) -> None:
    clefs = SubElement(element, "clef", {"number": str(number)} if number else {})
    add(clefs, "sign", clef.sign)
    if clef.sign != "percussion":
        add(clefs, "line", clef.line)
    if clef.octaves:
        add(clefs, "clef-octave-change", clef.octaves)


def _add_music(
    written: Element,
    part: Part,
    staves: Sequence[Sequence[Sequence[Event]]],
    measure: Measure,
    key: Key,
    marks: Sequence[tuple[int, Element]],
    number: int,
    fermatas: frozenset[int],
) -> None:
    tick, held = measure.start, [one for one in fermatas if measure.start <= one < measure.end]
    for which, (staff, lines) in enumerate(zip(part.staves, staves, strict=True)):
        voices = list(_make_voices(staff, lines, measure, which, len(part.staves)))
        voices = [replace(voice, fermatas=find_held(voice.symbols, held)) for voice in voices] if held else voices
        shown = {} if part.is_drum else _find_accidentals(voices, key)
        for voice in voices:
            if tick != measure.start:
                add(SubElement(written, "backup"), "duration", tick - measure.start)
            _add_voice(written, voice, measure, marks, shown, number if part.is_drum else 0)
            tick, marks = measure.end, ()


def _make_voices(
    staff: Staff, lines: Sequence[Sequence[Event]], measure: Measure, which: int, staves: int
) -> Iterator[Voice]:
    sounds = any(lines)
    written = [line for line in range(len(lines)) if lines[line] or (staff.is_shared and sounds)] or [0]
    found = {line: write_symbols(lines[line], measure) for line in written}
    upper, *lower = written
    for line in written:
        number, on = which * MOST_LINES + line + 1, which + 1 if staves > 1 else 0
        if not lower:
            yield Voice(number, on, found[line])
            continue
        stem = "up" if line == upper else "down"
        rests = [symbol for symbol in found[line] if not symbol.pitches]
        if not staff.is_shared:  # one player's: the lower line shows no rests, and the upper one those that both have
            needless = [s for s in rests if line != upper or any(_is_covered(s, lines[other]) for other in lower)]
            yield Voice(number, on, found[line], stem, hides=frozenset(symbol.start for symbol in needless))
            continue
        common = _find_common_rests(found[upper], found[lower[0]])
        if line == upper:
            yield Voice(number, on, found[line], stem, common=common, middle=_MIDDLE_LINES[staff.clef.sign])
        else:
            yield Voice(number, on, found[line], stem, hides=common)


def _find_common_rests(first: Sequence[Symbol], second: Sequence[Symbol]) -> frozenset[int]:
    """Find the starts of rests that two voices have in common."""
    rests = [{(s.start, s.duration) for s in symbols if not s.pitches} for symbols in (first, second)]
    return frozenset(start for start, _ in rests[0] & rests[1])


def _is_covered(rest: Symbol, other: Sequence[Event]) -> bool:
    """Tell whether another voice sounds for as long as a rest lasts."""
    sounding = [event for event in other if event.start < rest.end and event.end > rest.start]
    covers = all(a.end == b.start for a, b in pairwise(sounding))
    return bool(sounding) and covers and sounding[0].start <= rest.start and sounding[-1].end >= rest.end


def _find_accidentals(voices: Sequence[Voice], key: Key) -> Accidentals:
    """Find the accidentals of a staff, by voice, tick and note: those that neither signature nor bar implies."""
    found: dict[tuple[int, int, Spelled], str] = {}
    in_force: dict[tuple[int, int], int] = {}
    everything = sorted(
        ((symbol, voice.number) for voice in voices for symbol in voice.symbols), key=lambda s: (s[0].start, s[1])
    )
    for symbol, voice in everything:
        for name in symbol.pitches:
            line = (name.octave, name.step)
            if name in symbol.held_from or in_force.get(line, get_alteration(name.step, key.fifths)) == name.alter:
                continue
            in_force[line] = name.alter
            found[voice, symbol.start, name] = _ACCIDENTALS[name.alter]
    return found


def _add_voice(
    written: Element,
    voice: Voice,
    measure: Measure,
    marks: Sequence[tuple[int, Element]],
    shown: Accidentals,
    drums: int,
) -> None:
    waiting = list(marks)
    for symbol, beamed in zip(voice.symbols, find_beams(voice.symbols, measure), strict=True):
        while waiting and waiting[0][0] < symbol.end:
            tick, element = waiting.pop(0)
            written.append(place_mark(element, tick - symbol.start, voice.staff))
        if symbol.start in voice.hides:
            add_forward(written, symbol, voice)
        else:
            add_notes(written, symbol, voice, beamed, shown, drums)
