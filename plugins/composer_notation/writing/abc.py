"""Pages as a tune in ABC 2.1, one voice or several."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TypeVar

from composer.music.keys import LETTERS, Key
from composer.music.score import TICKS_PER_QUARTER, Tempo, TimeSignature
from composer_notation.abc.symbols import parse_chord
from composer_notation.unfolding import Signs
from composer_notation.writing.above import choose_beat, find_passing
from composer_notation.writing.fermatas import find_held
from composer_notation.writing.musicxml import Heading
from composer_notation.writing.pages import Pages
from composer_notation.writing.rhythm import Event, Measure, Symbol, divide_events, find_beams, write_symbols
from composer_notation.writing.spelling import Spelled, get_alteration
from composer_notation.writing.staves import Line, Part, Staff
from composer_notation.writing.xmltext import clean

_UNIT = 240  # ticks of an eighth, L:1/8
_ACCIDENTALS = {-2: "__", -1: "_", 0: "=", 1: "^", 2: "^^"}
_CLEFS = {"F": "bass", "C": "alto"}
_BARS_IN_A_LINE = 4
_PLAIN = Signs()
_ESCAPES = str.maketrans({"\\": "\\\\", "%": "\\%", "&": "\\&", '"': "\\u0022", "[": "\\u005b", "]": "\\u005d"})
_T = TypeVar("_T")
_Marks = Sequence[tuple[int, str]]  # text above the music, by tick


@dataclass(frozen=True)
class _Voice:
    """A line of a staff as a voice; the first voice of a track has its name."""

    number: int
    name: str
    staff: Staff
    line: Line
    program: int


def write_tune(pages: Pages, heading: Heading) -> str:
    """Write the pages as the text of a file, without drums."""
    parts = [part for part in pages.parts if not part.is_drum]
    voices = list(_list_voices(pages, parts))
    first = pages.measures[0]
    lines = ["X:1", f"T:{_clean_text(heading.title) or 'Tune'}"]
    if heading.composer:
        lines.append(f"C:{_clean_text(heading.composer)}")
    lines += [f"M:{first.numerator}/{first.denominator}", "L:1/8"]
    lines += [f"Q:{_format_tempo(pages, tempo)}" for tempo in pages.tempos[:1] if tempo.tick == 0]
    marks = _format_marks(pages)
    if len(voices) == 1:
        lines += _format_instrument(voices[0])
        return "\n".join([*lines, _format_key(pages.keys[0]), *_write_music(pages, voices[0].line, marks), ""])
    lines += _format_score_line(parts)
    lines += [_format_voice_line(voice) for voice in voices]
    lines.append(_format_key(pages.keys[0]))
    for voice in voices:
        lines += [f"V:{voice.number}", *_format_instrument(voice)]
        lines += _write_music(pages, voice.line, marks if voice.number == 1 else ())
    return "\n".join([*lines, ""])


def _format_key(key: Key) -> str:
    """Format the field of a key, by the name that its signature has: six sharps are D#m, and not Ebm."""
    return "K:D#m" if key.minor and key.fifths == 6 else f"K:{key}"


def _format_tempo(pages: Pages, tempo: Tempo) -> str:
    """Format a tempo in beats of its measure, such as `3/8=112`."""
    measure = pages.measures[max(bisect_right([each.start for each in pages.measures], tempo.tick) - 1, 0)]
    ticks, beats = choose_beat(tempo.bpm, TimeSignature(0, measure.numerator, measure.denominator), digits=0)
    unit = Fraction(ticks, TICKS_PER_QUARTER * 4)
    return f"{unit.numerator}/{unit.denominator}={max(1, min(999, round(beats)))}"


def _clean_text(text: str) -> str:
    """Clean a text, and escape it so that it ends no field, quotation or line."""
    return clean(text).translate(_ESCAPES)


def _list_voices(pages: Pages, parts: Sequence[Part]) -> Iterator[_Voice]:
    number = 0
    for part in parts:
        names = part.name.split("\n")
        named: set[int] = set()  # tracks
        for staff in part.staves:
            for index, line in enumerate(staff.lines):
                number += 1
                name = "" if line.track in named else names[index if staff.is_shared else 0]
                named.add(line.track)
                yield _Voice(number, name, staff, line, pages.tracks[line.track].program)


def _format_score_line(parts: Sequence[Part]) -> Iterator[str]:
    """Format the line of voices that share a staff, and of staves that belong to one player, if there are any."""
    number = 0
    groups = []
    for part in parts:
        staves = []
        for staff in part.staves:
            mine = [str(number + index) for index in range(1, len(staff.lines) + 1)]
            staves.append(f"({' '.join(mine)})" if len(mine) > 1 else mine[0])
            number += len(mine)
        groups.append(f"{{{' '.join(staves)}}}" if len(staves) > 1 else staves[0])
    if any(group[0] in "({" for group in groups):
        yield f"%%score {' '.join(groups)}"


def _format_voice_line(voice: _Voice) -> str:
    name = f' name="{_clean_text(voice.name)}"' if voice.name else ""
    return f"V:{voice.number}{name} clef={_CLEFS.get(voice.staff.clef.sign, 'treble')}"


def _format_instrument(voice: _Voice) -> Iterator[str]:
    if voice.program:
        yield f"%%MIDI program {voice.program}"


def _format_marks(pages: Pages) -> _Marks:
    """Format section names, tempo changes and chord symbols, in order; a text that is no chord symbol is a remark."""
    found = [(mark.tick, 0, f"[P:{text}]") for mark in pages.markers if (text := _clean_text(mark.text))]
    passing = find_passing(pages)
    rates = [(tempo.tick, _format_tempo(pages, tempo)) for tempo in pages.tempos if tempo not in passing]
    found += [
        (tick, 1, f"[Q:{rate}]")
        for index, (tick, rate) in enumerate(rates)
        if tick and (index == 0 or rate != rates[index - 1][1])
    ]
    for chord in pages.chords:
        remark = "" if parse_chord(clean(chord.text)) == clean(chord.text) else "^"
        found += [(chord.tick, 2, f'"{remark}{text}"')] if (text := _clean_text(chord.text)) else []
    return [(tick, text) for tick, _, text in sorted(found, key=lambda mark: mark[:2])]


def _write_music(pages: Pages, line: Line, marks: _Marks) -> Iterator[str]:
    """Write the lines of music of a voice."""
    written: list[str] = []
    first_event = first_mark = 0
    for index, measure in enumerate(pages.measures):
        first_event, events = _find_inside(first_event, line.events, measure, lambda e: (e.start, e.end))
        first_mark, here = _find_inside(first_mark, marks, measure, lambda mark: (mark[0], mark[0] + 1))
        before = "".join(_format_changes(pages, index))
        text = before + _write_measure(events, measure, pages.keys[index].fifths, here, pages.fermatas)
        begin, end = _format_bar_lines(pages, index)
        written.append(f"{begin}{text} {end}")
    first = 1 if pages.measures[0].nominal < pages.measures[0].start else 0
    starts = [0, *range(first + _BARS_IN_A_LINE, len(written), _BARS_IN_A_LINE), len(written)]
    for begin, end in pairwise(starts):
        yield " ".join(written[begin:end])


def _format_bar_lines(pages: Pages, index: int) -> tuple[str, str]:
    """Format the signs before a measure, and its bar line, which also opens a repeat of the next one."""
    signs = pages.signs.get(pages.measures[index].start, _PLAIN)
    is_last = index + 1 == len(pages.measures)
    following = _PLAIN if is_last else pages.signs.get(pages.measures[index + 1].start, _PLAIN)
    begin = "|: " if signs.opens and not index else ""
    begin += f"[{signs.endings[0]} " if signs.begins_ending else ""
    if is_last:
        return begin, ":|" if signs.times else "|]"
    if signs.times:
        return begin, "::" if following.opens else ":|"
    ends = bool(signs.endings) and not following.endings
    return begin, "|:" if following.opens else "||" if ends else "|"


def _find_inside(
    first: int, things: Sequence[_T], measure: Measure, span: Callable[[_T], tuple[int, int]]
) -> tuple[int, Sequence[_T]]:
    """Find the things that reach into a measure, and the index of the first; those before `first` do not."""
    while first < len(things) and span(things[first])[1] <= measure.start:
        first += 1
    last = first
    while last < len(things) and span(things[last])[0] < measure.end:
        last += 1
    return first, things[first:last]


def _format_changes(pages: Pages, index: int) -> Iterator[str]:
    """Format the key and the metre that begin with a measure."""
    measure = pages.measures[index]
    if index and pages.keys[index] != pages.keys[index - 1]:
        yield f"[{_format_key(pages.keys[index])}]"
    before = pages.measures[index - 1] if index else measure
    if (measure.numerator, measure.denominator) != (before.numerator, before.denominator):
        yield f"[M:{measure.numerator}/{measure.denominator}]"


def _write_measure(
    events: Sequence[Event], measure: Measure, fifths: int, marks: _Marks, fermatas: frozenset[int]
) -> str:
    if any(tick > measure.start for tick, _ in marks):
        events = divide_events(events, measure, [tick for tick, _ in marks])
    found = write_symbols(events, measure)
    held = find_held(found, fermatas)
    in_force: dict[int, int] = {}
    parts: list[str] = []
    waiting = list(marks)
    for index, (symbol, beamed) in enumerate(zip(found, find_beams(found, measure), strict=True)):
        joins = bool(beamed) and beamed[0] in ("continue", "end")
        parts.append("" if joins or not index else " ")
        while waiting and waiting[0][0] <= symbol.start:
            parts.append(waiting.pop(0)[1])
        fermata = "H" if symbol.start in held else ""
        parts.append(_format_tuplet(found, index) + fermata + _format_symbol(symbol, fifths, in_force))
    return "".join([*parts, *(text for _, text in waiting)])


def _format_tuplet(found: Sequence[Symbol], index: int) -> str:
    its = found[index].tuplet
    if not its or not its.begins:
        return ""
    count = 1
    for symbol in found[index:]:
        if symbol.tuplet and symbol.tuplet.ends:
            break
        count += 1
    return "(3" if (its.actual, its.normal, count) == (3, 2, 3) else f"({its.actual}:{its.normal}:{count}"


def _format_symbol(symbol: Symbol, fifths: int, in_force: dict[int, int]) -> str:
    stretch = Fraction(symbol.tuplet.actual, symbol.tuplet.normal) if symbol.tuplet else Fraction(1)
    length = _format_length(symbol.duration * stretch / _UNIT)
    if not symbol.pitches:
        return f"z{length}"
    counts = Counter((name.octave, name.step) for name in symbol.pitches)
    notes = []
    for name in symbol.pitches:
        is_clear = counts[name.octave, name.step] == 1
        is_known = is_clear and (name in symbol.held_from or _is_in_force(name, fifths, in_force))
        notes.append(("" if is_known else _ACCIDENTALS[name.alter]) + _format_letter(name))
        if not is_known:
            in_force[name.step] = name.alter
    if len(notes) == 1:
        return notes[0] + length + ("-" if symbol.held_to else "")
    if len(symbol.held_to) == len(notes):
        return f"[{''.join(notes)}]{length}-"
    tied = (note + ("-" if name in symbol.held_to else "") for note, name in zip(notes, symbol.pitches, strict=True))
    return f"[{''.join(tied)}]{length}"


def _format_length(units: Fraction) -> str:
    if units == 1:
        return ""
    return str(units.numerator) if units.denominator == 1 else f"{units.numerator}/{units.denominator}"


def _is_in_force(name: Spelled, fifths: int, in_force: dict[int, int]) -> bool:
    """Tell whether the signature or the bar implies the alteration of a note, in any octave."""
    return in_force.get(name.step, get_alteration(name.step, fifths)) == name.alter


def _format_letter(name: Spelled) -> str:
    """Format the letter of a note: `C` is C4, `c` C5, `c'` C6, `C,` C3."""
    letter = LETTERS[name.step]
    return letter.lower() + "'" * (name.octave - 5) if name.octave >= 5 else letter + "," * (4 - name.octave)
