"""Chord symbols of MusicXML as text, such as `Am7b5` or `D/F#`."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from composer_notation.musicxml.values import NotUnderstood, get_text, read_number
from composer_notation.writing.harmony import parse_harmony

NAMES = {
    "major": "", "minor": "m", "augmented": "aug", "diminished": "dim", "dominant": "7", "major-seventh": "maj7",
    "minor-seventh": "m7", "diminished-seventh": "dim7", "augmented-seventh": "aug7", "half-diminished": "m7b5",
    "major-minor": "mM7", "major-sixth": "6", "minor-sixth": "m6", "dominant-ninth": "9", "major-ninth": "maj9",
    "minor-ninth": "m9", "dominant-11th": "11", "major-11th": "maj11", "minor-11th": "m11", "dominant-13th": "13",
    "major-13th": "maj13", "minor-13th": "m13", "suspended-second": "sus2", "suspended-fourth": "sus4", "power": "5",
}  # fmt: skip
_ALTERS = {-2: "bb", -1: "b", 0: "", 1: "#", 2: "##"}


def read_chord(element: Element) -> str:
    """Read a `<harmony>`, "" if it names no chord in letters. Raises NotUnderstood."""
    kind = get_text(element, "kind")
    if kind == "none":
        return "N.C."
    root = _read_letter(element.find("root"), "root")
    quality = _read_quality(element, kind, root)
    if not root or quality is None:
        return ""
    bass = _read_letter(element.find("bass"), "bass")
    return f"{root}{quality}{'/' if bass else ''}{bass}"


def _read_letter(element: Element | None, name: str) -> str:
    if element is None:
        return ""
    step, alter = get_text(element, f"{name}-step"), read_number(get_text(element, f"{name}-alter") or "0")
    if len(step) != 1 or step not in "ABCDEFG" or alter not in _ALTERS:
        raise NotUnderstood(name)
    return step + _ALTERS[int(alter)]


def _read_quality(element: Element, kind: str, root: str) -> str | None:
    """Return the text after the root: as printed if that agrees with the kind, else the usual name of the kind."""
    printed = "".join(text for found in element.iterfind("kind") for text in found.get("text", "").split())
    parsed = parse_harmony(root + printed)
    if printed and (kind == "other" or (parsed and parsed.kind == kind)):
        return printed
    if kind not in NAMES:
        return printed or None
    return NAMES[kind] + "".join(_read_degree(degree) for degree in element.iterfind("degree"))


def _read_degree(element: Element) -> str:
    """Read a tone that is added, altered or left out: `add9`, `b5`, `no3`."""
    value, kind = get_text(element, "degree-value"), get_text(element, "degree-type")
    alter = read_number(get_text(element, "degree-alter") or "0")
    if not (value.isdecimal() and len(value) < 3) or alter not in _ALTERS:
        raise NotUnderstood("degree")
    sign = _ALTERS[int(alter)]
    return {"add": f"add{sign}{value}", "subtract": f"no{value}"}.get(kind, f"{sign}{value}")
