"""Repetition: how often one note or one bar comes again without a break in a Score; it knows no model.

A piece that repeats itself for longer than real pieces do has fallen into a loop: it is called degenerate.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from composer.errors import BadModelFile
from composer.music.merging import is_given
from composer.music.score import Score, Track, bars
from composer.types import Span

CARD = "repetition"
"""Where a model's card keeps what the pieces of the training split reach, as `notes` and `bars`."""

MOST_BARS = 2**31
"""A piece is looked at whole, however long it is."""


@dataclass(frozen=True)
class Limits:
    """The longest runs that pass for music."""

    notes: int  # strikes of one note, or of one chord, in a row
    bars: int  # equal bars in a row

    def at_least(self, other: Limits) -> Limits:
        """The higher ones of both."""
        return Limits(max(self.notes, other.notes), max(self.bars, other.bars))


DEFAULT = Limits(notes=24, bars=6)
"""The limits of a model whose card states none: twice what the real pieces of the shipped models reach."""

LEAST = Limits(notes=8, bars=2)
"""No run up to here is a loop in any music, even where none of a few real pieces reaches it."""

REDRAWS = 8
"""How often a piece is drawn anew at most."""


def note_run(score: Score, given: Sequence[Span] = ()) -> int:
    """How often at most one note is struck in a row, in any track but drums; 0 for a score without notes.

    What a track strikes at one tick is a set of pitches; a run is of successive strikes with equal sets, whatever their
    lengths, and whether or not there are rests between. Notes that begin in the spans that are `given` do not count.
    """
    tracks = [(number, track) for number, track in enumerate(score.tracks) if not track.is_drum]
    return max((_longest(_strikes(track, given, number)) for number, track in tracks), default=0)


def _strikes(track: Track, given: Sequence[Span], number: int) -> list[tuple[Hashable, bool]]:
    """The pitches of each strike of a track, in order, and whether it is new."""
    rows = zip(track.notes["start"].tolist(), track.notes["pitch"].tolist(), strict=True)
    groups = groupby(rows, key=lambda row: row[0])
    return [(frozenset(pitch for _, pitch in group), not is_given(given, number, start)) for start, group in groups]


def bar_run(score: Score, given: Sequence[Span] = ()) -> int:
    """How many bars in a row are equal at most; 1 where each differs from the one before, 0 where there is no bar.

    Two bars are equal if they are of one length and the same sounds in them: in each track the same pitches, from and
    up to the same place in the bar; a note that goes over a bar line counts in each of its bars, with the part that
    lies there, and velocities do not count. So silent bars equal each other, up to the length that a marker states. A
    bar in which some notes sound on throughout, and nothing else happens, counts as equal to the one before, whatever
    led there. Bars at whose beginning every track is `given` do not count.
    """
    found = bars(score, score.length, MOST_BARS)
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
        new = not all(is_given(given, track, begin) for track in tracks)
        heard.append((heard[-1][0] if held else (end - begin, frozenset(sounds)), new))
    return _longest(heard)


def _longest(values: Iterable[tuple[Hashable, bool]]) -> int:
    """The most of a run of equal values that are new."""
    return max((sum(new for _, new in run) for _, run in groupby(values, key=lambda pair: pair[0])), default=0)


def reached(scores: Iterable[Score]) -> Limits:
    """The longest runs in any of these scores."""
    runs = [(note_run(score), bar_run(score)) for score in scores]
    return Limits(max((notes for notes, _ in runs), default=0), max((bars for _, bars in runs), default=0))


def limits_of(card: Mapping[str, Any]) -> Limits:
    """The limits of a model: what its card states that real pieces reach, `LEAST` at least; `DEFAULT` if it is silent.

    Raises BadModelFile for what are none.
    """
    if CARD not in card:
        return DEFAULT
    try:
        stated = Limits(**{name: card[CARD][name] for name in Limits.__dataclass_fields__})
        return stated.at_least(LEAST)
    except (TypeError, KeyError):
        raise BadModelFile("the card of this model holds no limits of repetition; measure it anew.") from None


def degenerate(score: Score, limits: Limits, given: Sequence[Span] = ()) -> str:
    """What comes again too often outside the spans that are `given`, in words; empty for a piece without such loops.

    A score without a note is degenerate, too: all its bars are silent, however many there are.
    """
    if not score.note_count:
        return "silent"
    notes, equal = note_run(score, given), bar_run(score, given)
    found = [f"one note {notes} times in a row"] if notes > limits.notes else []
    found += [f"{equal} equal bars in a row"] if equal > limits.bars else []
    return ", ".join(found)
