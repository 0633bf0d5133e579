"""A Humdrum kern file as a Score: sections and repeats played, ties joined, a track for each column or voice."""

from __future__ import annotations

import html
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

from composer.errors import ReadingWarning
from composer.music.score import TICKS_PER_QUARTER, ChordSymbol, Score, Tempo, Text, Track, make_notes
from composer_notation.bargrid import Measure as Bar
from composer_notation.bargrid import Signature, find_keys, find_pickup, find_time_signatures, transpose_fifths
from composer_notation.kern.measures import MOST_KEYS, MOST_NOTES, Measure, Music, Player, read_music
from composer_notation.kern.spines import (
    Malformed,
    MarkedMeasure,
    Spine,
    Time,
    find_section_starts,
    order_sections,
    read_rows,
    split_pieces,
)
from composer_notation.kern.tokens import GRID, find_player
from composer_notation.sections import name_played_sections
from composer_notation.unfolding import VELOCITY, Signs, split_voices

# --- ties over splits and joins of columns ----------------------------------------------------------------------------


class PlayedNote(NamedTuple):
    """A note as it is played, counted from the start of the piece. `begins` and `continues`: its ties."""

    spine: Spine
    start: Time
    length: Time
    pitch: int
    voice: int
    begins: bool
    continues: bool


def mend_ties(measures: Iterable[Measure]) -> int:
    """Mend ties that are written at their first note alone, if the next note fits, and count them.

    The next note must follow at once, in the same voice and of that pitch. No other tie may end there.
    """
    written = [(measure, index, note) for measure in measures for index, note in enumerate(measure.notes)]
    ended = {(note.spine, note.pitch, measure.start + note.start) for measure, _, note in written if note.continues}
    waiting: set[tuple[Spine, int, int, Time]] = set()
    count = 0
    for measure, index, note in written:
        start = measure.start + note.start
        is_due = (note.spine, note.voice, note.pitch, start) in waiting
        if is_due and (note.spine, note.pitch, start) not in ended:
            measure.notes[index] = note._replace(continues=True)
            count += 1
        if note.begins:
            waiting.add((note.spine, note.voice, note.pitch, start + note.length))
    return count


def join_ties(columns: Mapping[Spine, Sequence[PlayedNote]]) -> dict[Spine, list[PlayedNote]]:
    """Join tied notes in each column, and then those whose ties lead from one column to another.

    A tie holds where both its ends are written, and the one note ends where the other begins. Else both are onsets.
    """
    joined = [note for notes in columns.values() for note in _join(notes)]
    open_ended = [note for note in joined if note.begins or note.continues]
    found: dict[Spine, list[PlayedNote]] = {spine: [] for spine in columns}
    for note in (*(note for note in joined if not (note.begins or note.continues)), *_join(open_ended)):
        found[note.spine].append(note)
    return found


def _join(notes: Iterable[PlayedNote]) -> list[PlayedNote]:
    found: list[PlayedNote] = []
    waiting: dict[tuple[int, Time], list[int]] = {}
    for note in sorted(notes, key=lambda note: note.start):
        earlier = _take_earlier(waiting.get((note.pitch, note.start), []), note, found) if note.continues else None
        index = len(found) if earlier is None else earlier
        if earlier is None:
            found.append(note)
        else:
            length = note.start + note.length - found[index].start
            found[index] = found[index]._replace(length=length, begins=note.begins)
        if note.begins:
            waiting.setdefault((note.pitch, note.start + note.length), []).append(index)
    return found


def _take_earlier(indices: list[int], note: PlayedNote, found: Sequence[PlayedNote]) -> int | None:
    """Take the note that is tied to this one: that of its own voice, if several wait."""
    if not indices:
        return None
    own = next((at for at, index in enumerate(indices) if found[index].voice == note.voice), 0)
    return indices.pop(own)


# --- the score --------------------------------------------------------------------------------------------------------


MOST_CELLS = 1_000_000
_TICK = GRID // TICKS_PER_QUARTER
_TITLES = ("OTL", "OTL@@", "OTL@", "OMD")
_TITLE = re.compile(r"^!!!(OTL|OMD)(@{0,2})[^:]{0,12}:\s*(.{0,200})")


@dataclass(frozen=True)
class _Played:
    """Measures in playing order, each with its start."""

    measures: Sequence[tuple[Measure, Time]]
    has_bars: bool
    names: Mapping[int, str]  # of sections, each at the place of its first whole measure

    @property
    def bars(self) -> list[Bar]:
        """The measures as bars. A piece without bar lines is one measure, and is cut where its last bar begins."""
        return [bar for measure, start in self.measures for bar in _split_bars(measure, start, self.has_bars)]


def read_score(text: str, left_out: Counter[str]) -> Score:
    """Read the Score of a file, of its first piece if it has several; count in `left_out` what is left out.

    Raises Malformed and Unplayable. Warns with ReadingWarning of mended faults.
    """
    if text.count("\t") + text.count("\n") > MOST_CELLS:
        raise Malformed(f"has more than {MOST_CELLS:,} tokens; split it into pieces")
    found = split_pieces(text)
    if len(found) > 1:
        message = f"holds {len(found):,} pieces, of which the first was read; split it into files of one piece each"
        warnings.warn(message, ReadingWarning, stacklevel=2)
    return read_piece(found[0], left_out)


def read_piece(lines: Sequence[tuple[int, str]], left_out: Counter[str]) -> Score:
    """Read the Score of one piece from its numbered lines; see `read_score`."""
    music = read_music(read_rows(lines))
    if not music.staves:
        raise Malformed("is not Humdrum kern; it has no column that begins with '**kern'")
    _warn_of_faults(music, mend_ties(music.measures))
    played = _play(music)
    left_out.update(music.left_out)
    columns = join_ties(_list_notes(music, played))
    tracks = [track for spine, staff in _sort_staves(music) for track in _make_tracks(columns[spine], staff)]
    bars = played.bars
    return Score(
        tracks=tuple(tracks),
        tempos=_find_tempos(played),
        time_signatures=find_time_signatures(bars),
        key_signatures=find_keys(_find_signatures(music, played), tracks),
        upbeat=find_pickup(bars),
        markers=tuple(Text(_round_to_ticks(played.measures[place][1]), name) for place, name in played.names.items()),
        chords=_find_chords(played),
        title=_find_title([line for _, line in lines]),
    )


def _play(music: Music) -> _Played:
    """Put the measures in playing order, and count those that are never played. Raises Malformed and Unplayable."""
    marked = [MarkedMeasure(measure.labels, _make_signs(measure), measure.is_last) for measure in music.measures]
    order, fault = order_sections(marked, music.plan)
    if fault:
        warnings.warn(fault, ReadingWarning, stacklevel=2)
    music.left_out["measures that its list of sections never plays"] += len(marked) - len(set(order))
    if sum(len(music.measures[index].notes) for index in order) > MOST_NOTES:
        raise Malformed(f"has more than {MOST_NOTES:,} notes, repeats played; split it into pieces")
    start: Time = 0
    played = []
    for index in order:
        played.append((music.measures[index], start))
        start += music.measures[index].length
    return _Played(played, music.has_bars, _name_sections(music.measures, order, find_section_starts(marked)))


def _name_sections(measures: Sequence[Measure], order: Sequence[int], starts: Sequence[int]) -> Mapping[int, str]:
    """Name the sections as played, each at the place of its first whole measure."""
    metres = [measure.time_signature for measure in measures]
    is_short = [
        measure.length < 4 * GRID * numerator // denominator
        for measure, (numerator, denominator) in zip(measures, metres, strict=True)
    ]
    return name_played_sections(order, starts, is_short, [tuple(measure.notes) for measure in measures])


def _make_signs(measure: Measure) -> Signs:
    signs = measure.signs
    return Signs(
        opens=measure.opens,
        times=2 if measure.closes else 0,
        segno=str(signs.get("segno", "")),
        coda=str(signs.get("coda", "")),
        fine=bool(signs.get("fine")),
        to_coda=str(signs.get("to_coda", "")),
        jump=str(signs.get("jump", "")),
    )


def _warn_of_faults(music: Music, ties: int) -> None:
    if ties:
        text = f"its ties without an end ({ties:,}) lead to the next note of their pitch"
        warnings.warn(text, ReadingWarning, stacklevel=3)
    if music.misfits:
        text = f"rows whose note values do not fit together ({music.misfits:,}) stand where most columns put them"
        warnings.warn(text, ReadingWarning, stacklevel=3)


def _split_bars(measure: Measure, start: Time, has_bars: bool) -> Iterator[Bar]:
    at, length = _convert_to_quarters(start), _convert_to_quarters(measure.length)
    bar = Bar(at, length, *measure.time_signature)
    if not has_bars and length > bar.bar and length % bar.bar:
        whole = length - length % bar.bar
        yield replace(bar, length=whole)
        bar = Bar(at + whole, length - whole, *measure.time_signature)
    if bar.length:
        yield bar


def _convert_to_quarters(time: Time) -> Fraction:
    return Fraction(time, GRID)


def _sort_staves(music: Music) -> list[tuple[Spine, Player]]:
    """Sort the columns from the right, where the highest part stands."""
    return sorted(music.staves.items(), key=lambda item: item[0].position, reverse=True)


def _list_notes(music: Music, played: _Played) -> dict[Spine, list[PlayedNote]]:
    found: dict[Spine, list[PlayedNote]] = {spine: [] for spine in music.staves}
    for measure, start in played.measures:
        for note in measure.notes:
            found[note.spine].append(PlayedNote(note.spine, start + note.start, *note[2:]))
    return found


def _make_tracks(notes: Sequence[PlayedNote], staff: Player) -> list[Track]:
    """Make one track of a column, or one for each of its voices if they sound together."""
    groups = split_voices(notes)
    name, program = find_player(staff.name, staff.code, staff.family)
    names = [name] if len(groups) == 1 else [f"{name} {i}".strip() for i in range(1, len(groups) + 1)]
    return [Track(make_notes(map(_make_row, group)), own, program) for own, group in zip(names, groups, strict=True)]


def _make_row(note: PlayedNote) -> tuple[int, int, int, int]:
    start = _round_to_ticks(note.start)
    return start, max(1, _round_to_ticks(note.start + note.length) - start), note.pitch, VELOCITY


def _round_to_ticks(time: Time) -> int:
    """Round a time to whole ticks, halves to the even one."""
    whole, rest = divmod(time, _TICK)
    return int(whole) + (2 * rest > _TICK - (whole & 1))


def _find_tempos(played: _Played) -> tuple[Tempo, ...]:
    found = {_round_to_ticks(start + at): bpm for measure, start in played.measures for at, bpm in measure.tempos}
    marks = [Tempo(tick, bpm) for tick, bpm in sorted(found.items())]
    return tuple(mark for i, mark in enumerate(marks) if i == 0 or mark.bpm != marks[i - 1].bpm)


def _find_signatures(music: Music, played: _Played) -> list[Signature]:
    """Find the key signatures of the highest part that has any, as they sound."""
    stated = {spine for measure in music.measures for _, spine, *_ in measure.keys}
    for spine, staff in _sort_staves(music):
        if spine in stated:
            found = [
                Signature(_round_to_ticks(start + at), transpose_fifths(fifths, -staff.raised), mode)
                for measure, start in played.measures
                for at, own, fifths, mode in measure.keys
                if own is spine
            ]
            if len(found) > MOST_KEYS:
                raise Malformed(f"has more than {MOST_KEYS:,} key signatures, repeats played; split it into pieces")
            return found
    return []


def _find_chords(played: _Played) -> tuple[ChordSymbol, ...]:
    found = {ChordSymbol(_round_to_ticks(start + at), text) for m, start in played.measures for at, text in m.chords}
    return tuple(sorted(found))


def _find_title(lines: Sequence[str]) -> str:
    """Find the title: in the original language, in any other, or that of the movement."""
    found: dict[str, str] = {}
    for line in lines:
        if (title := _TITLE.match(line)) and title[3].strip():
            found.setdefault(title[1] + title[2], " ".join(html.unescape(title[3]).split()))
    return next((found[kind] for kind in _TITLES if kind in found), "")
