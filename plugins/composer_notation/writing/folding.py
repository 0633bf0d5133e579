"""Folding: sections that come twice in a row are written once, between repeat signs, with endings where they differ."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from composer.music.score import END, Score, Tempo, Text, Track, compute_bars, concatenate_notes
from composer.music.sections import list_sections
from composer_notation.unfolding import Signs

LONGEST_ENDING = 4
"""Bars of an ending at most, which are half of a section at most."""

_NUMBER = re.compile(r"[\s\d'’]+$")

Ticks = NDArray[np.int64]


@dataclass(frozen=True)
class Folded:
    """A score as it is written, and the signs of its measures, by their first ticks."""

    score: Score
    signs: Mapping[int, Signs]


@dataclass(frozen=True)
class _Pair:
    """A section from `start` to `middle`, and its repetition up to `end`; `ending` ticks of each are its own."""

    start: int
    middle: int
    end: int
    ending: int
    bar: int  # ticks

    @property
    def cut(self) -> tuple[int, int]:
        """What is not written, in ticks: the repetition up to its own ending."""
        return self.middle, self.end - self.ending

    def list_signs(self) -> dict[int, Signs]:
        """List the signs of the measures, by tick before the cut."""
        found = {self.start: Signs(opens=True)}
        if not self.ending:
            return _add(found, self.middle - self.bar, times=2)
        for number, first, end in ((1, self.middle - self.ending, self.middle), (2, self.cut[1], self.end)):
            for tick in range(first, end, self.bar):
                _add(found, tick, endings=(number,), begins_ending=tick == first)
        return _add(found, self.middle - self.bar, times=2)


def _add(found: dict[int, Signs], tick: int, **signs: int | bool | tuple[int, ...]) -> dict[int, Signs]:
    found[tick] = replace(found.get(tick, Signs()), **signs)  # type: ignore[arg-type]
    return found


def fold(score: Score, *, hears_velocity: bool = True) -> Folded:
    """Fold a score whose markers name its sections; with `hears_velocity`, those that differ in loudness do not.

    A score that changes its time signature stays as it is, and so do sections with a change of key or tempo inside.
    Raises ValueError for too many bars.
    """
    if len(score.time_signatures) > 1 or len(list_sections(score)) < 2:
        return Folded(score, {})
    pairs = _find_pairs(score, hears_velocity)
    if not pairs:
        return Folded(score, {})
    cuts = [pair.cut for pair in pairs]
    signs = {_move(tick, cuts): sign for pair in pairs for tick, sign in pair.list_signs().items()}
    return Folded(_cut(score, cuts), signs)


def _find_pairs(score: Score, hears_velocity: bool) -> list[_Pair]:
    marked = list_sections(score)
    bars = compute_bars(score, score.length)
    bar, last = bars.time_signatures[0].bar_ticks, int(bars.starts[-1])
    starts, found, number = {*bars.starts.tolist()}, [], 0
    ends = [*(marker.tick for marker in marked[1:]), last]
    while number + 1 < len(marked):
        start, middle, end = marked[number].tick, ends[number], ends[number + 1]
        is_whole = {start, middle, end} <= starts and middle - start == end - middle and (middle - start) % bar == 0
        if is_whole and _name(marked[number]) == _name(marked[number + 1]) and _is_steady(score, start, end):
            ending = _measure_ending(score, (start, middle, end), bar, hears_velocity)
            if ending is not None:
                found.append(_Pair(start, middle, end, ending, bar))
                number += 1
        number += 1
    return found


def _name(marker: Text) -> str:
    """Name a section without the number of its verse, and without the primes of a variation."""
    return _NUMBER.sub("", marker.text)


def _is_steady(score: Score, start: int, end: int) -> bool:
    """Tell whether neither key nor tempo changes; a passing slowing down is no change."""
    if any(start < change.tick < end for change in score.key_signatures):
        return False
    before = [tempo.bpm for tempo in score.tempos if tempo.tick <= start]
    return all(before and tempo.bpm <= before[-1] for tempo in score.tempos if start < tempo.tick < end)


def _measure_ending(score: Score, span: tuple[int, int, int], bar: int, hears_velocity: bool) -> int | None:
    """Return the ticks of the endings in which two sections differ, 0 for none; None for sections too different."""
    start, middle, end = span
    edges = np.array([start, middle, end])
    notes = concatenate_notes([track.notes for track in score.tracks])
    ends = notes["start"] + notes["duration"]
    count = (middle - start) // bar
    first, second = (_list_bars(score, begin, count, bar, hears_velocity) for begin in (start, middle))
    same = next((n for n in range(count) if first[n] != second[n]), count)
    ending = (count - same) * bar
    if ending > min(LONGEST_ENDING, count // 2) * bar:
        return None
    edges = np.array([*edges, middle - ending, end - ending])
    crosses = (notes["start"][:, None] < edges) & (edges < ends[:, None])
    return None if crosses.any() else ending


def _list_bars(score: Score, start: int, count: int, bar: int, hears_velocity: bool) -> list[Hashable]:
    """List what each bar of a section holds: the notes of each track, and chord symbols."""
    columns = ["start", "duration", "pitch", *(["velocity"] if hears_velocity else [])]
    found: list[Hashable] = []
    for begin in range(start, start + count * bar, bar):
        parts: list[Hashable] = []
        for track in score.tracks:
            its = track.notes[(track.notes["start"] >= begin) & (track.notes["start"] < begin + bar)]
            parts.append(tuple(tuple(int(note[name]) - begin * (name == "start") for name in columns) for note in its))
        chords = [(one.tick - begin, one.text) for one in score.chords if begin <= one.tick < begin + bar]
        found.append((*parts, *chords))
    return found


# --- scores without what is repeated ----------------------------------------------------------------------------------


def _move(tick: int, cuts: Sequence[tuple[int, int]]) -> int:
    """Return where a tick that stays stands after the cuts."""
    return tick - sum(end - start for start, end in cuts if end <= tick)


def _stays(tick: int, cuts: Sequence[tuple[int, int]]) -> bool:
    return not any(start <= tick < end for start, end in cuts)


def _cut(score: Score, cuts: Sequence[tuple[int, int]]) -> Score:
    """Cut spans out of a score. A tempo in force where music goes on stays in force."""
    markers = [one for one in score.markers if _stays(one.tick, cuts) or one.text == END]
    return replace(
        score,
        tracks=tuple(_cut_track(track, cuts) for track in score.tracks),
        tempos=tuple(_cut_tempos(score.tempos, cuts)),
        key_signatures=tuple(
            replace(one, tick=_move(one.tick, cuts)) for one in score.key_signatures if _stays(one.tick, cuts)
        ),
        chords=tuple(replace(one, tick=_move(one.tick, cuts)) for one in score.chords if _stays(one.tick, cuts)),
        markers=tuple(replace(one, tick=_move(one.tick, cuts)) for one in markers),
    )


def _cut_track(track: Track, cuts: Sequence[tuple[int, int]]) -> Track:
    starts = track.notes["start"]
    stays, moved = np.ones(len(starts), dtype=bool), starts.copy()
    for start, end in cuts:
        stays &= (starts < start) | (starts >= end)
        moved -= np.where(starts >= end, end - start, 0)
    notes = track.notes.copy()
    notes["start"] = moved
    return replace(track, notes=notes[stays])


def _cut_tempos(tempos: Sequence[Tempo], cuts: Sequence[tuple[int, int]]) -> list[Tempo]:
    found = [replace(one, tick=_move(one.tick, cuts)) for one in tempos if _stays(one.tick, cuts)]
    for _, end in cuts:
        before = [one.bpm for one in tempos if one.tick <= end]
        at = _move(end, cuts)
        there = [one.bpm for one in found if one.tick <= at]
        if before and there and before[-1] != there[-1]:
            found = sorted([*(one for one in found if one.tick != at), Tempo(at, before[-1])])
    return found
