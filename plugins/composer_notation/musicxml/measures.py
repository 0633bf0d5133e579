"""The measures of a part as written: notes, signatures, tempos, chord symbols and signs, with their times.

Times are counted in parts of `GRID` while a measure is read, and returned as quarter notes from its start. Grace notes
and cues take no time that is played, and are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from xml.etree.ElementTree import Element

from composer_notation.bargrid import transpose_fifths
from composer_notation.musicxml.signs import (
    PLAIN,
    Marks,
    add_barline,
    add_sign,
    add_sound,
    add_words,
    join_marks,
    make_coda_jump,
)
from composer_notation.musicxml.values import (
    GRID,
    NotUnderstood,
    convert_to_quarters,
    get_text,
    read_chord,
    read_duration,
    read_metronome,
    read_number,
    read_pitch,
    read_time_signature,
    round_length,
)
from composer_notation.unfolding import FORTE, VELOCITY, Sounding
from composer_notation.writing.spelling import find_number

_SILENT = {  # audible marks that are not played, by element
    "lyric": "lyrics",
    "ornaments": "ornaments",
    "figured-bass": "figured basses",
    "dynamics": "dynamics",
    "wedge": "hairpins",
    "pedal": "pedal marks",
    "measure-repeat": "signs that repeat a measure",
}
_ODD = "elements with impossible values"

Signature = tuple[int, int]


@dataclass(frozen=True)
class KeyMark:
    """A key signature: sharps (positive) or flats as it sounds, and its mode, "" if it states none."""

    start: Fraction
    fifths: int
    mode: str
    is_transposed: bool


@dataclass(frozen=True)
class Measure:
    """A measure of one part. Notes stand by the number of their staff, those of drums apart."""

    length: Fraction  # as far as its voices reach; 0 if nothing is written in it
    notes: Mapping[int, Sequence[Sounding]]
    drums: Mapping[int, Sequence[Sounding]]
    marks: Marks
    staves: int = 1  # of the part, so far
    time: Signature | None = None
    keys: Sequence[KeyMark] = ()
    tempos: Sequence[tuple[Fraction, float]] = ()
    chords: Sequence[tuple[Fraction, str]] = ()
    sections: Sequence[tuple[Fraction, str]] = ()
    number: str = ""  # as it is printed, mostly


def read_measures(elements: Iterable[Element], sounds: Mapping[str, int], left_out: Counter[str]) -> list[Measure]:
    """Read the measures of a part. `sounds`: General MIDI's drum sounds by instrument; adds to `left_out`, by kind."""
    walk = _Reader(sounds, left_out)
    return [walk.read_measure(element) for element in elements]


@dataclass
class _Reader:
    """A position in a part, and the state there."""

    sounds: Mapping[str, int]
    left_out: Counter[str]
    divisions: Fraction = Fraction(1)
    transposes: dict[str, Fraction] = field(default_factory=dict)  # by number of the staff, "" for all
    staves: int = 1
    late: Marks = PLAIN  # signs at the end of a measure, which belong to the next one
    at: int = 0
    reached: int = 0
    last: int = 0  # onset of the note before, and of its chord
    time: Signature | None = None
    marks: Marks = PLAIN
    placed: list[tuple[int, Marks]] = field(default_factory=list)  # segnos and codas
    notes: dict[int, list[Sounding]] = field(default_factory=dict)
    drums: dict[int, list[Sounding]] = field(default_factory=dict)
    keys: list[KeyMark] = field(default_factory=list)
    tempos: dict[int, float] = field(default_factory=dict)
    chords: list[tuple[Fraction, str]] = field(default_factory=list)
    sections: list[tuple[Fraction, str]] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)  # of notes and rests

    def read_measure(self, element: Element) -> Measure:
        """Read one measure."""
        self.at = self.reached = self.last = 0
        self.time, self.marks, self.placed = None, self.late, []
        self.notes, self.drums, self.keys, self.tempos, self.chords, self.sections = {}, {}, [], {}, [], []
        self.ends = []
        for child in element:
            if step := _STEPS.get(child.tag):
                try:
                    step(self, child)
                except NotUnderstood:
                    self.left_out[_ODD] += 1
        at_end = [mark for at, mark in self.placed if 0 < self.reached <= at]
        here = [mark for at, mark in self.placed if not 0 < self.reached <= at]
        self.late = join_marks(mark for mark in at_end if not mark.coda_signs)
        here += [make_coda_jump(mark) for mark in at_end if mark.coda_signs]
        return Measure(
            round_length(self.reached),
            self.notes,
            self.drums,
            join_marks([self.marks, *here]),
            self.staves,
            self.time,
            self.keys,
            [(convert_to_quarters(at), bpm) for at, bpm in sorted(self.tempos.items())],
            _spread_chords(self.chords, [convert_to_quarters(end) for end in self.ends]),
            self.sections,
            element.get("number", ""),
        )

    def read_attributes(self, element: Element) -> None:
        """Read divisions, transposition, key and time."""
        for child in element:
            if child.tag == "divisions":
                divisions = read_number((child.text or "").strip())
                if divisions <= 0:
                    raise NotUnderstood("divisions")
                self.divisions = divisions
            elif child.tag == "transpose":
                moved = read_number(get_text(child, "chromatic") or "0") + 12 * read_number(
                    get_text(child, "octave-change") or "0"
                )
                self.transposes[child.get("number", "")] = moved
            elif child.tag == "staves":
                self.staves = max(self.staves, _read_staff((child.text or "").strip()))
            elif child.tag == "measure-style":
                self._leave_out(child)
        for child in element.iterfind("key"):
            self._read_key(child)
        if (time := element.find("time")) is not None and (signature := read_time_signature(time)):
            self.time = signature

    def _read_key(self, element: Element) -> None:
        fifths = read_number(get_text(element, "fifths"))
        if fifths.denominator != 1 or not -12 <= fifths <= 12:
            raise NotUnderstood("fifths")
        moved = self._get_transposition(element.get("number", ""))
        sounding = transpose_fifths(int(fifths), round(moved)) if moved else int(fifths)
        mode = get_text(element, "mode").lower()
        self.keys.append(KeyMark(convert_to_quarters(self.at), sounding, "" if mode == "none" else mode, bool(moved)))

    def _get_transposition(self, staff: str) -> Fraction:
        return self.transposes.get(staff, self.transposes.get("", Fraction(0)))

    def read_backup(self, element: Element) -> None:
        """Go back, for another voice."""
        self.at = max(self.at - self._read_duration(element), 0)

    def read_forward(self, element: Element) -> None:
        """Advance in silence."""
        self.at += self._read_duration(element)
        self.reached = max(self.reached, self.at)

    def _read_duration(self, element: Element) -> int:
        return read_duration(get_text(element, "duration"), self.divisions)

    def read_note(self, element: Element) -> None:
        """Read a note or rest, and advance by its length."""
        self._leave_out_of_note(element)
        if element.find("grace") is not None:
            self.left_out["grace notes"] += 1
            return
        length = self._read_duration(element)
        start = self.last if element.find("chord") is not None else self.at
        self.last, self.at = start, max(self.at, start + length)
        self.ends.append(self.at)
        self.reached = max(self.reached, self.at)
        if element.find("cue") is not None:
            self.left_out["cue notes"] += 1
        elif length:
            self._add_note(element, start, length)
        elif element.find("rest") is None:
            self.left_out["notes without a length"] += 1

    def _add_note(self, element: Element, start: int, length: int) -> None:
        named = get_text(element, "staff")
        staff = _read_staff(named)
        self.staves = max(self.staves, staff)
        pitch, unpitched = element.find("pitch"), element.find("unpitched")
        sound = self.sounds.get(_find_instrument(element), -1)
        if sound >= 0 and (pitch is not None or unpitched is not None):
            notes, found = self.drums, sound
        elif pitch is not None:
            exact, is_rounded = read_pitch(pitch)
            self.left_out["microtones, which were rounded"] += is_rounded
            notes, found = self.notes, exact + round(self._get_transposition(named))
        elif unpitched is not None:
            notes, found = self.drums, _find_drum_sound(element, unpitched)
        else:
            return
        if 0 <= found <= 127:
            note = Sounding(
                convert_to_quarters(start),
                convert_to_quarters(length),
                found,
                _read_velocity(element),
                _is_tied(element),
                _read_voice(element),
            )
            notes.setdefault(staff, []).append(note)
        elif notes is self.drums:
            self.left_out["notes of percussion that name no sound"] += 1
        else:
            self.left_out["notes beyond the range of MIDI"] += 1

    def _leave_out_of_note(self, element: Element) -> None:
        self.left_out["lyrics"] += len(element.findall("lyric"))
        for notations in element.iterfind("notations"):
            for child in notations:
                self._leave_out(child)

    def _leave_out(self, element: Element) -> None:
        kind = _SILENT.get(element.tag)
        if kind:
            self.left_out[kind] += 1
        elif element.tag == "measure-style":
            for child in element:
                if child.get("type") == "start":
                    self._leave_out(child)

    def read_figured_bass(self, element: Element) -> None:
        """Leave figures out."""
        self._leave_out(element)

    def read_direction(self, element: Element) -> None:
        """Read tempos, sections, signs and words above a staff."""
        at = self._find_time(element)
        for child in element.iterfind("direction-type/*"):
            if child.tag in ("segno", "coda"):
                self.placed.append((at, add_sign(PLAIN, child.tag)))
            elif child.tag == "words":
                self.read_words(at, child.text or "")
            elif child.tag == "rehearsal":
                self.sections.append((convert_to_quarters(at), " ".join((child.text or "").split())))
            elif child.tag == "metronome":
                self._read_metronome(at, child)
            else:
                self._leave_out(child)
        for child in element.iterfind("sound"):
            self._apply_sound(at, child)

    def read_words(self, at: int, text: str) -> None:
        """Read words about the playing order; a `Coda` stands where its words do."""
        found = add_words(PLAIN, text)
        if found.signs.coda:
            self.placed.append((at, found))
        else:
            self.marks = join_marks([self.marks, found])

    def read_sound(self, element: Element) -> None:
        """Read a `<sound>` that stands in the measure itself."""
        self._apply_sound(self.at, element)

    def _apply_sound(self, at: int, element: Element) -> None:
        at = self._find_time(element, at)
        if tempo := element.get("tempo"):
            self.tempos[at] = float(read_number(tempo))
        found = add_sound(PLAIN, element)
        if found.signs.segno or found.signs.coda:
            self.placed.append((at, found))
        else:
            self.marks = join_marks([self.marks, found])

    def _read_metronome(self, at: int, element: Element) -> None:
        try:
            self.tempos.setdefault(at, read_metronome(element))
        except NotUnderstood:
            self.left_out["metronome marks without a number"] += 1

    def _find_time(self, element: Element, at: int | None = None) -> int:
        """Find the time of a direction, which may be some divisions after or before its element."""
        at = self.at if at is None else at
        moved = read_number(get_text(element, "offset") or "0")
        return max(at + round(moved * GRID / self.divisions), 0) if moved else at

    def read_harmony(self, element: Element) -> None:
        """Read a chord symbol."""
        text = read_chord(element)
        if text:
            self.chords.append((convert_to_quarters(self._find_time(element)), text))
        else:
            self.left_out["chord symbols without a name"] += 1

    def read_barline(self, element: Element) -> None:
        """Read repeats and endings."""
        if (
            element.get("location") == "right"
            or element.find("ending") is not None
            or element.find("repeat") is not None
        ):
            self.marks = add_barline(self.marks, element)


def _spread_chords(chords: Sequence[tuple[Fraction, str]], ends: Sequence[Fraction]) -> list[tuple[Fraction, str]]:
    """Spread symbols written before one note over its length; `ends` are those of notes and rests, in quarters."""
    times = [at for at, _ in chords]
    spread = []
    for number, (at, text) in enumerate(chords):
        count, before = times.count(at), times[:number].count(at)
        length = min((end for end in (*ends, *times) if end > at), default=at) - at
        unit = next((unit for unit in (Fraction(1), Fraction(1, 2)) if unit * count <= length), None)
        moved = length * before / count
        spread.append((at + (moved // unit * unit if unit else moved), text))
    return spread


_STEPS: Mapping[str, Callable[[_Reader, Element], None]] = {
    "note": _Reader.read_note,
    "backup": _Reader.read_backup,
    "forward": _Reader.read_forward,
    "attributes": _Reader.read_attributes,
    "direction": _Reader.read_direction,
    "harmony": _Reader.read_harmony,
    "barline": _Reader.read_barline,
    "sound": _Reader.read_sound,
    "figured-bass": _Reader.read_figured_bass,
}


def _read_staff(text: str) -> int:
    """Read the number of a staff, from 1; that of the first where none is named."""
    number = int(text) if text.isdecimal() and len(text) < 3 else 1
    return max(number, 1)


def _find_instrument(element: Element) -> str:
    found = element.find("instrument")
    return "" if found is None else found.get("id", "")


def _find_drum_sound(element: Element, unpitched: Element) -> int:
    """Find the sound of a drum kit with that line and note head; -1 for none."""
    octave = get_text(unpitched, "display-octave")
    found = find_number(
        get_text(unpitched, "display-step"),
        int(octave) if octave.isdecimal() and len(octave) == 1 else -1,
        get_text(element, "notehead") or "normal",
    )
    return -1 if found is None else found


def _read_velocity(element: Element) -> int:
    stated = element.get("dynamics")
    return VELOCITY if stated is None else max(1, min(127, round(read_number(stated) * FORTE / 100)))


def _is_tied(element: Element) -> bool:
    ties = element.findall("tie") or element.findall("notations/tied")
    return any(tie.get("type") in ("start", "continue") for tie in ties)


def _read_voice(element: Element) -> str:
    return get_text(element, "voice") or "1"
