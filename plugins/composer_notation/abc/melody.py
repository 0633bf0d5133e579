"""The measures of a voice of an ABC tune, in written order: notes, and the signs around each measure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from typing import NamedTuple

from composer.music.keys import LETTERS, SEMITONES, Key
from composer_notation.abc.fields import ALTERATIONS, VoiceState, apply_field, parse_tempo
from composer_notation.abc.rhythm import find_units
from composer_notation.abc.symbols import (
    MOST_SYMBOLS,
    VELOCITIES,
    Head,
    Symbol,
    count_grace_notes,
    count_rest_bars,
    decode_text,
    find_octave,
    find_sign,
    is_remark,
    name_omission,
    parse_chord,
    parse_heads,
)
from composer_notation.abc.tunebook import Tune, Voice
from composer_notation.unfolding import MOST_MEASURES, Sounding

_START = Fraction(0)
_Timed = tuple[Symbol, Fraction]  # a symbol, and how long a length of 1 is


@dataclass(frozen=True)
class WrittenMeasure:
    """A measure as written: notes counted from its start, its length in quarter notes, and the signs around it."""

    notes: tuple[Sounding, ...]
    length: Fraction
    numerator: int  # 0 in free metre
    denominator: int
    before: str  # the bar line that it follows, "" at an ending without one
    after: str
    chords: tuple[tuple[Fraction, str], ...] = ()  # chord symbols, counted from its start
    ending: str = ""  # the rounds that it, and the measures after it, are for: "1", "1,3"
    keys: tuple[tuple[Fraction, Key | None], ...] = ()  # at its start, and changes
    tempos: tuple[tuple[Fraction, float], ...] = ()  # changes
    parts: tuple[tuple[Fraction, str], ...] = ()  # labels by `P:`
    signs: tuple[tuple[Fraction, str], ...] = ()  # `fine`, `segno` and the like, as `decorations.find_sign` names them

    @property
    def bar(self) -> Fraction:
        """Length of a complete measure; 0 in free metre."""
        return Fraction(4 * self.numerator, self.denominator)


@dataclass
class _Stretch:
    """The music between two bar lines, by layer; each overlay (`&`) is a layer of its own."""

    layers: list[list[_Timed]]
    before: str
    after: str = ""
    ending: str = ""


@dataclass(frozen=True)
class VoiceReading:
    """The result of reading a voice."""

    measures: list[WrittenMeasure]  # in written order
    force: VoiceState  # at their end
    size: int  # notes and signs


def read_measures(tune: Tune, voice: Voice) -> list[WrittenMeasure]:
    """Read the measures of a voice in written order, as `read_voice` does."""
    return read_voice(tune, voice, Counter()).measures


def read_voice(tune: Tune, voice: Voice, left_out: Counter[str], most: int = MOST_SYMBOLS) -> VoiceReading:
    """Read a voice of at most `most` symbols, in linear time, and count what is left out.

    ValueError, in words that follow a tune's name, for invalid ABC.
    """
    force = tune.build_state(voice, left_out)
    written = list(islice(tune.scan(voice), most + 1))
    size = len(written) if len(written) > most else sum(map(_count_signs, written))
    if size > most:
        raise ValueError(f"has more than {MOST_SYMBOLS:,} notes and signs")
    found: list[WrittenMeasure] = []
    tied: tuple[_NamedNote, ...] = ()
    for stretch in _cut(zip(written, find_units(written, force.unit, force.time_signature), strict=True)):
        reader = _MeasureReader(stretch, force, tied, left_out)
        found.append(reader.read())
        force, tied = reader.force, reader.tied_on
    return VoiceReading(found, force, size)


def _count_signs(symbol: Symbol) -> int:
    return len(parse_heads(symbol)) if symbol.kind == "chord" else 1


# --- from bar line to bar line ----------------------------------------------------------------------------------------


class _Cutter:
    """Cuts a voice at bar lines. Lines with nothing between them are one, and an ending cuts as a line does."""

    def __init__(self) -> None:
        self.found: list[_Stretch] = []
        self.index = 0  # of the current stretch; before the end in an overlay
        self.inside: list[_Timed] = []
        self.has_time = False
        self.line, self.ending = "", ""

    def add(self, symbol: Symbol, time: Fraction) -> None:
        match symbol.kind:
            case "bar":
                self._end_stretch(symbol.text)
            case "ending":
                self._end_stretch("")
                self.ending = symbol.text.strip('["') if any(map(str.isdigit, symbol.text)) else ""
            case "overlay":
                self._go_back(len(symbol.text))
            case "rests":
                self._add_rests(symbol, time)
            case "line":
                self._end_line()
            case _:
                self.inside.append((symbol, time))
                self.has_time = self.has_time or time > 0

    def finish(self) -> list[_Stretch]:
        self._end_line()
        self._end_stretch("|]")
        return self.found

    def _end_stretch(self, text: str) -> None:
        if self.has_time:
            self._add_layer()
            self.found[self.index].after = self.found[self.index].after or text
            self.index += 1
            if self.index == len(self.found):
                self.line = text
        elif text and self.index == len(self.found):
            self.line = f"{self.line} {text}".strip()
            if self.found:
                self.found[-1].after = self.line

    def _add_layer(self) -> None:
        """Add the collected symbols to the current stretch, as its only layer or as an overlay."""
        if self.index == len(self.found):
            if len(self.found) == MOST_MEASURES:
                raise ValueError(f"has more than {MOST_MEASURES:,} measures")
            self.found.append(_Stretch([], self.line, "", self.ending))
            self.line = self.ending = ""
        self.found[self.index].layers.append(self.inside)
        self.inside, self.has_time = [], False

    def _go_back(self, bars: int) -> None:
        if self.has_time:
            self._add_layer()
            bars -= 1
        self.index = max(self.index - bars, 0)

    def _add_rests(self, symbol: Symbol, time: Fraction) -> None:
        """Add whole bars of rest, each a stretch; the bar line that follows ends the last one."""
        bars = count_rest_bars(symbol)
        if bars > MOST_MEASURES:
            raise ValueError(f"has a rest of {bars:,} bars")
        for number in range(bars):
            self.inside.append((symbol, time))
            self.has_time = True
            if number + 1 < bars:
                self._end_stretch("|")

    def _end_line(self) -> None:
        """Move signs such as `fine`, after the last bar line of a text line, to the measure before it."""
        if self.has_time or not self.found or self.index < len(self.found):
            return
        back = [(symbol, time) for symbol, time in self.inside if find_sign(symbol)]
        if back:
            self.found[-1].layers[0].extend(back)
            self.inside = [pair for pair in self.inside if not find_sign(pair[0])]


def _cut(items: Iterable[_Timed]) -> list[_Stretch]:
    cutter = _Cutter()
    for symbol, time in items:
        cutter.add(symbol, time)
    return cutter.finish()


# --- notes ------------------------------------------------------------------------------------------------------------


class _NamedNote(NamedTuple):
    """A note of the latest symbol: letter, octave marks, semitones of its accidental."""

    letter: str
    octaves: str
    alteration: int


class _MeasureReader:
    """Reads a stretch: `written` returns the measure; then `force` and `tied_on` are for the next one."""

    def __init__(
        self, stretch: _Stretch, force: VoiceState, tied: tuple[_NamedNote, ...], left_out: Counter[str]
    ) -> None:
        self.stretch, self.force, self.left_out = stretch, force, left_out
        self.tied_in = tied
        self.tied_on: tuple[_NamedNote, ...] = ()
        self.notes: list[Sounding] = []
        self.chords: list[tuple[Fraction, str]] = []
        self.keys: list[tuple[Fraction, Key | None]] = [(_START, force.signature.key)]
        self.tempos: list[tuple[Fraction, float]] = []
        self.parts: list[tuple[Fraction, str]] = []
        self.signs: list[tuple[Fraction, str]] = []
        self.at = self.length = _START
        self.sung: tuple[_NamedNote, ...] = ()
        self.tied: tuple[_NamedNote, ...] = ()
        self.altered: dict[str, int] = {}

    def read(self) -> WrittenMeasure:
        begin, ends = self.force, []
        for layer in self.stretch.layers:
            self.force = begin
            self._read_layer(layer)
            ends.append(self.force)
        self.force = ends[0]
        numerator, denominator = self.force.time_signature or (0, 4)
        return WrittenMeasure(
            notes=tuple(self.notes),
            length=self.length,
            numerator=numerator,
            denominator=denominator,
            before=self.stretch.before,
            after=self.stretch.after,
            chords=tuple(self.chords),
            ending=self.stretch.ending,
            keys=tuple(self.keys),
            tempos=tuple(self.tempos),
            parts=tuple(self.parts),
            signs=tuple(self.signs),
        )

    def _read_layer(self, layer: Sequence[_Timed]) -> None:
        self.at, self.sung, self.tied, self.altered = _START, (), self.tied_in, {}
        for symbol, unit in layer:
            match symbol.kind:
                case "note" | "chord":
                    self._add_chord(parse_heads(symbol), unit)
                case "rests":
                    self.sung = self.tied = ()
                    self.at += unit
                case "tie" if self.sung:
                    self.tied = self.sung
                    self.notes[-len(self.sung) :] = [
                        replace(note, is_tied=True) for note in self.notes[-len(self.sung) :]
                    ]
                case "field":
                    self._apply_field(symbol.text)
                case "text":
                    self._add_text(symbol)
                case "decoration":
                    self._decorate(symbol)
                case "grace":
                    self.left_out["grace notes"] += count_grace_notes(symbol)
                case "unknown":
                    self.left_out["signs without a meaning"] += 1
        self.length = max(self.length, self.at)
        self.tied_on += self.tied

    def _add_chord(self, chord: Sequence[Head], unit: Fraction) -> None:
        """Add a note or a chord, which lasts as long as its first note; rests are no part of it."""
        sung, tied = [], []
        length = chord[0].length * unit
        for head in chord:
            if head.letter in "xz":
                continue
            note = _NamedNote(head.letter, head.octaves, self._find_alteration(head))
            its = length if head is chord[0] else head.length * unit
            self.notes.append(Sounding(self.at, its, self._find_pitch(head, note), self.force.velocity, head.is_tied))
            sung.append(note)
            tied += [note] if head.is_tied else []
        self.sung, self.tied = tuple(sung), tuple(tied)
        self.at += length

    def _find_alteration(self, head: Head) -> int:
        """Find the alteration of a note: by its accidental, a tie, an earlier accidental, or the key, in this order."""
        name = _find_scope(head, self.force.reach)
        if "/" in head.accidental:
            self.left_out["quarter tones"] += 1
        elif head.accidental:
            if head.accidental not in ALTERATIONS:
                raise ValueError(f"has an invalid accidental '{head.accidental}'")
            self.altered[name] = ALTERATIONS[head.accidental]
            return ALTERATIONS[head.accidental]
        for sung in self.tied:
            if (sung.letter, sung.octaves) == (head.letter, head.octaves):
                return sung.alteration
        if self.force.reach != "not" and name in self.altered:
            return self.altered[name]
        return self.force.signature.altered[LETTERS.index(head.letter.upper())]

    def _find_pitch(self, head: Head, sung: _NamedNote) -> int:
        name = head.letter + head.octaves
        if self.force.is_drum and self.force.sounds:
            return self.force.sounds.get(head.accidental + name, self.force.sounds.get(name, _compute_pitch(sung)))
        pitch = _compute_pitch(sung) + (0 if self.force.is_drum else self.force.shift)
        if not 0 <= pitch <= 127:
            raise ValueError(f"has the note '{name[:9]}', which is out of range")
        return pitch

    def _apply_field(self, text: str) -> None:
        """Apply a field between the notes."""
        letter, _, value = text.partition(":")
        if letter == "Q" and value.strip():
            bpm = parse_tempo(value, self.force.unit)
            self.tempos += [] if bpm is None else [(self.at, bpm)]
            self.left_out["tempos that are not understood"] += bpm is None
        elif letter == "P":
            self.parts.append((self.at, decode_text(value)))
        else:
            before = self.force.signature
            self.force = apply_field(self.force, text, self.left_out)
            if self.force.signature != before:
                self.keys.append((self.at, self.force.signature.key))

    def _add_text(self, symbol: Symbol) -> None:
        if sign := find_sign(symbol):
            self.signs.append((self.at, sign))
        elif not is_remark(symbol.text):
            chord = parse_chord(decode_text(symbol.text))
            self.chords += [(self.at, chord)] if chord else []
            self.left_out["unknown chord symbols"] += not chord

    def _decorate(self, symbol: Symbol) -> None:
        if sign := find_sign(symbol):
            self.signs.append((self.at, sign))
        elif symbol.text in VELOCITIES:
            self.force = replace(self.force, velocity=VELOCITIES[symbol.text])
        elif kind := name_omission(symbol.text):
            self.left_out[kind] += 1


def _find_scope(head: Head, reach: str) -> str:
    """Return the scope of an accidental: the letter, with its octave if it holds in that octave alone."""
    letter = head.letter.upper()
    return f"{letter}{find_octave(head.letter + head.octaves)}" if reach == "octave" else letter


def _compute_pitch(note: _NamedNote) -> int:
    octave = find_octave(note.letter + note.octaves)
    return 60 + 12 * octave + SEMITONES[note.letter.upper()] + note.alteration
