"""A MusicXML document as a Score: repeats played, ties joined, a track for each staff or voice."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from xml.etree.ElementTree import Element

from composer.errors import ReadingWarning
from composer.music.score import Score, Tempo, Text, Track, make_chord_symbols, make_notes
from composer_notation.bargrid import Measure as Bar
from composer_notation.bargrid import (
    Signature,
    find_keys,
    find_pickup,
    find_time_signatures,
    lay_measures,
    round_to_ticks,
)
from composer_notation.musicxml.measures import Measure
from composer_notation.musicxml.parts import MOST_PARTS, Part, read_parts
from composer_notation.musicxml.signs import join_marks, make_signs
from composer_notation.musicxml.values import TooLarge, get_text
from composer_notation.owntracks import CHOIR, TRACKS, OwnTrack, find_program, parse_tracks
from composer_notation.sections import find_starts, name_played_sections
from composer_notation.unfolding import Signs, Sounding, Unplayable, find_order, make_rows, split_voices

SLOWEST, FASTEST = 5, 1000  # quarter notes a minute; others are left out
MOST_NOTES = 300_000


@dataclass(frozen=True)
class _Played:
    """The measures of a piece in playing order: their indices, and their bars in time."""

    order: Sequence[int]
    bars: Sequence[Bar]

    def place_measures(self, measures: Sequence[Measure]) -> list[tuple[Measure, Fraction]]:
        """Return each measure of a part as played, with its start in quarter notes."""
        whole = zip(self.order, self.bars, strict=True)
        return [(measures[index], bar.start) for index, bar in whole if index < len(measures)]


def read_score(root: Element, left_out: Counter[str]) -> Score:
    """Read the Score of a document, and count in `left_out` what is left out, by kind. Raises TooLarge."""
    parts = read_parts(root)
    for part in parts:
        left_out.update(part.left_out)
    score = make_score(parts, own=_read_own_tracks(root, parts))
    title = get_text(root, "work/work-title") or get_text(root, "movement-title")
    return replace(score, title=" ".join(title.split()))


def make_score(parts: Sequence[Part], *, repeats: bool = True, own: Sequence[OwnTrack] = ()) -> Score:
    """Make the Score of parts: a track for each staff, or for each of its voices where these sound together.

    With `repeats=False` every measure is played once, as written. Raises TooLarge. Warns with ReadingWarning of repeats
    that cannot be played.
    """
    count = max((len(part.measures) for part in parts), default=0)
    columns = [[part.measures[index] for part in parts if index < len(part.measures)] for index in range(count)]
    marks = [join_marks(measure.marks for measure in column) for column in columns]
    signs = make_signs(marks)
    order = _find_order(signs) if repeats else list(range(count))
    _check_size(columns, order)
    lengths = [[measure.length for measure in part.measures] for part in parts]
    times = [next((measure.time for measure in column if measure.time), None) for column in columns]
    played = _Played(order, lay_measures(lengths, times, order))
    names = _name_sections(columns, find_starts(signs, [mark.is_double for mark in marks]), played)
    tracks = (
        _make_own_tracks(own, parts, played)
        if own
        else [track for part in parts for track in _make_tracks(part, played)]
    )
    if len(tracks) > MOST_PARTS:
        raise TooLarge(f"has more than {MOST_PARTS:,} voices that sound together; split it into pieces")
    return Score(
        tracks=tuple(tracks),
        tempos=_find_tempos(parts, played),
        time_signatures=find_time_signatures(played.bars),
        key_signatures=find_keys(_find_signatures(parts, played), tracks),
        upbeat=find_pickup(played.bars),
        markers=_find_texts(parts, played, lambda measure: measure.sections) or names,
        chords=make_chord_symbols(_find_texts(parts, played, lambda measure: measure.chords)),
    )


def _find_order(signs: Sequence[Signs]) -> list[int]:
    """Find the playing order of measures by their signs."""
    try:
        return find_order(signs)
    except Unplayable as error:
        warnings.warn(f"{error}; its measures are played once, as written", ReadingWarning, stacklevel=2)
        return list(range(len(signs)))


def _name_sections(columns: Sequence[Sequence[Measure]], starts: Sequence[int], played: _Played) -> tuple[Text, ...]:
    """Name the sections as played, a marker at the first whole measure of each."""
    is_short = [False] * len(columns)
    for index, bar in zip(played.order, played.bars, strict=True):
        is_short[index] = bar.length < bar.bar
    music = [tuple(tuple(notes) for measure in column for notes in measure.notes.values()) for column in columns]
    names = name_played_sections(played.order, starts, is_short, music)
    return tuple(Text(round_to_ticks(played.bars[place].start), name) for place, name in names.items())


def _check_size(columns: Sequence[Sequence[Measure]], order: Sequence[int]) -> None:
    sizes = [sum(len(notes) for measure in column for notes in measure.notes.values()) for column in columns]
    if sum(sizes[index] for index in order) > MOST_NOTES:
        raise TooLarge(f"plays more than {MOST_NOTES:,} notes; split it into pieces")


def _make_tracks(part: Part, played: _Played) -> list[Track]:
    """Make the tracks of a part: of each staff one, or one for each of its voices, and one of drums."""
    program = choose_program(part)
    found: list[Track] = []
    drums = [note for staff in range(1, part.staves + 1) for note in _list_notes(part, played, staff, are_drums=True)]
    for staff in range(1, part.staves + 1):
        notes = _list_notes(part, played, staff)
        if part.is_drum:
            drums += notes
            continue
        groups = split_voices(notes)
        names = [part.name] if len(groups) == 1 else [f"{part.name} {i}".strip() for i in range(1, len(groups) + 1)]
        found += [Track(make_notes(make_rows(group)), own, program) for own, group in zip(names, groups, strict=True)]
    if not drums:
        return found
    kit = Track(make_notes(make_rows(drums)), part.name, is_drum=True)
    return [*(track for track in found if len(track.notes)), kit]


def _list_notes(part: Part, played: _Played, staff: int, *, are_drums: bool = False) -> list[Sounding]:
    """List the notes of a staff as they are played, counted from the start of the piece."""
    return [
        replace(note, start=start + note.start)
        for measure, start in played.place_measures(part.measures)
        for note in (measure.drums if are_drums else measure.notes).get(staff, ())
    ]


def choose_program(part: Part) -> int:
    """Choose the General MIDI program of a part: a choir if it is sung, else as the file says, or as its name does."""
    by_name = find_program(part.name)
    if by_name is not None and (by_name == CHOIR or not part.program):  # programs write a piano where nobody chose
        return by_name
    return part.program or 0


def _make_own_tracks(own: Sequence[OwnTrack], parts: Sequence[Part], played: _Played) -> list[Track]:
    """Make the tracks that a file of ours lists; voice 0 is a whole staff."""
    staves = [(part, staff) for part in parts for staff in range(1, part.staves + 1)]
    found = []
    for track in own:
        notes = [
            note
            for index, voice in track.staves
            for note in _list_notes(*staves[index][:1], played, staves[index][1], are_drums=track.is_drum)
            if not voice or note.voice == str(voice)
        ]
        found.append(Track(make_notes(make_rows(notes)), track.name, track.program, track.is_drum))
    return found


def _read_own_tracks(root: Element, parts: Sequence[Part]) -> tuple[OwnTrack, ...]:
    fields = [field for field in root.iterfind("identification/miscellaneous/*") if field.get("name") == TRACKS]
    if len(fields) != 1:
        return ()
    return parse_tracks(fields[0].text or "", sum(part.staves for part in parts))


def _find_tempos(parts: Sequence[Part], played: _Played) -> tuple[Tempo, ...]:
    """Find the tempos of all parts; where two differ, that of the upper one."""
    found: dict[int, float] = {}
    for part in parts:
        for measure, start in played.place_measures(part.measures):
            for at, bpm in measure.tempos:
                if SLOWEST <= bpm <= FASTEST:
                    found.setdefault(round_to_ticks(start + at), bpm)
    marks = [Tempo(tick, bpm) for tick, bpm in sorted(found.items())]
    return tuple(mark for i, mark in enumerate(marks) if i == 0 or mark.bpm != marks[i - 1].bpm)


def _find_signatures(parts: Sequence[Part], played: _Played) -> list[Signature]:
    """Find the key signatures that most parts have: a staff of drums has none, and a horn's are its own."""
    with_keys = [tuple(key for measure in part.measures for key in measure.keys) for part in parts]
    at_pitch = [keys for keys in with_keys if keys and not any(key.is_transposed for key in keys)]
    usual = Counter(at_pitch or filter(None, with_keys)).most_common(1)
    if not usual:
        return []
    measures = parts[with_keys.index(usual[0][0])].measures
    return [
        Signature(round_to_ticks(start + key.start), key.fifths, key.mode)
        for measure, start in played.place_measures(measures)
        for key in measure.keys
    ]


def _find_texts(
    parts: Sequence[Part], played: _Played, of: Callable[[Measure], Sequence[tuple[Fraction, str]]]
) -> tuple[Text, ...]:
    """Find the texts above any of the parts, each once."""
    found = {
        Text(round_to_ticks(start + at), text)
        for part in parts
        for measure, start in played.place_measures(part.measures)
        for at, text in of(measure)
        if text
    }
    return tuple(sorted(found))
