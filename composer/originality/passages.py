"""The passages that a piece shares with other music: how many, where, and how long.

A passage is a run of notes of one line whose intervals and ratios of durations recur in another piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.errors import CannotExpress
from composer.music.score import Score, compute_bars
from composer.originality.index import Line, Music, extract_lines
from composer.originality.suffixes import Matches

LEAST = 8
"""The least notes of a copy."""

LONGEST = 32
"""The last point of the novelty curve, in notes."""


@dataclass(frozen=True)
class Position:
    """The position of a passage in a piece. Bar 1 is the first whole bar, and a pickup is bar 0."""

    track: str  # its name, or its number from 1
    line: int  # of the lines of the track, from 1, the highest first
    bars: tuple[int, int]  # those in which its first and its last note begin
    ticks: tuple[int, int]  # where its first note begins, and its last one ends


@dataclass(frozen=True)
class Passage:
    """Consecutive notes that a piece shares with another one."""

    notes: int
    bars: float  # its length in the piece
    source: str  # the name of the other piece…
    split: str  # …and its split
    here: Position
    there: Position

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        named = {"notes": self.notes, "bars": round(self.bars, 3), "source": self.source, "split": self.split}
        return {**named, "positions": {"piece": asdict(self.here), "source": asdict(self.there)}}


@dataclass(frozen=True)
class Originality:
    """The extent of sharing. Only notes of lines long enough for a copy are counted, and no drums.

    The novelty curve is that of BachBot (Liang, Gotham, Johnson and Shotton, Automatic Stylistic Composition of Bach
    Chorales with Deep LSTM, 2017): of all runs of n notes, the share that is in none of the pieces.
    """

    notes: int  # in lines long enough for a copy
    copied: int  # in passages long enough for a copy
    copied_bars: float  # length of the longest of these passages, 0 if there is none
    longest: Passage | None  # by notes, at least two
    runs: tuple[int, ...]  # of 1, 2, … consecutive notes
    novel: tuple[int, ...]  # those found in none of the pieces

    @property
    def copied_share(self) -> float:
        """The share of notes that copies cover."""
        return self.copied / max(self.notes, 1)

    @property
    def novelty(self) -> list[float]:
        """For 1, 2, … consecutive notes, as far as there are any, the share of runs that is new."""
        return [new / count for new, count in zip(self.novel, self.runs, strict=True) if count]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "notes": self.notes,
            "copied_share": round(self.copied_share, 5),
            "copied_bars": round(self.copied_bars, 3),
            "longest": self.longest and self.longest.to_json(),
            "novelty": [round(share, 5) for share in self.novelty],
        }


def compare(score: Score, music: Music, *, least: int = LEAST, start: int = 0) -> Originality:
    """Compare a score, from the tick `start` on, with some music; a copy has at least `least` notes (2 or more).

    Raises CannotExpress for a score with more bars than can be counted.
    """
    found = extract_lines(score, start)
    if not found:
        return combine([])
    matches = music.find_matches(np.concatenate([np.append(line.symbols, -1) for line in found]))
    lengths = np.array([len(line.notes) for line in found])
    left = np.concatenate([np.arange(length, 0, -1) for length in lengths])  # notes up to the end of the line
    shared = matches.lengths + 1  # notes
    copies = np.flatnonzero(shared >= least)
    depth = np.zeros(len(left) + 1, dtype=np.int64)
    np.add.at(depth, copies, 1)
    np.add.at(depth, copies + shared[copies], -1)
    sizes = range(1, LONGEST + 1)
    return Originality(
        notes=int(lengths[lengths >= least].sum()),
        copied=int(np.count_nonzero(np.cumsum(depth))),
        copied_bars=_measure_longest(score, found, copies, shared),
        longest=_find_longest(score, found, matches, music),
        runs=tuple(int(np.count_nonzero(left >= n)) for n in sizes),
        novel=tuple(int(np.count_nonzero((left >= n) & (shared < n))) for n in sizes),
    )


def combine(found: Sequence[Originality]) -> Originality:
    """Combine the results of all pieces into one."""
    passages = [one.longest for one in found if one.longest]
    return Originality(
        notes=sum(one.notes for one in found),
        copied=sum(one.copied for one in found),
        copied_bars=max((one.copied_bars for one in found), default=0.0),
        longest=max(passages, key=lambda passage: passage.notes, default=None),
        runs=tuple(sum(one.runs[n] for one in found) for n in range(LONGEST)),
        novel=tuple(sum(one.novel[n] for one in found) for n in range(LONGEST)),
    )


def _measure_longest(
    score: Score, found: Sequence[Line], copies: NDArray[np.int64], shared: NDArray[np.int64]
) -> float:
    """Measure the longest of some passages in bars."""
    if not len(copies):
        return 0.0
    starts = np.concatenate([line.notes["start"] for line in found])
    ends = np.concatenate([line.notes["start"] + line.notes["duration"] for line in found])
    lasting = convert_to_bars(score, ends[copies + shared[copies] - 1]) - convert_to_bars(score, starts[copies])
    return float(lasting.max())


def _find_longest(score: Score, found: Sequence[Line], matches: Matches, music: Music) -> Passage | None:
    """Find the passage with the most notes, the first of several."""
    first = int(matches.lengths.argmax())
    notes = int(matches.lengths[first]) + 1
    if notes < 2:
        return None
    for line in found:
        if first < len(line.notes):
            break
        first -= len(line.notes)
    here = _locate(score, line, first, notes)
    there = music.index.locate(int(matches.places[matches.lengths.argmax()]))
    begin, end = convert_to_bars(score, np.array(here.ticks))
    place = _locate(there.score, there.line, there.note, notes)
    return Passage(notes, float(end - begin), there.name, there.split, here, place)


def _locate(score: Score, line: Line, first: int, notes: int) -> Position:
    run = line.notes[first : first + notes]
    ticks = int(run["start"][0]), int(run["start"][-1] + run["duration"][-1])
    number = np.floor(convert_to_bars(score, run["start"][[0, -1]])).astype(int) + (not _has_pickup(score))
    name = score.tracks[line.track].name or str(line.track + 1)
    return Position(name, line.rank + 1, (int(number[0]), int(number[1])), ticks)


def convert_to_bars(score: Score, ticks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Convert ticks to bars from the beginning of the first bar; a pickup begins within its bar."""
    found = _find_bars(score)
    bar = np.minimum(np.searchsorted(found.starts, ticks, side="right") - 1, len(found.nominal) - 1)
    return bar + (ticks - found.nominal[bar]) / (found.starts[bar + 1] - found.nominal[bar])


def _has_pickup(score: Score) -> bool:
    found = _find_bars(score)
    return bool(found.nominal[0] < found.starts[0])


def _find_bars(score: Score) -> Any:
    try:
        return compute_bars(score)
    except ValueError as error:
        raise CannotExpress(f"it has {error}.") from None
