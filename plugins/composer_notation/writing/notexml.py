"""Notes, chords and rests as elements of MusicXML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from xml.etree.ElementTree import Element, SubElement

from composer.music.keys import LETTERS
from composer_notation.sounding import FORTE, VELOCITY
from composer_notation.writing.drumkit import find_sound
from composer_notation.writing.rhythm import Symbol
from composer_notation.writing.spelling import Spelled
from composer_notation.writing.xmltext import add

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
        _add_notations(element, symbol, ties, beamed, is_first=not index)


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


def _add_notations(
    element: Element, symbol: Symbol, ties: Iterable[str], beamed: Sequence[str], *, is_first: bool
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
