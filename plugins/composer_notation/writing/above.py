"""Elements of MusicXML above a part: section names, tempos and chord symbols."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from xml.etree.ElementTree import Element, SubElement

from composer.music.chords import BASES, Chord, measure_degree, write_plain_signs
from composer.music.score import TICKS_PER_QUARTER, ChordSymbol, TimeSignature
from composer_notation.musicxml.values import KINDS
from composer_notation.writing.pages import Pages
from composer_notation.writing.xmltext import add, clean

# --- elements ---------------------------------------------------------------------------------------------------------


_SHOWN_CHANGE = 0.04  # of a tempo, from which on it is printed, once in a bar; other changes are heard only


def make_marks(pages: Pages, number: int) -> list[tuple[int, Element]]:
    """Make the elements above a part, by tick: most over the first part, chords over the first with pitches."""
    found: list[tuple[int, int, Element]] = []
    if number == 1:
        found += [(mark.tick, 0, _make_rehearsal(clean(mark.text))) for mark in pages.markers if clean(mark.text)]
        found += [(tick, 1, element) for tick, element in _make_tempos(pages)]
    if number == next((index for index, part in enumerate(pages.parts, start=1) if not part.is_drum), 1):
        found += [(chord.tick, 2, _make_harmony(chord)) for chord in pages.chords if clean(chord.text)]
    return [(tick, element) for tick, _, element in sorted(found, key=lambda mark: mark[:2])]


def _make_direction() -> tuple[Element, Element]:
    element = Element("direction", placement="above")
    return element, SubElement(element, "direction-type")


def _make_rehearsal(text: str) -> Element:
    element, kind = _make_direction()
    add(kind, "rehearsal", text)
    return element


def _make_tempos(pages: Pages) -> Iterator[tuple[int, Element]]:
    shown, last = 0.0, -1
    starts = [measure.start for measure in pages.measures]
    for tempo in pages.tempos:
        index = max(bisect_right(starts, tempo.tick) - 1, 0)
        measure = pages.measures[index]
        if index == last or abs(tempo.bpm - shown) <= _SHOWN_CHANGE * shown:
            yield tempo.tick, Element("sound", tempo=f"{tempo.bpm:.6g}")
            continue
        element, kind = _make_direction()
        _add_metronome(kind, tempo.bpm, TimeSignature(0, measure.numerator, measure.denominator))
        SubElement(element, "sound", tempo=f"{tempo.bpm:.6g}")
        shown, last = tempo.bpm, index
        yield tempo.tick, element


def choose_beat(bpm: float, time_signature: TimeSignature, digits: int = 2) -> tuple[int, float]:
    """Choose what a tempo mark counts: the ticks of the beat and beats a minute, or quarter notes if those are odd.

    Beats that are no number of so many `digits` are odd.
    """
    beats = bpm * TICKS_PER_QUARTER / time_signature.pulse_ticks
    is_round = time_signature.pulse_ticks in _UNITS and abs(beats - round(beats, digits)) < 1e-9
    return (time_signature.pulse_ticks, beats) if is_round else (TICKS_PER_QUARTER, bpm)


_UNITS = {1920: ("whole", 0), 1440: ("half", 1), 960: ("half", 0), 720: ("quarter", 1), 480: ("quarter", 0)}
"""Note values that tempo marks count, with their dots, by ticks."""


def _add_metronome(kind: Element, bpm: float, metre: TimeSignature) -> None:
    ticks, beats = choose_beat(bpm, metre)
    mark = SubElement(kind, "metronome")
    unit, dots = _UNITS[ticks]
    add(mark, "beat-unit", unit)
    for _ in range(dots):
        SubElement(mark, "beat-unit-dot")
    add(mark, "per-minute", f"{beats:.6g}")


_DEGREE = re.compile(r"(add|no|sus|)([#b]*)(\d+)")
_ALTERED = ("b5", "#5", "b9", "#9")  # degrees of `alt`, which MusicXML has no kind for


def _make_harmony(symbol: ChordSymbol) -> Element:
    """Make the element of a chord symbol, or of words if it is none."""
    text = clean(symbol.text)
    chord = replace(symbol, text=text).chord
    if chord is None:
        element, kind = _make_direction()
        add(kind, "words", text)
        return element
    element = Element("harmony")
    if not chord.root:
        _add_letter(SubElement(element, "root"), "root", "C")  # a root is needed, and not shown
        element[0][0].set("text", "")
        add(element, "kind", "none", text=text)
        return element
    _add_letter(SubElement(element, "root"), "root", chord.root)
    shown = write_plain_signs(text).strip().removeprefix(chord.root)
    add(element, "kind", KINDS[chord.base], text=shown.rpartition("/")[0] if chord.bass else shown)
    if chord.bass:
        _add_letter(SubElement(element, "bass"), "bass", chord.bass)
    element.extend(_make_degrees(chord))
    return element


def _make_degrees(chord: Chord) -> Iterator[Element]:
    """Make the elements of degrees, which are printed already in the text of the kind."""
    ninth = ("add9",) if chord.base in ("69", "m69", "mM9") else ()
    for degree in (part for each in (*ninth, *chord.degrees) for part in (_ALTERED if each == "alt" else (each,))):
        kind, sign, number = _DEGREE.fullmatch(degree).groups()  # type: ignore[union-attr]
        alters = not kind and measure_degree(number) in BASES[chord.base]
        how = "subtract" if kind == "no" else "alter" if alters else "add"
        yield _make_degree(number, sign.count("#") - sign.count("b"), how)
        if kind == "sus":
            yield _make_degree("3", 0, "subtract")


def _make_degree(number: str, alter: int, how: str) -> Element:
    element = Element("degree", {"print-object": "no"})
    add(element, "degree-value", number)
    add(element, "degree-alter", alter)
    add(element, "degree-type", how)
    return element


def _add_letter(element: Element, name: str, letter: str) -> None:
    add(element, f"{name}-step", letter[0])
    if alter := letter.count("#") - letter.count("b"):
        add(element, f"{name}-alter", alter)


def place_mark(element: Element, offset: int, staff: int) -> Element:
    """Place a direction or chord symbol so many ticks after the start of the next note."""
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
