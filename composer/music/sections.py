"""Sections of scores: cut out, and joined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from composer.music.score import ChordSymbol, KeySignature, Score, Tempo, Track, make_notes

Change = TypeVar("Change", Tempo, KeySignature, ChordSymbol)


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
