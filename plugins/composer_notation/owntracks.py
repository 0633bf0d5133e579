"""The tracks of a notation file: names and provenance in fields of our own, and programs by name.

Our MusicXML files have a field for the track of each staff, and of each voice where two share a staff. It is ignored
where it no longer fits the music, since the file was edited. Names of parts, in the languages of printed scores, tell
programs of General MIDI.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from xml.etree.ElementTree import iterparse

# --- our own fields ---------------------------------------------------------------------------------------------------


TRACKS = "composer-tracks"
"""The field that states the tracks, as JSON."""

PROVENANCE = "composer"
"""The field that holds the provenance, as JSON."""

_MOST = 1_000


@dataclass(frozen=True)
class OwnTrack:
    """A track: name, General MIDI program, whether it is drums, and its (staff, voice); voice 0 is the whole staff."""

    name: str
    program: int
    is_drum: bool
    staves: tuple[tuple[int, int], ...]


def parse_tracks(text: str, staves: int) -> tuple[OwnTrack, ...]:
    """Parse the field; () if it is invalid or refers to another number of staves."""
    try:
        tracks = tuple(_parse_track(values) for values in json.loads(text))
    except (KeyError, TypeError, ValueError, RecursionError):
        return ()
    numbers = [staff for track in tracks for staff, _ in track.staves]
    return tracks if len(tracks) <= _MOST and set(numbers) == set(range(staves)) else ()


def parse_provenance(document: bytes) -> dict[str, Any]:
    """Parse the provenance in a MusicXML document, which must have been checked; `{}` if there is none."""
    for _, element in iterparse(io.BytesIO(document)):  # noqa: S314  (entities are refused before)
        if element.tag == "part-list":
            break
        if element.tag == "miscellaneous-field" and element.get("name") == PROVENANCE:
            try:
                values = json.loads(element.text or "")
            except (ValueError, RecursionError):
                break
            return values if isinstance(values, dict) else {}
    return {}


def _parse_track(values: Any) -> OwnTrack:
    program = values["program"]
    staves = tuple((int(staff), int(voice)) for staff, voice in values["staves"])
    if not (isinstance(program, int) and 0 <= program <= 127):
        raise ValueError
    return OwnTrack(" ".join(str(values["name"]).split()), program, values["drums"] is True, staves)


# --- programs by name -------------------------------------------------------------------------------------------------


CHOIR = 52

_PROGRAMS = {
    "piano": 0, "klavier": 0, "pianoforte": 0, "harpsichord": 6, "cembalo": 6, "clavecin": 6, "clavicembalo": 6,
    "clavichord": 6, "celesta": 8, "glockenspiel": 9, "vibraphone": 11, "marimba": 12, "xylophone": 13, "dulcimer": 15,
    "organ": 19, "orgel": 19, "organo": 19, "orgue": 19, "accordion": 21, "akkordeon": 21, "harmonica": 22,
    "guitar": 24, "gitarre": 24, "chitarra": 24, "guitare": 24, "lute": 24, "laute": 24, "theorbo": 24, "ukulele": 24,
    "mandolin": 25, "violin": 40, "violine": 40, "violino": 40, "violon": 40, "geige": 40, "vln": 40, "fiddle": 40,
    "viola": 41, "bratsche": 41, "vla": 41, "cello": 42, "violoncello": 42, "violoncelle": 42, "vc": 42,
    "contrabass": 43, "contrabasso": 43, "kontrabass": 43, "contrebasse": 43, "violone": 43, "harp": 46, "harfe": 46,
    "arpa": 46, "harpe": 46, "timpani": 47, "pauken": 47, "timbales": 47, "strings": 48, "streicher": 48, "archi": 48,
    "trumpet": 56, "trompete": 56, "tromba": 56, "trombe": 56, "trompette": 56, "cornet": 56, "clarino": 56,
    "trombone": 57, "posaune": 57, "tuba": 58, "horn": 60, "corno": 60, "corni": 60, "cor": 60, "brass": 61,
    "saxophone": 65, "sax": 65, "oboe": 68, "hautbois": 68, "oboi": 68, "bassoon": 70, "fagott": 70, "fagotto": 70,
    "fagotti": 70, "basson": 70, "clarinet": 71, "klarinette": 71, "clarinetto": 71, "clarinetti": 71,
    "clarinette": 71, "piccolo": 72, "flute": 73, "flöte": 73, "flauto": 73, "flauti": 73, "flûte": 73, "flutes": 73,
    "recorder": 74, "blockflöte": 74, "ocarina": 79, "sitar": 104, "banjo": 105, "shamisen": 106, "koto": 107,
    "bagpipe": 109, "bagpipes": 109, "continuo": 6,
}  # fmt: skip
_PAIRS = {
    "english horn": 69, "cor anglais": 69, "corno inglese": 69, "englisch horn": 69, "double bass": 43,
    "bass guitar": 33, "electric guitar": 27, "soprano saxophone": 64, "soprano sax": 64, "alto saxophone": 65,
    "alto sax": 65, "tenor saxophone": 66, "tenor sax": 66, "baritone saxophone": 67, "baritone sax": 67,
    "electric bass": 33, "acoustic bass": 32, "bass clarinet": 71, "bass trombone": 57, "pan flute": 75,
    "steel drums": 114, "music box": 10, "tubular bells": 14,
}  # fmt: skip
_SUNG = ("soprano", "alto", "tenor", "bass", "baritone", "voice", "choir", "vocal")
_SINGERS = {
    "sopran", "mezzosoprano", "tenore", "basso", "bariton", "baryton", "singstimme", "gesang", "canto", "chant", "voix",
    "voce", "stimme", "coro", "chor", "cantus", "altus", "bassus", "quintus", "superius", "contratenor", "vocals", "s",
    "a", "t", "b",
}  # fmt: skip


def find_program(name: str) -> int | None:
    """Find the General MIDI program of a part by its name, such as `Violino I` or `Fagotti`; None if it names none."""
    words = re.findall(r"[^\W\d_]+", name.lower())
    for first, second in pairwise(words):
        if (found := _PAIRS.get(f"{first} {second}")) is not None:
            return found
    if (found := next((_PROGRAMS[word] for word in words if word in _PROGRAMS), None)) is not None:
        return found
    is_sung = name.lower().startswith(_SUNG) or bool(words and words[0] in _SINGERS)
    return CHOIR if is_sung else None
