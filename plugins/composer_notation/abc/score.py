"""An ABC tune as a Score, its repeats played."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate
from typing import TypeVar

from composer.music.score import (
    KeySignature,
    Score,
    Tempo,
    Text,
    Track,
    concatenate_notes,
    make_chord_symbols,
    make_notes,
)
from composer_notation.abc.fields import choose_unit_length, expand_parts, parse_tempo, parse_unit_length
from composer_notation.abc.fields import parse_time_signature as metre_of
from composer_notation.abc.melody import WrittenMeasure, read_voice
from composer_notation.abc.playing import find_order, name_sections
from composer_notation.abc.symbols import MOST_SYMBOLS, decode_text
from composer_notation.abc.tunebook import MOST_CHARACTERS, MOST_VOICES, Tune, Voice
from composer_notation.bargrid import Measure, find_pickup, find_time_signatures, lay_measures, round_to_ticks
from composer_notation.unfolding import MOST_MEASURES, SignMissing, Sounding, make_rows

MOST_PLAYED = 250_000
"""Most notes and signs of all voices, repeats played."""

MOST_CELLS = 1_000_000
"""Most measures of all voices."""

_T = TypeVar("_T")
_Marks = Sequence[tuple[Fraction, _T]]  # from the start of a measure
_START = Fraction(0)


@dataclass(frozen=True)
class _Part:
    """A voice, its measures, as many as the tune has, and its instrument."""

    voice: Voice
    measures: Sequence[WrittenMeasure]
    program: int
    is_drum: bool


def make_score(tune: Tune) -> tuple[Score, Counter[str]]:
    """Make the Score of a tune, a track for each voice, and count what is left out of it, by kind.

    Of voices that share a staff or a brace, those without a name belong to the track of the one before them.
    ValueError, in words that follow the tune's name, for invalid ABC.
    """
    left_out = Counter(tune.left_out)
    _check_size(tune)
    parts = [part for part in _read_parts(tune, left_out) if part.measures]
    if not any(measure.notes for part in parts for measure in part.measures):
        raise ValueError("contains no notes")
    led, alike = _find_leader([part.measures for part in parts])
    _check_cells(len(parts), len(led))
    parts = [replace(part, measures=_fit_to_grid(part.measures, led)) for part in parts]
    order = _find_order(tune, led, parts, left_out)
    laid = lay_measures([_list_lengths(its) for its in alike], [_find_metre(measure) for measure in led], order)
    timeline = [(measure.start, index) for measure, index in zip(laid, order, strict=True)]
    pitched = next((part for part in parts if not part.is_drum), parts[0])
    score = Score(
        tracks=tuple(_make_tracks(tune, parts, timeline)),
        tempos=tuple(
            Tempo(tick, bpm) for tick, bpm in _find_changes(_place_marks(timeline, _find_tempos(tune, parts, left_out)))
        ),
        time_signatures=find_time_signatures(laid),
        key_signatures=tuple(
            KeySignature(tick, key)
            for tick, key in _find_changes(_place_marks(timeline, [measure.keys for measure in pitched.measures]))
            if key is not None
        ),
        upbeat=find_pickup(laid),
        markers=_find_texts(timeline, ([measure.parts for measure in part.measures] for part in parts))
        or tuple(Text(round_to_ticks(laid[place].start), name) for place, name in name_sections(led, order).items()),
        chords=make_chord_symbols(
            _find_texts(timeline, ([measure.chords for measure in part.measures] for part in parts))
        ),
        title=decode_text(tune.header.get("T", "")),
    )
    return score, +left_out


def lay_voice(played: Sequence[WrittenMeasure]) -> list[Measure]:
    """Lay measures of one voice, in playing order, end to end; in free metre each is a bar of its own."""
    return lay_measures([_list_lengths(played)], [_find_metre(measure) for measure in played], range(len(played)))


def _list_lengths(measures: Sequence[WrittenMeasure]) -> list[Fraction]:
    return [measure.length for measure in measures]


def _find_metre(measure: WrittenMeasure) -> tuple[int, int]:
    """Return the metre of a measure; in free metre, that of a bar of its length, or 4/4 if there is none."""
    if measure.numerator:
        return measure.numerator, measure.denominator
    for denominator in (4, 8, 16, 32, 64):
        numerator = measure.length * denominator / 4
        if numerator.denominator == 1 and 1 <= numerator <= 64:
            return int(numerator), denominator
    return 4, 4


def list_notes(played: Sequence[WrittenMeasure]) -> list[Sounding]:
    """List the notes of measures in playing order, counted from the start of the piece."""
    starts = accumulate((measure.length for measure in played), initial=_START)
    return list(_shift_notes((start, measure.notes) for start, measure in zip(starts, played, strict=False)))


def _shift_notes(measures: Iterable[tuple[Fraction, Sequence[Sounding]]]) -> Iterator[Sounding]:
    for start, notes in measures:
        for n in notes:
            yield Sounding(start + n.start, n.length, n.pitch, n.velocity, n.is_tied)


def _check_size(tune: Tune) -> None:
    if tune.fault:
        raise ValueError(tune.fault)
    if len(tune.voices) > MOST_VOICES:
        raise ValueError(f"has {len(tune.voices):,} voices; at most {MOST_VOICES:,} are read")
    if sum(len(item) for voice in tune.voices for item in voice.items if isinstance(item, str)) > MOST_CHARACTERS:
        raise ValueError(f"has more than {MOST_CHARACTERS:,} characters where its macros are written out")


def _check_cells(voices: int, measures: int) -> None:
    if voices * measures > MOST_CELLS:
        raise ValueError(f"has {voices:,} voices of {measures:,} measures; at most {MOST_CELLS:,} in all are read")


def _read_parts(tune: Tune, left_out: Counter[str]) -> Iterator[_Part]:
    room = MOST_SYMBOLS
    for voice in tune.voices:
        found = read_voice(tune, voice, left_out, room)
        room -= found.size
        yield _Part(voice, found.measures, found.force.program or 0, found.force.is_drum)


# --- measures of several voices ---------------------------------------------------------------------------------------


def _find_leader(
    voices: Sequence[Sequence[WrittenMeasure]],
) -> tuple[Sequence[WrittenMeasure], list[Sequence[WrittenMeasure]]]:
    """Find the voice whose measures all follow, and the voices that have as many.

    The leader is the longest voice or, of those with as many measures, the first with a repeat sign or a jump.
    """
    lengths = [sum(_list_lengths(its), _START) for its in voices]
    longest = voices[lengths.index(max(lengths))]
    alike = [its for its in voices if len(its) == len(longest)]
    return next((its for its in alike if any(map(_has_signs, its))), longest), alike


def _has_signs(measure: WrittenMeasure) -> bool:
    return bool(measure.signs or measure.ending or ":" in measure.after or ":" in measure.before)


def _fit_to_grid(its: Sequence[WrittenMeasure], grid: Sequence[WrittenMeasure]) -> Sequence[WrittenMeasure]:
    """Fit a voice to the measures of the grid: one for one, or by time if their numbers differ."""
    if len(its) == len(grid):
        return its
    starts = list(accumulate((measure.length for measure in grid), initial=_START))[:-1]
    begins = list(accumulate((measure.length for measure in its), initial=_START))[:-1]

    def cut(marks: Sequence[_Marks[_T]]) -> dict[int, list[tuple[Fraction, _T]]]:
        cells: dict[int, list[tuple[Fraction, _T]]] = defaultdict(list)
        for begin, inside in zip(begins, marks, strict=True):
            for at, thing in inside:
                index = bisect_right(starts, begin + at) - 1
                cells[index].append((begin + at - starts[index], thing))
        return cells

    notes = cut([[(note.start, note) for note in measure.notes] for measure in its])
    chords, keys = cut([measure.chords for measure in its]), cut([measure.keys for measure in its])
    tempos, labels = cut([measure.tempos for measure in its]), cut([measure.parts for measure in its])
    return [
        replace(
            measure,
            notes=tuple(replace(note, start=at) for at, note in notes.get(index, ())),
            chords=tuple(chords.get(index, ())),
            keys=tuple(keys.get(index, ())),
            tempos=tuple(tempos.get(index, ())),
            parts=tuple(labels.get(index, ())),
        )
        for index, measure in enumerate(grid)
    ]


# --- playing ----------------------------------------------------------------------------------------------------------


def _find_order(
    tune: Tune, grid: Sequence[WrittenMeasure], parts: Sequence[_Part], left_out: Counter[str]
) -> list[int]:
    """Find the playing order of the measures: by the order of parts in the header, or else by their signs."""
    order = _order_by_parts(tune, grid, parts, left_out) if "P" in tune.header else None
    if order is None:
        try:
            order = find_order(grid, has_jumps=True)
        except SignMissing:
            left_out["jumps to a sign that is not there"] += 1
            order = find_order(grid)
    sizes = [sum(map(_count_signs, measures)) for measures in zip(*(part.measures for part in parts), strict=True)]
    _check_cells(len(parts), len(order))
    if sum(sizes[index] for index in order) > MOST_PLAYED:
        raise ValueError(f"has more than {MOST_PLAYED:,} notes and signs when its repeats are played")
    return order


def _count_signs(measure: WrittenMeasure) -> int:
    return len(measure.notes) + len(measure.chords) + len(measure.parts) + len(measure.tempos)


def _order_by_parts(
    tune: Tune, grid: Sequence[WrittenMeasure], parts: Sequence[_Part], left_out: Counter[str]
) -> list[int] | None:
    """Find the playing order by the header's `P:`, each part with its repeats; None if the tune has no such parts."""
    begins: dict[int, str] = {}
    for part in parts:
        for index, measure in enumerate(part.measures):
            for at, label in measure.parts:
                target = index + 1 if at and at >= measure.length else index
                begins.setdefault(min(target, len(grid) - 1), label)
    if not begins:
        return None
    ends = [*sorted(begins)[1:], len(grid)]
    labelled: dict[str, range] = {}
    for begin, end in zip(sorted(begins), ends, strict=True):
        labelled.setdefault(begins[begin].strip(". "), range(begin, end))
    labels = expand_parts(tune.header["P"])
    left_out["parts that the P: field asks for in vain"] += len({*labels} - {*labelled})
    if not {*labels} & {*labelled}:
        return None
    played = {label: _order_part(grid, its) for label, its in labelled.items()}
    order = _order_part(grid, range(min(begins)))
    for label in labels:
        order += played.get(label, [])
        if len(order) > MOST_MEASURES:
            raise ValueError(f"has parts that make it longer than {MOST_MEASURES:,} measures")
    return order


def _order_part(grid: Sequence[WrittenMeasure], its: range) -> list[int]:
    """Find the playing order of the measures of a part."""
    return [its.start + index for index in find_order(grid[its.start : its.stop])]


# --- tracks and marks -------------------------------------------------------------------------------------------------


def _make_tracks(tune: Tune, parts: Sequence[_Part], timeline: Sequence[tuple[Fraction, int]]) -> Iterator[Track]:
    for group in _group_parts(tune, parts):
        played = [
            make_notes(make_rows(_shift_notes((start, part.measures[index].notes) for start, index in timeline)))
            for part in group
        ]
        notes = played[0] if len(group) == 1 else make_notes(concatenate_notes(played).tolist())
        yield Track(notes, group[0].voice.name, group[0].program, group[0].is_drum)


def _group_parts(tune: Tune, parts: Sequence[_Part]) -> list[list[_Part]]:
    """Group the voices that share a track."""
    found: list[list[_Part]] = []
    for part in parts:
        last = found[-1][0].voice if found else None
        is_shared = last is not None and any({part.voice.label, last.label} <= group for group in tune.groups)
        if last and last.name and is_shared and not part.voice.name:
            found[-1].append(part)
        else:
            found.append([part])
    return found


def _place_marks(timeline: Sequence[tuple[Fraction, int]], marks: Sequence[_Marks[_T]]) -> list[tuple[int, _T]]:
    """List the marks of measures by tick, as they are played; of several at one tick the last."""
    found = {round_to_ticks(start + at): value for start, index in timeline for at, value in marks[index]}
    return sorted(found.items(), key=lambda mark: mark[0])


def _find_changes(marks: Iterable[tuple[int, _T]]) -> Iterator[tuple[int, _T]]:
    """Yield the marks that differ from the one before."""
    last: _T | None = None
    for tick, value in marks:
        if value != last:
            yield tick, value
        last = value


def _find_tempos(tune: Tune, parts: Sequence[_Part], left_out: Counter[str]) -> list[_Marks[float]]:
    """Find the tempos of each measure: the one in force at its start, and changes in any voice."""
    found: list[_Marks[float]] = []
    force = read_tempo(tune.header)
    left_out["tempos that are not understood"] += force is None and bool(tune.header.get("Q", "").strip())
    for together in zip(*(part.measures for part in parts), strict=True):
        changes = sorted(mark for measure in together for mark in measure.tempos)
        found.append([*([] if force is None else [(_START, force)]), *changes])
        force = changes[-1][1] if changes else force
    return found


def read_tempo(header: Mapping[str, str]) -> float | None:
    """Read quarter notes a minute from the `Q:` field of a header; None if it states none."""
    unit = parse_unit_length(header["L"]) if "L" in header else choose_unit_length(metre_of(header.get("M", "")))
    return parse_tempo(header.get("Q", ""), unit)


def _find_texts(timeline: Sequence[tuple[Fraction, int]], voices: Iterable[Sequence[_Marks[str]]]) -> tuple[Text, ...]:
    found = {
        Text(round_to_ticks(start + at), text)
        for marks in voices
        for start, index in timeline
        for at, text in marks[index]
        if text
    }
    return tuple(sorted(found))
