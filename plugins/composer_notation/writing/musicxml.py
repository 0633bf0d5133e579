"""Pages as a MusicXML 4.0 document; it knows no Score and no file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from composer.keys import Key
from composer.score import TICKS_PER_QUARTER, Text
from composer_notation.owntracks import PROVENANCE, TRACKS
from composer_notation.writing.beams import beams
from composer_notation.writing.drumkit import sound
from composer_notation.writing.harmony import harmony
from composer_notation.writing.pages import Pages
from composer_notation.writing.rhythm import Event, Measure, Symbol, symbols
from composer_notation.writing.spelling import STEPS, Spelled, altered
from composer_notation.writing.staves import Clef, Line, Part, Staff

_DOCTYPE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE score-partwise PUBLIC '
    '"-//Recordare//DTD MusicXML 4.0 Partwise//EN" "http://www.musicxml.org/dtds/partwise.dtd">\n'
)
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ACCIDENTALS = {-2: "flat-flat", -1: "flat", 0: "natural", 1: "sharp", 2: "double-sharp"}
_MIDDLE_LINES = {"G": ("B", 4), "F": ("D", 3), "C": ("C", 4), "percussion": ("B", 4)}
_FORTE = 90  # the velocity that MusicXML's `dynamics` count as 100
_USUAL = 80  # the velocity of a note of which nothing is said
_SHOWN_CHANGE = 0.04  # of a tempo, from which on it is printed; smaller changes are for players only


@dataclass(frozen=True)
class Heading:
    """What stands over the music, and what stands in the file alone."""

    title: str = ""
    composer: str = ""
    software: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)


def document(pages: Pages, heading: Heading) -> bytes:
    """The pages as a file."""
    root = Element("score-partwise", version="4.0")
    if heading.title:
        _text(SubElement(root, "work"), "work-title", heading.title)
    root.append(_identification(pages, heading))
    root.append(_part_list(pages))
    for number, part in enumerate(pages.parts, start=1):
        root.append(_part(pages, part, number))
    indent(root)
    return (_DOCTYPE + tostring(root, encoding="unicode") + "\n").encode()


def clean(text: str) -> str:
    """A text without what no XML may hold, on one line."""
    return " ".join(_NOT_XML.sub("", text).split())


def _text(parent: Element, tag: str, text: object, /, **attributes: str) -> Element:
    child = SubElement(parent, tag, attributes)
    child.text = str(text)
    return child


def _identification(pages: Pages, heading: Heading) -> Element:
    element = Element("identification")
    if heading.composer:
        _text(element, "creator", heading.composer, type="composer")
    if heading.software:
        _text(SubElement(element, "encoding"), "software", heading.software)
    more = SubElement(element, "miscellaneous")
    if heading.provenance:
        _text(more, "miscellaneous-field", json.dumps(dict(heading.provenance), sort_keys=True), name=PROVENANCE)
    _text(more, "miscellaneous-field", json.dumps(_tracks(pages)), name=TRACKS)
    return element


def _tracks(pages: Pages) -> list[dict[str, Any]]:
    """Name and instrument of each track, and the staves that hold it, with the voice where it has but one of two."""
    places: dict[int, list[tuple[int, int]]] = {}
    for number, staff in enumerate(staff for part in pages.parts for staff in part.staves):
        for voice, line in enumerate(staff.lines, start=1):
            places.setdefault(line.track, []).append((number, voice if staff.is_shared else 0))
    return [
        {
            "name": clean(track.name),
            "program": int(track.program),
            "drums": bool(track.is_drum),
            "staves": sorted(set(places[number])),
        }
        for number, track in enumerate(pages.tracks)
    ]


# --- the list of parts ------------------------------------------------------------------------------------------------


def _part_list(pages: Pages) -> Element:
    element = Element("part-list")
    is_group = len(pages.parts) > 1 and all(part.is_sung for part in pages.parts)
    if is_group:
        group = SubElement(element, "part-group", number="1", type="start")
        _text(group, "group-symbol", "bracket")
        _text(group, "group-barline", "yes")
    for number, part in enumerate(pages.parts, start=1):
        element.append(_score_part(part, number, is_alone=len(pages.parts) == 1))
    if is_group:
        SubElement(element, "part-group", number="1", type="stop")
    return element


def _score_part(part: Part, number: int, *, is_alone: bool) -> Element:
    element = Element("score-part", id=f"P{number}")
    lines = [clean(line) for line in part.name.split("\n")]
    hidden = {"print-object": "no"} if is_alone and len(lines) == 1 else {}
    _text(element, "part-name", "\n".join(lines), **hidden)
    if part.abbreviation:
        _text(element, "part-abbreviation", "\n".join(clean(line) for line in part.abbreviation.split("\n")))
    instruments = _instruments(part, number)
    for identity, name, _ in instruments:
        _text(SubElement(element, "score-instrument", id=identity), "instrument-name", name)
    for identity, _, heard in instruments:
        midi = SubElement(element, "midi-instrument", id=identity)
        _text(midi, "midi-channel", 10 if part.is_drum else _channel(number))
        if part.is_drum:
            _text(midi, "midi-unpitched", heard + 1)
        else:
            _text(midi, "midi-program", part.program + 1)
    return element


def _channel(number: int) -> int:
    return [*range(1, 10), *range(11, 17)][(number - 1) % 15]


def _instruments(part: Part, number: int) -> list[tuple[str, str, int]]:
    """Identity and name of each instrument of a part, one for each sound of a drum kit, with the sound's number."""
    if not part.is_drum:
        return [(f"P{number}-I1", clean(part.name), 0)]
    sounds = sorted({n.pitch for staff in part.staves for line in staff.lines for e in line.events for n in e.pitches})
    return [(f"P{number}-I{heard + 1}", sound(heard).name, heard) for heard in sounds]


# --- a part, measure by measure ---------------------------------------------------------------------------------------


def _part(pages: Pages, part: Part, number: int) -> Element:
    element = Element("part", id=f"P{number}")
    staves = [[_by_measure(line, pages.measures) for line in staff.lines] for staff in part.staves]
    marks = _marks(pages, number)
    first = 0 if pages.measures[0].nominal < pages.measures[0].start else 1
    for place, measure in enumerate(pages.measures):
        implicit = {"implicit": "yes"} if place + first == 0 else {}
        written = SubElement(element, "measure", {"number": str(place + first), **implicit})
        _attributes(written, pages, part, place)
        here = [mark for mark in marks if measure.start <= mark[0] < measure.end]
        in_measure = [[line[place] for line in lines] for lines in staves]
        _music(written, part, in_measure, measure, pages.keys[place], here, number)
        if place + 1 == len(pages.measures):
            _text(SubElement(written, "barline", location="right"), "bar-style", "light-heavy")
        elif place + first > 0 and any(mark.tick == measure.end for mark in pages.markers):
            _text(SubElement(written, "barline", location="right"), "bar-style", "light-light")
    return element


def _by_measure(line: Line, measures: Sequence[Measure]) -> list[list[Event]]:
    """The events that sound in each measure."""
    found: list[list[Event]] = [[] for _ in measures]
    place = 0
    for event in line.events:
        while measures[place].end <= event.start:
            place += 1
        for number in range(place, len(measures)):
            if measures[number].start >= event.end:
                break
            found[number].append(event)
    return found


def _attributes(written: Element, pages: Pages, part: Part, place: int) -> None:
    measure, is_first = pages.measures[place], place == 0
    before = None if is_first else pages.measures[place - 1]
    new_key = not part.is_drum and (is_first or pages.keys[place] != pages.keys[place - 1])
    new_metre = before is None or (measure.numerator, measure.denominator) != (before.numerator, before.denominator)
    if not (is_first or new_key or new_metre):
        return
    element = SubElement(written, "attributes")
    if is_first:
        _text(element, "divisions", TICKS_PER_QUARTER)
    if new_key:
        key = SubElement(element, "key")
        _text(key, "fifths", pages.keys[place].fifths)
        _text(key, "mode", "minor" if pages.keys[place].minor else "major")
    if new_metre:
        time = SubElement(element, "time")
        _text(time, "beats", measure.numerator)
        _text(time, "beat-type", measure.denominator)
    if is_first:
        if len(part.staves) > 1:
            _text(element, "staves", len(part.staves))
        for number, staff in enumerate(part.staves, start=1):
            _clef(element, staff.clef, number if len(part.staves) > 1 else 0)


def _clef(element: Element, clef: Clef, number: int) -> None:
    clefs = SubElement(element, "clef", {"number": str(number)} if number else {})
    _text(clefs, "sign", clef.sign)
    if clef.sign != "percussion":
        _text(clefs, "line", clef.line)
    if clef.octaves:
        _text(clefs, "clef-octave-change", clef.octaves)


@dataclass(frozen=True)
class _Voice:
    """One voice of a staff in a measure: its number in the part, its symbols, and how it is shown."""

    number: int
    staff: int  # 0 where the part has but one
    symbols: Sequence[Symbol]
    stem: str = ""
    hides: frozenset[int] = frozenset()  # starts of rests that are not shown
    common: frozenset[int] = frozenset()  # starts of rests of both voices, shown once and in the middle
    middle: tuple[str, int] = ("B", 4)  # what stands on the middle line


def _music(
    written: Element,
    part: Part,
    staves: Sequence[Sequence[Sequence[Event]]],
    measure: Measure,
    key: Key,
    marks: Sequence[tuple[int, Element]],
    number: int,
) -> None:
    place = measure.start
    for which, (staff, lines) in enumerate(zip(part.staves, staves, strict=True)):
        voices = list(_voices(staff, lines, measure, which, len(part.staves)))
        shown = {} if part.is_drum else _accidentals(voices, key)
        for voice in voices:
            if place != measure.start:
                _text(SubElement(written, "backup"), "duration", place - measure.start)
            _voice(written, voice, measure, marks, shown, number if part.is_drum else 0)
            place, marks = measure.end, ()


def _voices(
    staff: Staff, lines: Sequence[Sequence[Event]], measure: Measure, which: int, staves: int
) -> Iterator[_Voice]:
    sounds = any(lines)
    written = [line for line in range(len(lines)) if lines[line] or (staff.is_shared and sounds)] or [0]
    found = {line: symbols(lines[line], measure) for line in written}
    for line in written:
        stem = ("up", "down")[line] if len(written) > 1 else ""
        hides: frozenset[int] = frozenset()
        common: frozenset[int] = frozenset()
        rests = [symbol for symbol in found[line] if not symbol.pitches]
        if stem and staff.is_shared:
            others = {(s.start, s.duration) for s in found[1 - line] if not s.pitches}
            both = frozenset(s.start for s in rests if (s.start, s.duration) in others)
            common, hides = (both, hides) if line == 0 else (common, both)
        elif stem:
            hides = frozenset(s.start for s in rests if line == 1 or _is_covered(s, lines[1]))
        middle = _MIDDLE_LINES[staff.clef.sign]
        yield _Voice(which * 4 + line + 1, which + 1 if staves > 1 else 0, found[line], stem, hides, common, middle)


def _is_covered(rest: Symbol, other: Sequence[Event]) -> bool:
    """Whether another voice sounds for as long as a rest lasts."""
    sounding = [event for event in other if event.start < rest.end and event.end > rest.start]
    covers = all(a.end == b.start for a, b in pairwise(sounding))
    return bool(sounding) and covers and sounding[0].start <= rest.start and sounding[-1].end >= rest.end


def _accidentals(voices: Sequence[_Voice], key: Key) -> dict[tuple[int, int, Spelled], str]:
    """The accidentals to be shown on a staff, by voice, tick and note: those that neither signature nor bar implies."""
    found: dict[tuple[int, int, Spelled], str] = {}
    in_force: dict[tuple[int, int], int] = {}
    everything = sorted(
        ((symbol, voice.number) for voice in voices for symbol in voice.symbols), key=lambda s: (s[0].start, s[1])
    )
    for symbol, voice in everything:
        for name in symbol.pitches:
            line = (name.octave, name.step)
            if name in symbol.held_from or in_force.get(line, altered(name.step, key.fifths)) == name.alter:
                continue
            in_force[line] = name.alter
            found[voice, symbol.start, name] = _ACCIDENTALS[name.alter]
    return found


def _voice(
    written: Element,
    voice: _Voice,
    measure: Measure,
    marks: Sequence[tuple[int, Element]],
    shown: Mapping[tuple[int, int, Spelled], str],
    drums: int,
) -> None:
    waiting = list(marks)
    for symbol, beamed in zip(voice.symbols, beams(voice.symbols, measure), strict=True):
        while waiting and waiting[0][0] < symbol.end:
            tick, element = waiting.pop(0)
            written.append(_placed(element, tick - symbol.start, voice.staff))
        if symbol.start in voice.hides:
            _forward(written, symbol, voice)
        else:
            _notes(written, symbol, voice, beamed, shown, drums)


def _placed(element: Element, offset: int, staff: int) -> Element:
    """A direction or chord symbol so many ticks after the note that follows begins."""
    before = [child.tag for child in element]
    at = before.index("sound") if "sound" in before else len(before)
    if staff and element.tag != "sound":
        child = Element("staff")
        child.text = str(staff)
        element.insert(at, child)
    if offset:
        child = Element("offset")
        child.text = str(offset)
        element.insert(at, child)
    return element


def _forward(written: Element, symbol: Symbol, voice: _Voice) -> None:
    element = SubElement(written, "forward")
    _text(element, "duration", symbol.duration)
    _text(element, "voice", voice.number)
    if voice.staff:
        _text(element, "staff", voice.staff)


def _notes(
    written: Element,
    symbol: Symbol,
    voice: _Voice,
    beamed: Sequence[str],
    shown: Mapping[tuple[int, int, Spelled], str],
    drums: int,
) -> None:
    """The elements of a note, of each note of a chord, or of a rest. `drums`: the number of a part of drums, or 0."""
    for place, name in enumerate(symbol.pitches or (None,)):
        loud = symbol.velocity != _USUAL and name is not None
        element = SubElement(written, "note", {"dynamics": f"{symbol.velocity * 100 / _FORTE:.2f}"} if loud else {})
        if place:
            SubElement(element, "chord")
        _what(element, symbol, voice, name, drums)
        _text(element, "duration", symbol.duration)
        ties = [] if name is None else _ties(symbol, name)
        for tie in ties:
            SubElement(element, "tie", type=tie)
        if drums and name is not None:
            SubElement(element, "instrument", id=f"P{drums}-I{name.pitch + 1}")
        _text(element, "voice", voice.number)
        _value(element, symbol)
        if name is not None:
            _looks(element, symbol, voice, name, shown, drums)
        if voice.staff:
            _text(element, "staff", voice.staff)
        if not place:
            for number, state in enumerate(beamed, start=1):
                _text(element, "beam", state, number=str(number))
        _notations(element, symbol, ties, beamed, is_first=not place)


def _what(element: Element, symbol: Symbol, voice: _Voice, name: Spelled | None, drums: int) -> None:
    if name is None:
        rest = SubElement(element, "rest", {"measure": "yes"} if symbol.fills_bar else {})
        if symbol.start in voice.common:
            _text(rest, "display-step", voice.middle[0])
            _text(rest, "display-octave", voice.middle[1])
    elif drums:
        unpitched, its = SubElement(element, "unpitched"), sound(name.pitch)
        _text(unpitched, "display-step", its.step)
        _text(unpitched, "display-octave", its.octave)
    else:
        pitch = SubElement(element, "pitch")
        _text(pitch, "step", STEPS[name.step])
        if name.alter:
            _text(pitch, "alter", name.alter)
        _text(pitch, "octave", name.octave)


def _ties(symbol: Symbol, name: Spelled) -> list[str]:
    stops, starts = name in symbol.held_from, name in symbol.held_to
    return [kind for kind, is_there in (("stop", stops), ("start", starts)) if is_there]


def _value(element: Element, symbol: Symbol) -> None:
    if not symbol.fills_bar:
        _text(element, "type", symbol.value)
        for _ in range(symbol.dots):
            SubElement(element, "dot")


def _looks(
    element: Element,
    symbol: Symbol,
    voice: _Voice,
    name: Spelled,
    shown: Mapping[tuple[int, int, Spelled], str],
    drums: int,
) -> None:
    if accidental := shown.get((voice.number, symbol.start, name)):
        _text(element, "accidental", accidental)
    _modification(element, symbol)
    if voice.stem or drums:
        _text(element, "stem", voice.stem or "up")
    if drums and (head := sound(name.pitch).head) != "normal":
        _text(element, "notehead", head)


def _modification(element: Element, symbol: Symbol) -> None:
    if symbol.tuplet:
        change = SubElement(element, "time-modification")
        _text(change, "actual-notes", symbol.tuplet.actual)
        _text(change, "normal-notes", symbol.tuplet.normal)


def _notations(element: Element, symbol: Symbol, ties: Iterable[str], beamed: Sequence[str], *, is_first: bool) -> None:
    if not symbol.pitches:
        _modification_of_rest(element, symbol)
    found = [Element("tied", type=tie) for tie in ties]
    if is_first and symbol.tuplet:
        if symbol.tuplet.begins:
            bracket = "no" if beamed and beamed[0] == "begin" else "yes"
            found.append(Element("tuplet", type="start", bracket=bracket))
        if symbol.tuplet.ends:
            found.append(Element("tuplet", type="stop"))
    if found:
        SubElement(element, "notations").extend(found)


def _modification_of_rest(element: Element, symbol: Symbol) -> None:
    if symbol.tuplet:
        change = Element("time-modification")
        _text(change, "actual-notes", symbol.tuplet.actual)
        _text(change, "normal-notes", symbol.tuplet.normal)
        tags = [child.tag for child in element]
        element.insert(tags.index("staff") if "staff" in tags else len(tags), change)


# --- above the staff --------------------------------------------------------------------------------------------------


def _marks(pages: Pages, number: int) -> list[tuple[int, Element]]:
    """What stands above a part, by tick: sections and tempos over the first, chords over the first with pitches."""
    found: list[tuple[int, int, Element]] = []
    if number == 1:
        found += [(mark.tick, 0, _rehearsal(clean(mark.text))) for mark in pages.markers if clean(mark.text)]
        found += [(tick, 1, element) for tick, element in _tempos(pages)]
    if number == next((place for place, part in enumerate(pages.parts, start=1) if not part.is_drum), 1):
        found += [(chord.tick, 2, _harmony(chord)) for chord in pages.chords if clean(chord.text)]
    return [(tick, element) for tick, _, element in sorted(found, key=lambda mark: mark[:2])]


def _direction() -> tuple[Element, Element]:
    element = Element("direction", placement="above")
    return element, SubElement(element, "direction-type")


def _rehearsal(text: str) -> Element:
    element, kind = _direction()
    _text(kind, "rehearsal", text)
    return element


def _tempos(pages: Pages) -> Iterator[tuple[int, Element]]:
    shown = 0.0
    for tempo in pages.tempos:
        measure = max((m for m in pages.measures if m.start <= tempo.tick), key=lambda m: m.start)
        is_compound = measure.denominator >= 8 and measure.numerator % 3 == 0 and measure.numerator > 3
        if shown and abs(tempo.bpm - shown) <= _SHOWN_CHANGE * shown:
            yield tempo.tick, Element("sound", tempo=f"{tempo.bpm:.6g}")
            continue
        element, kind = _direction()
        _metronome(kind, tempo.bpm, is_compound=is_compound)
        SubElement(element, "sound", tempo=f"{tempo.bpm:.6g}")
        shown = tempo.bpm
        yield tempo.tick, element


def _metronome(kind: Element, bpm: float, *, is_compound: bool) -> None:
    mark = SubElement(kind, "metronome")
    dotted = bpm / 1.5
    is_round = abs(dotted - round(dotted, 2)) < 1e-9
    _text(mark, "beat-unit", "quarter")
    if is_compound and is_round:
        SubElement(mark, "beat-unit-dot")
    _text(mark, "per-minute", f"{dotted if is_compound and is_round else bpm:.6g}")


def _harmony(chord: Text) -> Element:
    """A chord symbol, or the text as it is where it is none."""
    found = harmony(clean(chord.text))
    if found is None:
        element, kind = _direction()
        _text(kind, "words", clean(chord.text))
        return element
    element = Element("harmony")
    root = SubElement(element, "root")
    _letter(root, "root", found.root)
    _text(element, "kind", found.kind, text=found.text)
    if found.bass:
        _letter(SubElement(element, "bass"), "bass", found.bass)
    return element


def _letter(element: Element, name: str, letter: tuple[str, int]) -> None:
    _text(element, f"{name}-step", letter[0])
    if letter[1]:
        _text(element, f"{name}-alter", letter[1])
