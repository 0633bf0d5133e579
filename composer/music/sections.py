"""Sections of scores: marked, cut out, and joined.

A section is a marker at its first bar line, after its pickup. Its name is a letter: the same letter is the same music.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from composer.music.score import END, ChordSymbol, KeySignature, Score, Tempo, Text, Track, compute_bars, make_notes

Change = TypeVar("Change", Tempo, KeySignature, ChordSymbol)

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def list_sections(score: Score) -> tuple[Text, ...]:
    """List the markers that begin a section: all but that of the end."""
    return tuple(marker for marker in score.markers if marker.text.strip() and marker.text != END)


def name_in_order(music: Iterable[Hashable]) -> list[str]:
    """Name sections by what they hold, A, B, C … in the order of their first appearance; equal ones alike."""
    numbers: dict[Hashable, int] = {}
    return [_make_name(numbers.setdefault(one, len(numbers))) for one in music]


def _make_name(number: int) -> str:
    """Make the name of a section: A to Z, then AA, AB and so on."""
    more, letter = divmod(number, len(LETTERS))
    return (_make_name(more - 1) if more else "") + LETTERS[letter]


def name_sections(score: Score) -> Score:
    """Name the sections of `score` by their notes: those with the same onsets and pitches have the same letter.

    The last bar does not count, since it leads on, unless it is the only one. A marker of the end stays where silence
    precedes it.
    """
    marked = list_sections(score)
    if not marked:
        return score
    starts = compute_bars(score, score.length, most=2**40).starts
    begins = [marker.tick for marker in marked]
    music = [_extract_music(score, starts, *span) for span in pairwise([*begins, int(starts[-1])])]
    names = iter(name_in_order(music))
    sounds_until = int(compute_bars(score, most=2**40).starts[-1])
    ends = (marker for marker in score.markers if marker.text == END and marker.tick > sounds_until)
    return replace(score, markers=(*(Text(tick, next(names)) for tick in begins), *ends))


def _extract_music(score: Score, starts: NDArray[np.int64], begin: int, end: int) -> Hashable:
    """Return the length of a section, and the onsets and pitches of each track up to its last bar."""
    bars = starts[np.searchsorted(starts, begin, side="right") : np.searchsorted(starts, end)]
    until = int(bars[-1]) if len(bars) else end
    found: list[Hashable] = [end - begin]
    for track in score.tracks:
        first, last = np.searchsorted(track.notes["start"], [begin, until])
        rows = track.notes[first:last]
        found.append(np.stack([rows["start"] - begin, rows["pitch"]]).tobytes())
    return tuple(found)


def cut_section(score: Score, start: int, end: int, *, sustains: bool = False) -> Score:
    """Cut out the notes that begin from `start` up to `end`, with ticks counted from `start`.

    With `sustains`, a note that sounds on at `start` begins there: such tokens do not mark re-articulation.
    """
    tracks = []
    for track in score.tracks:
        rows = track.notes.tolist()
        rows = [(max(s, start), min(s + d, end), p, v) for s, d, p, v in rows if s >= start or sustains]
        tracks.append(replace(track, notes=make_notes((s - start, e - s, p, v) for s, e, p, v in rows if s < e)))
    return replace(
        score,
        tracks=tuple(tracks),
        tempos=_select_changes(score.tempos, start, end),
        key_signatures=_select_changes(score.key_signatures, start, end),
        chords=_select_changes(score.chords, start, end),
        markers=(),
    )


def _select_changes(changes: Sequence[Change], start: int, end: int) -> tuple[Change, ...]:
    """Select the change in force at `start`, and those up to `end`, with ticks counted from `start`."""
    first = max((n for n, change in enumerate(changes) if change.tick <= start), default=0)
    inside: Sequence[Change] = [change for change in changes[first:] if change.tick < end]
    return tuple([replace(change, tick=max(change.tick - start, 0)) for change in inside])


def join_sections(sections: Sequence[Score], ticks: int) -> Score:
    """Join sections of `ticks` each, cut where the next one begins."""
    last = len(sections) - 1
    parts = [part if n == last else cut_section(part, 0, ticks) for n, part in enumerate(sections)]
    return replace(
        parts[0],
        tracks=_join_tracks(parts, ticks),
        tempos=_join_changes([part.tempos for part in parts], ticks),
        key_signatures=_join_changes([part.key_signatures for part in parts], ticks),
        chords=_join_changes([part.chords for part in parts], ticks),
    )


def _join_tracks(parts: Sequence[Score], ticks: int) -> tuple[Track, ...]:
    """Join the tracks of all parts that have the same name, program and position among their like."""
    rows: dict[Any, list[tuple[int, int, int, int]]] = {}
    for n, part in enumerate(parts):
        alike: dict[Any, int] = {}
        for track in part.tracks:
            named = track.name, track.program, track.is_drum
            alike[named] = alike.get(named, 0) + 1
            own = rows.setdefault((named, alike[named]), [])
            own += [(s + n * ticks, d, p, v) for s, d, p, v in track.notes.tolist()]
    return tuple(Track(make_notes(own), *named) for (named, _), own in rows.items())


def _join_changes(parts: Iterable[Sequence[Change]], ticks: int) -> tuple[Change, ...]:
    """Join the changes of all parts, without repetitions."""
    found: list[Change] = []
    for n, part in enumerate(parts):
        for change in part:
            if not found or replace(change, tick=found[-1].tick) != found[-1]:
                found.append(replace(change, tick=change.tick + n * ticks))
    return tuple(found)
