"""Track names and provenance, which our MusicXML files hold in fields of their own.

One field states the track of each staff, and of each voice where two share a staff. It is ignored where it no longer
fits the music, since the file was edited.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import iterparse

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
