"""Degeneration: loops of one note or one bar in a score, and their limits; and parts that are silent.

A piece with longer repetitions than real pieces have is stuck in a loop: it is called degenerate, as is one in which a
part of the model is never heard.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from composer.errors import BadModelFile
from composer.music.merging import is_fixed
from composer.music.score import Score, Track, compute_bars
from composer.types import Span

CARD = "repetition"
"""Key of a model's card for the longest runs in the training split, `notes` and `bars`."""

UNLIMITED = 2**31
"""Longer than any piece."""


@dataclass(frozen=True)
class Limits:
    """The longest runs that pass for music."""

    notes: int  # onsets of one note, or of one chord, in a row
    bars: int  # equal bars in a row

    def raise_to(self, other: Limits) -> Limits:
        """Raise both limits to those of the other, if these are higher."""
        return Limits(max(self.notes, other.notes), max(self.bars, other.bars))


DEFAULT = Limits(notes=24, bars=6)
"""The limits of a model whose card states none: twice the runs of the training music of the shipped models."""

LEAST = Limits(notes=8, bars=2)
"""The least limits, even if no training piece reaches them."""

RETRIES = 8
"""Retries of a piece at most."""


def count_repeated_notes(score: Score, given: Sequence[Span] = ()) -> int:
    """Count the most repetitions of one note in a row, in any track but drums; 0 for a score without notes.

    The onsets of a track at one tick form a set of pitches. A run consists of successive equal sets, with or without
    rests between; durations do not matter. Notes that begin in the `given` spans do not count.
    """
    tracks = [(number, track) for number, track in enumerate(score.tracks) if not track.is_drum]
    return max((_count_longest_run(_list_onsets(track, given, number)) for number, track in tracks), default=0)


def _list_onsets(track: Track, given: Sequence[Span], number: int) -> list[tuple[Hashable, bool]]:
    """List the pitches of each onset of a track, in order, and whether it is new."""
    rows = zip(track.notes["start"].tolist(), track.notes["pitch"].tolist(), strict=True)
    groups = groupby(rows, key=lambda row: row[0])
    return [(frozenset(pitch for _, pitch in group), not is_fixed(given, number, start)) for start, group in groups]


def count_equal_bars(score: Score, given: Sequence[Span] = ()) -> int:
    """Count the most equal bars in a row: 1 if each differs from the one before, 0 without bars.

    Bars are equal if they have the same length and, in each track, the same pitches from and up to the same positions.
    A note across a bar line counts in each of its bars, with the part there; velocities do not count. So silent bars
    are equal, up to the end that a marker states. A bar with only sustained notes is equal to the one before. Bars in
    which all tracks are `given` at the beginning do not count.
    """
    found = compute_bars(score, score.length, UNLIMITED)
    begins, ends = found.starts[:-1].tolist(), found.starts[1:].tolist()
    sounding: list[set[Hashable]] = [set() for _ in begins]
    changing = [False] * len(begins)
    for place, track in enumerate(score.tracks):
        onsets = track.notes["start"]
        offsets = onsets + track.notes["duration"]
        first = np.searchsorted(found.starts, onsets, side="right") - 1
        last = np.maximum(np.searchsorted(found.starts, offsets, side="left") - 1, first)
        columns = (onsets, offsets, track.notes["pitch"], first, last)
        for onset, offset, pitch, a, b in zip(*(column.tolist() for column in columns), strict=True):
            changing[a] = True
            changing[b] |= offset < ends[b]
            for bar in range(a, b + 1):
                begin = begins[bar]
                sounding[bar].add((place, pitch, max(onset - begin, 0), min(offset, ends[bar]) - begin))
    heard: list[tuple[Hashable, bool]] = []
    tracks = range(max(len(score.tracks), 1))
    for begin, end, sounds, changes in zip(begins, ends, sounding, changing, strict=True):
        held = heard and sounds and not changes
        new = not all(is_fixed(given, track, begin) for track in tracks)
        heard.append((heard[-1][0] if held else (end - begin, frozenset(sounds)), new))
    return _count_longest_run(heard)


def _count_longest_run(values: Iterable[tuple[Hashable, bool]]) -> int:
    """Count the new values in the longest run of equal values."""
    return max((sum(new for _, new in run) for _, run in groupby(values, key=lambda pair: pair[0])), default=0)


def measure_limits(scores: Iterable[Score]) -> Limits:
    """Measure the longest runs in any of these scores."""
    runs = [(count_repeated_notes(score), count_equal_bars(score)) for score in scores]
    return Limits(max((notes for notes, _ in runs), default=0), max((bars for _, bars in runs), default=0))


def read_limits(card: Mapping[str, Any]) -> Limits:
    """Read a model's limits from its card, `LEAST` at least; `DEFAULT` if the card states none.

    Raises BadModelFile for invalid limits.
    """
    if CARD not in card:
        return DEFAULT
    try:
        stated = Limits(**{name: card[CARD][name] for name in Limits.__dataclass_fields__})
        return stated.raise_to(LEAST)
    except (TypeError, KeyError):
        raise BadModelFile("the card of this model holds no limits of repetition; measure it again.") from None


def describe_silence(score: Score) -> str:
    """Describe the parts that are silent from beginning to end, by their names, of a score for several instruments.

    Empty if all are heard. Voices that share an instrument may be fewer.
    """
    if len({track.program for track in score.tracks}) < 2:
        return ""
    names = [track.name or str(number) for number, track in enumerate(score.tracks, 1) if not len(track.notes)]
    return f"{' and '.join(names)} silent" if names else ""


def describe_loops(score: Score, limits: Limits, given: Sequence[Span] = ()) -> str:
    """Describe the loops outside of the `given` spans; empty for a piece without any.

    A score without notes is degenerate, too.
    """
    if not score.note_count:
        return "silent"
    notes, equal = count_repeated_notes(score, given), count_equal_bars(score, given)
    found = [f"one note {notes} times in a row"] if notes > limits.notes else []
    found += [f"{equal} equal bars in a row"] if equal > limits.bars else []
    return ", ".join(found)
