"""Pages as a MusicXML 4.0 document: its heading and its list of parts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from composer_notation.owntracks import PROVENANCE, TRACKS
from composer_notation.writing.pages import Pages
from composer_notation.writing.partxml import make_part
from composer_notation.writing.spelling import find_sound
from composer_notation.writing.staves import Part
from composer_notation.writing.xmltext import add, clean

_DOCTYPE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE score-partwise PUBLIC '
    '"-//Recordare//DTD MusicXML 4.0 Partwise//EN" "http://www.musicxml.org/dtds/partwise.dtd">\n'
)


@dataclass(frozen=True)
class Heading:
    """The text over the music, and the metadata of the file."""

    title: str = ""
    composer: str = ""
    software: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)


def build_document(pages: Pages, heading: Heading) -> bytes:
    """Build the bytes of a file."""
    root = Element("score-partwise", version="4.0")
    if heading.title:
        add(SubElement(root, "work"), "work-title", heading.title)
    root.append(_make_identification(pages, heading))
    root.append(_make_part_list(pages))
    for number, part in enumerate(pages.parts, start=1):
        root.append(make_part(pages, part, number))
    indent(root)
    return (_DOCTYPE + tostring(root, encoding="unicode") + "\n").encode()


def _make_identification(pages: Pages, heading: Heading) -> Element:
    element = Element("identification")
    if heading.composer:
        add(element, "creator", heading.composer, type="composer")
    if heading.software:
        add(SubElement(element, "encoding"), "software", heading.software)
    more = SubElement(element, "miscellaneous")
    if heading.provenance:
        add(more, "miscellaneous-field", json.dumps(dict(heading.provenance), sort_keys=True), name=PROVENANCE)
    add(more, "miscellaneous-field", json.dumps(_describe_tracks(pages)), name=TRACKS)
    return element


def _describe_tracks(pages: Pages) -> list[dict[str, Any]]:
    """Describe each track: name, instrument, and the staves that hold it, with the voice where two share a staff."""
    staves: dict[int, list[tuple[int, int]]] = {}
    for number, staff in enumerate(staff for part in pages.parts for staff in part.staves):
        for voice, line in enumerate(staff.lines, start=1):
            staves.setdefault(line.track, []).append((number, voice if staff.is_shared else 0))
    return [
        {
            "name": clean(track.name),
            "program": int(track.program),
            "drums": bool(track.is_drum),
            "staves": sorted(set(staves[number])),
        }
        for number, track in enumerate(pages.tracks)
    ]


def _make_part_list(pages: Pages) -> Element:
    element = Element("part-list")
    is_group = len(pages.parts) > 1 and all(part.is_sung for part in pages.parts)
    if is_group:
        group = SubElement(element, "part-group", number="1", type="start")
        add(group, "group-symbol", "bracket")
        add(group, "group-barline", "yes")
    for number, part in enumerate(pages.parts, start=1):
        element.append(_make_score_part(part, number, is_alone=len(pages.parts) == 1))
    if is_group:
        SubElement(element, "part-group", number="1", type="stop")
    return element


def _make_score_part(part: Part, number: int, *, is_alone: bool) -> Element:
    element = Element("score-part", id=f"P{number}")
    lines = [clean(line) for line in part.name.split("\n")]
    hidden = {"print-object": "no"} if is_alone and len(lines) == 1 else {}
    add(element, "part-name", "\n".join(lines), **hidden)
    if part.abbreviation:
        add(element, "part-abbreviation", "\n".join(clean(line) for line in part.abbreviation.split("\n")))
    instruments = _list_instruments(part, number)
    for identity, name, _ in instruments:
        add(SubElement(element, "score-instrument", id=identity), "instrument-name", name)
    for identity, _, drum in instruments:
        midi = SubElement(element, "midi-instrument", id=identity)
        add(midi, "midi-channel", 10 if part.is_drum else _choose_channel(number))
        if part.is_drum:
            add(midi, "midi-unpitched", drum + 1)
        else:
            add(midi, "midi-program", part.program + 1)
    return element


def _choose_channel(number: int) -> int:
    return [*range(1, 10), *range(11, 17)][(number - 1) % 15]


def _list_instruments(part: Part, number: int) -> list[tuple[str, str, int]]:
    """List id and name of each instrument of a part, one for each sound of a drum kit, with the sound's number."""
    if not part.is_drum:
        return [(f"P{number}-I1", clean(part.name), 0)]
    sounds = sorted({n.pitch for staff in part.staves for line in staff.lines for e in line.events for n in e.pitches})
    return [(f"P{number}-I{drum + 1}", find_sound(drum).name, drum) for drum in sounds]
