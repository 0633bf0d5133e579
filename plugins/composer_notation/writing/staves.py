"""The staves of tracks: their clefs and voices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from statistics import median

import numpy as np
from numpy.typing import NDArray

from composer.music import general_midi
from composer.music.score import Notes, Track
from composer_notation.writing.rhythm import Event
from composer_notation.writing.spelling import Spelled


@dataclass(frozen=True)
class Clef:
    """A clef: its sign, its line, and the octaves that it sounds above the written pitch."""

    sign: str
    line: int
    octaves: int = 0


TREBLE, BASS, ALTO = Clef("G", 2), Clef("F", 4), Clef("C", 3)
TENOR_TREBLE, DOUBLE_BASS, PERCUSSION = Clef("G", 2, -1), Clef("F", 4, -1), Clef("percussion", 2)

_KEYBOARDS = frozenset({*range(24), 46, *range(88, 96)})  # pianos, bells, organs, the harp, pads
_GUITARS, _VIOLA = range(24, 32), 41
_LOW_BASSES = frozenset({*range(32, 40), 43})  # written an octave above their sound
_CHOIR = ("soprano", "alto", "tenor", "bass")
_MIDDLE_C = 60
MOST_LINES = 4
"""Voices of a staff."""

_LOWEST_OF_TREBLE, _HIGHEST_OF_BASS = 53, 67  # F3 and G4, four ledger lines away


@dataclass(frozen=True)
class Line:
    """A line of a staff: the events of one voice, and the index of its track in the score."""

    events: tuple[Event, ...]
    track: int


@dataclass(frozen=True)
class Staff:
    """A staff: its clef, and its lines, the upper one first. `is_shared`: by voices that keep their stems."""

    clef: Clef
    lines: tuple[Line, ...]
    is_shared: bool = False


@dataclass(frozen=True)
class Part:
    """A part of a score: a player, or two singers on a staff."""

    name: str
    abbreviation: str
    program: int
    staves: tuple[Staff, ...]
    is_drum: bool = False
    is_sung: bool = False


def make_parts(tracks: Sequence[Track], spellings: Sequence[Sequence[Spelled]]) -> tuple[Part, ...]:
    """Make the parts of the tracks. Four voices share two staves; keyboards have two where they need them."""
    if _is_choir(tracks):
        upper, lower = _make_shared_part(tracks, spellings, 0, TREBLE), _make_shared_part(tracks, spellings, 2, BASS)
        if upper and lower:
            return upper, lower
    return tuple(
        _make_part(track, names, index) for index, (track, names) in enumerate(zip(tracks, spellings, strict=True))
    )


def _is_choir(tracks: Sequence[Track]) -> bool:
    """Tell whether these are four single lines, from high to low, for voices or one kind of instrument."""
    if len(tracks) != 4 or any(track.is_drum or not len(track.notes) for track in tracks):
        return False
    if not all(_is_line(track.notes) for track in tracks):
        return False
    named = [_get_first_word(track.name) for track in tracks] == list(_CHOIR)
    heights = [float(track.notes["pitch"].mean()) for track in tracks]
    falls = all(a > b for a, b in pairwise(heights))
    in_range = all(track.notes["pitch"].min() >= 36 and track.notes["pitch"].max() <= 86 for track in tracks)
    alike = len({track.program for track in tracks}) == 1
    return named or (falls and in_range and alike and heights[1] >= 57 and heights[2] <= 64)


def _get_first_word(name: str) -> str:
    return name.lower().partition(" ")[0].strip(".,:")


def _is_line(notes: Notes) -> bool:
    ends = notes["start"] + notes["duration"]
    return bool((ends[:-1] <= notes["start"][1:]).all())


def _make_shared_part(
    tracks: Sequence[Track], spellings: Sequence[Sequence[Spelled]], first: int, clef: Clef
) -> Part | None:
    both = range(first, first + 2)
    lines = tuple(Line(tuple(_make_events(tracks[index].notes, spellings[index])), index) for index in both)
    names = [tracks[index].name or _CHOIR[index].capitalize() for index in both]
    short = "\n".join(name[:1] for name in names)
    return Part("\n".join(names), short, tracks[first].program, (Staff(clef, lines, is_shared=True),), is_sung=True)


def _make_part(track: Track, names: Sequence[Spelled], index: int) -> Part:
    if track.is_drum:
        staves: tuple[Staff, ...] = (Staff(PERCUSSION, _make_lines(_make_events(track.notes, names), index)),)
    elif _needs_two_staves(track):
        at = _find_division(track.notes)
        above, below = track.notes["pitch"] >= at, track.notes["pitch"] < at
        staves = tuple(
            Staff(
                clef,
                _make_lines(
                    _make_events(track.notes[mask], [n for n, mine in zip(names, mask, strict=True) if mine]), index
                ),
            )
            for clef, mask in ((TREBLE, above), (BASS, below))
        )
    else:
        staves = (Staff(_choose_clef(track), _make_lines(_make_events(track.notes, names), index)),)
    is_sung = _get_first_word(track.name) in _CHOIR or track.program in (52, 53, 54)
    named = track.name or general_midi.name_instrument(track.program, is_drum=track.is_drum)
    return Part(named, "", track.program, staves, track.is_drum, is_sung)


def _needs_two_staves(track: Track) -> bool:
    """Tell whether it is a keyboard's, and too wide for one clef or with chords on both sides of middle C."""
    if track.program not in _KEYBOARDS or not len(track.notes):
        return False
    pitches = track.notes["pitch"]
    low, high = int(pitches.min()), int(pitches.max())
    if _is_line(track.notes):
        return low < 48 and high > 72
    return (low < _LOWEST_OF_TREBLE and high > _MIDDLE_C) or (low < _MIDDLE_C and high > _HIGHEST_OF_BASS)


def _find_division(notes: Notes) -> int:
    """Find the pitch near middle C at which the upper staff begins: where fewest notes are close to the division."""
    pitches = notes["pitch"]
    near = {at: int(((pitches >= at - 2) & (pitches < at + 2)).sum()) for at in range(55, 66)}
    return min(near, key=lambda at: (near[at], abs(at - _MIDDLE_C)))


def _choose_clef(track: Track) -> Clef:
    pitches = track.notes["pitch"].tolist()
    middle = median(pitches) if pitches else 67
    if track.program in _LOW_BASSES and middle < 48:
        return DOUBLE_BASS
    if track.program in _GUITARS or (_get_first_word(track.name) == "tenor" and 48 < middle < 67):
        return TENOR_TREBLE
    if track.program == _VIOLA and middle < 72:
        return ALTO
    # A clef is chosen by its ledger lines, of which notes near the middle need none.
    over = sum(max(0, pitch - 60) for pitch in pitches)
    under = sum(max(0, 60 - pitch) for pitch in pitches)
    return TREBLE if over >= under else BASS


# --- voices of a staff ------------------------------------------------------------------------------------------------


def _make_events(notes: Notes, names: Sequence[Spelled]) -> list[Event]:
    """Group notes that begin and end together into chords, by start; two onsets of a pitch at once are two events."""
    found: dict[tuple[int, int, int], list[tuple[Spelled, int]]] = {}
    for (start, duration, pitch, velocity), name in zip(notes.tolist(), names, strict=True):
        for turn in count():
            chord = found.setdefault((start, start + duration, turn), [])
            if all(other.pitch != pitch for other, _ in chord):
                chord.append((name, velocity))
                break
    return [
        Event(start, end, tuple(name for name, _ in chord), tuple(velocity for _, velocity in chord))
        for (start, end, _), chord in sorted(found.items())
    ]


def _make_lines(events: Sequence[Event], track: int) -> tuple[Line, ...]:
    """Make one line if nothing overlaps, else an upper and a lower one, else lines of chords that are tied in part.

    In these, a note of a pitch that still sounds goes to another line.
    """
    if all(a.end <= b.start for a, b in pairwise(events)):
        return (Line(tuple(events), track),)
    groups = list(_group_overlapping(events))
    coloured = [_split_in_two(group) for group in groups]
    if all(coloured):
        both = [both for both in coloured if both]
        return tuple(Line(tuple(event for pair in both for event in pair[side]), track) for side in (0, 1))
    layered = [_split_layers(group) for group in groups]
    return tuple(
        Line(tuple(event for layers in layered if side < len(layers) for event in _slice(layers[side])), track)
        for side in range(max(map(len, layered)))
    )


def _group_overlapping(events: Sequence[Event]) -> Iterable[list[Event]]:
    """Yield runs of events each of which overlaps one before it."""
    group: list[Event] = []
    until = 0
    for event in events:
        if group and event.start >= until:
            yield group
            group = []
        group.append(event)
        until = max(until, event.end)
    if group:
        yield group


def _split_in_two(group: Sequence[Event]) -> tuple[list[Event], list[Event]] | None:
    """Split a run into an upper and a lower line; None if three events overlap."""
    if len(group) == 1:
        return [group[0]], []
    first: list[Event] = []
    second: list[Event] = []
    for event in group:
        free = [line for line in (first, second) if not line or line[-1].end <= event.start]
        if not free:
            return None
        nearest = min(free, key=lambda line: abs(_compute_height(line[-1]) - _compute_height(event)) if line else 12)
        nearest.append(event)
    mean = [sum(map(_compute_height, line)) / len(line) for line in (first, second)]
    return (first, second) if mean[0] >= mean[1] else (second, first)


def _split_layers(group: Sequence[Event]) -> list[list[Event]]:
    """Split a run into lines in which no pitch sounds twice at once. Raises ValueError beyond `MOST_LINES`."""
    layers: list[list[Event]] = []
    until: list[dict[int, int]] = []  # for each line, where each of its pitches ends
    for event in group:
        free = (
            index
            for index, ends in enumerate(until)
            if not any(ends.get(n.pitch, 0) > event.start for n in event.pitches)
        )
        index = next(free, len(layers))
        if index == MOST_LINES:
            raise ValueError(f"one pitch sounds more than {MOST_LINES} times at once")
        if index == len(layers):
            layers.append([])
            until.append({})
        layers[index].append(event)
        until[index].update((name.pitch, event.end) for name in event.pitches)
    return layers


def _compute_height(event: Event) -> float:
    return sum(name.pitch for name in event.pitches) / len(event.pitches)


def _slice(group: Sequence[Event]) -> list[Event]:
    """Slice a run into chords that change wherever a note begins or ends, each tone tied as long as it sounds."""
    ticks = sorted({tick for event in group for tick in (event.start, event.end)})
    found = []
    for start, end in pairwise(ticks):
        sounding = [event for event in group if event.start <= start < event.end]
        names = {name: event for event in sounding for name in event.pitches}
        if not names:
            continue
        ordered = sorted(names, key=lambda name: (name.pitch, name))
        found.append(
            Event(
                start,
                end,
                tuple(ordered),
                tuple(names[name].velocities[names[name].pitches.index(name)] for name in ordered),
                frozenset(name for name, event in names.items() if event.start < start),
                frozenset(name for name, event in names.items() if event.end > end),
            )
        )
    return found


def set_drum_lengths(notes: Notes, beats: NDArray[np.int64]) -> Notes:
    """Set the lengths of drum notes: until the next onset or the end of the beat, as a player reads them.

    `beats` are the ticks of all beats, and of the end of the piece.
    """
    starts = np.unique(notes["start"])
    stops = np.union1d(starts, beats)
    changed = notes.copy()
    following = np.searchsorted(stops, notes["start"], side="right")
    changed["duration"] = np.append(stops, stops[-1:] + 480)[following] - notes["start"]
    return changed
