"""The parts of a score: their entries in the part list, and their measures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from xml.etree.ElementTree import Element

from composer_notation.musicxml.measures import Measure, read_measures
from composer_notation.musicxml.values import TooLarge, get_text

MOST_PARTS = 1_000
MOST_MEASURES = 100_000  # of all parts together

DRUMS = 10
"""The channel of drums, as MusicXML and musicians count."""


class Instrument(NamedTuple):
    """The playback of an instrument in the part list, as MIDI counts; -1 where it is not stated."""

    program: int = -1
    channel: int = -1
    unpitched: int = -1  # the sound of General MIDI that all its notes have


@dataclass(frozen=True)
class Part:
    """A part as it is written: its measures and its instruments."""

    name: str
    instruments: Mapping[str, Instrument]
    measures: Sequence[Measure]
    staves: int = 1
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def program(self) -> int | None:
        """The General MIDI program of its first instrument that states one; None if none does."""
        return next((one.program for one in self.instruments.values() if one.program >= 0), None)

    @property
    def is_drum(self) -> bool:
        """Whether all its instruments are on the channel of drums."""
        return bool(self.instruments) and all(one.channel == DRUMS for one in self.instruments.values())


def read_parts(root: Element) -> list[Part]:
    """Read the parts of a score in the order of its list, and then those missing there. Raises TooLarge."""
    listed = {element.get("id", ""): element for element in root.findall("part-list/score-part")}
    written = _group_measures(root)
    if len(written) > MOST_PARTS:
        raise TooLarge(f"has more than {MOST_PARTS:,} parts; split it into pieces")
    if sum(map(len, written.values())) > MOST_MEASURES:
        raise TooLarge(f"has more than {MOST_MEASURES:,} measures in all parts; split it into pieces")
    names = [*(name for name in listed if name in written), *(name for name in written if name not in listed)]
    return [_read_part(listed.get(name), written[name]) for name in names]


def _group_measures(root: Element) -> dict[str, list[Element]]:
    """Group the measures by the id of their part; a time-wise score has the parts in each measure."""
    found: dict[str, list[Element]] = {}
    if root.tag == "score-partwise":
        for index, part in enumerate(root.iterfind("part")):
            name = part.get("id", "")
            found[name if name not in found else f"{name}#{index}"] = part.findall("measure")
    else:
        for measure in root.iterfind("measure"):
            for part in measure.iterfind("part"):
                found.setdefault(part.get("id", ""), []).append(part)
    return found


def _read_part(listed: Element | None, measures: Sequence[Element]) -> Part:
    name = "" if listed is None else _read_name(listed)
    instruments = {} if listed is None else dict(_read_instruments(listed))
    sounds = {name: one.unpitched for name, one in instruments.items() if one.unpitched >= 0}
    left_out: Counter[str] = Counter()
    read = read_measures(measures, sounds, left_out)
    return Part(name, instruments, read, max((measure.staves for measure in read), default=1), left_out)


def _read_name(listed: Element) -> str:
    """Read the name of a part, or else that of its instrument."""
    names = (get_text(listed, "part-name"), get_text(listed, "score-instrument/instrument-name"))
    return next((" ".join(name.split()) for name in names if name), "")


def _read_instruments(listed: Element) -> Iterator[tuple[str, Instrument]]:
    for element in listed.iterfind("midi-instrument"):
        program, channel, sound = (
            _read_midi_number(get_text(element, f"midi-{tag}")) for tag in ("program", "channel", "unpitched")
        )
        yield element.get("id", ""), Instrument(program - 1, channel, sound - 1)


def _read_midi_number(text: str) -> int:
    """Read a number of MIDI, 1 to 128; 0 for none."""
    number = int(text) if text.isdecimal() and len(text) < 4 else 0
    return number if number <= 128 else 0
