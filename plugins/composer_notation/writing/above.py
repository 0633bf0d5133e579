"""Elements of MusicXML above a part: section names, tempos and chord symbols."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

from composer.music.score import Text
from composer_notation.writing.pages import Pages
from composer_notation.writing.xmltext import add, clean

# --- chord symbols in text --------------------------------------------------------------------------------------------


_KINDS = {
    **dict.fromkeys(["", "maj", "M"], "major"),
    **dict.fromkeys(["m", "min", "-"], "minor"),
    **dict.fromkeys(["dim", "o", "°"], "diminished"),
    **dict.fromkeys(["aug", "+"], "augmented"),
    **dict.fromkeys(["sus", "sus4"], "suspended-fourth"),
    "sus2": "suspended-second",
    "5": "power",
    "6": "major-sixth",
    **dict.fromkeys(["m6", "min6", "-6"], "minor-sixth"),
    "7": "dominant",
    **dict.fromkeys(["maj7", "M7", "Δ", "Δ7", "ma7"], "major-seventh"),
    **dict.fromkeys(["m7", "min7", "-7"], "minor-seventh"),
    **dict.fromkeys(["mM7", "mmaj7", "m(maj7)", "minmaj7"], "major-minor"),
    **dict.fromkeys(["dim7", "o7", "°7"], "diminished-seventh"),
    **dict.fromkeys(["m7b5", "min7b5", "-7b5", "ø", "ø7"], "half-diminished"),
    **dict.fromkeys(["aug7", "+7", "7#5"], "augmented-seventh"),
    "9": "dominant-ninth",
    **dict.fromkeys(["maj9", "M9"], "major-ninth"),
    **dict.fromkeys(["m9", "min9", "-9"], "minor-ninth"),
    "11": "dominant-11th",
    **dict.fromkeys(["m11", "min11", "-11"], "minor-11th"),
    "13": "dominant-13th",
}
_NAME = re.compile(r"^([A-G])([#b]?)([^/]*?)(?:/([A-G])([#b]?))?$")
_ALTERS = {"#": 1, "b": -1, "": 0}


@dataclass(frozen=True)
class Harmony:
    """A chord symbol: letters with their alterations, and the kind as MusicXML names it, `other` if it has no name."""

    root: tuple[str, int]
    kind: str
    text: str  # of the kind, as it was written
    bass: tuple[str, int] | None = None


def parse_harmony(text: str) -> Harmony | None:
    """Parse a chord symbol such as `Am7b5`, `Bb7` or `D/F#`; None for a text that is none."""
    found = _NAME.match(text.strip())
    if not found:
        return None
    root, sign, kind, bass, bass_sign = found.groups()
    below = (bass, _ALTERS[bass_sign]) if bass else None
    return Harmony((root, _ALTERS[sign]), _KINDS.get(kind, "other"), kind, below)


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
        is_compound = measure.denominator >= 8 and measure.numerator % 3 == 0 and measure.numerator > 3
        if index == last or abs(tempo.bpm - shown) <= _SHOWN_CHANGE * shown:
            yield tempo.tick, Element("sound", tempo=f"{tempo.bpm:.6g}")
            continue
        element, kind = _make_direction()
        _add_metronome(kind, tempo.bpm, is_compound=is_compound)
        SubElement(element, "sound", tempo=f"{tempo.bpm:.6g}")
        shown, last = tempo.bpm, index
        yield tempo.tick, element


def _add_metronome(kind: Element, bpm: float, *, is_compound: bool) -> None:
    mark = SubElement(kind, "metronome")
    dotted = bpm / 1.5
    is_round = abs(dotted - round(dotted, 2)) < 1e-9
    add(mark, "beat-unit", "quarter")
    if is_compound and is_round:
        SubElement(mark, "beat-unit-dot")
    add(mark, "per-minute", f"{dotted if is_compound and is_round else bpm:.6g}")


def _make_harmony(chord: Text) -> Element:
    """Make the element of a chord symbol, or of words if it is none."""
    found = parse_harmony(clean(chord.text))
    if found is None:
        element, kind = _make_direction()
        add(kind, "words", clean(chord.text))
        return element
    element = Element("harmony")
    root = SubElement(element, "root")
    _add_letter(root, "root", found.root)
    add(element, "kind", found.kind, text=found.text)
    if found.bass:
        _add_letter(SubElement(element, "bass"), "bass", found.bass)
    return element


def _add_letter(element: Element, name: str, letter: tuple[str, int]) -> None:
    add(element, f"{name}-step", letter[0])
    if letter[1]:
        add(element, f"{name}-alter", letter[1])


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
