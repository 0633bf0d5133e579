"""Scores to the grid's tokens and back: where bars fall, and events between bar lines; it knows no notes.

The tokens are those of `composer.metrical`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.errors import CannotExpress
from composer.keys import Key, estimate_key, parse_key
from composer.metrical import COUNTDOWN, Grid
from composer.score import Bars, KeySignature, Score, TimeSignature, bars
from composer.tokens import EOS
from composer.types import Tokens

MOST_EMPTY_BARS = 64
"""A longer silence, or a longer held note, is refused: it would be all bars and no music."""


@dataclass(frozen=True)
class Measures:
    """The bars of a score on a grid: what `written` needs. All steps count from the beginning of the piece."""

    starts: NDArray[np.int64]  # (bars + 1,)
    origins: NDArray[np.int64]  # (bars,) where each bar would begin if it were whole
    metres: NDArray[np.int64]  # (bars,) token of each bar's time signature
    key: int  # token
    upbeat: int


def measures(grid: Grid, score: Score, end: int) -> Measures:
    """The bars of `score` on the grid up to `end` ticks. Raises CannotExpress for bars that the grid has not."""
    try:
        found = bars(score, max(end, 1))
    except ValueError as error:
        raise CannotExpress(f"the piece has {error}.") from None
    names = [str(metre) for metre in found.metres]
    strange = {name for name in names if name not in grid.place_of}
    if strange and (heard := [names[place] for place in found.which.tolist() if names[place] in strange]):
        raise CannotExpress(f"this tokenizer has no bars of {heard[0]}; it has {', '.join(grid.time_signatures)}.")
    which = np.array([grid.place_of.get(name, -1) for name in names])[found.which]
    starts, origins = found.starts // grid.step_ticks, found.nominal // grid.step_ticks
    if len(found.metres) > 1:
        _check_whole(found, grid.bar_steps[which] * grid.step_ticks)
    return Measures(
        starts=starts,
        origins=origins,
        metres=which + grid.first["TimeSignature"],
        key=grid.first["Key"] + key_of(score).place,
        upbeat=int(found.nominal[0] + found.metres[0].bar_ticks) // grid.step_ticks if found.nominal[0] < 0 else 0,
    )


def _check_whole(found: Bars, lengths: NDArray[np.int64]) -> None:
    """Raise CannotExpress if a new time signature cuts a bar short; `lengths` are those that bars should have."""
    until_next = found.starts[1:-1] - found.nominal[:-1]  # an upbeat is as long as the whole bar that it ends
    if len(wrong := np.flatnonzero(until_next != lengths[:-1])):
        raise CannotExpress(f"bar {wrong[0] + 1} is not a whole bar of {found.signatures[wrong[0]]}.")


def key_of(score: Score) -> Key:
    """The key at the beginning of a score: as written, or else estimated from its notes."""
    if score.key_signatures:
        return score.key_signatures[0].key
    tracks = [track.notes for track in score.tracks if not track.is_drum and len(track.notes)]
    if not tracks:
        return Key(0)
    starts, durations, pitches = (
        np.concatenate([notes[name] for notes in tracks]) for name in ("start", "duration", "pitch")
    )
    ends = starts + durations
    return estimate_key(pitches, durations, int(pitches[ends == ends.max()].min()))


def written(
    grid: Grid,
    found: Measures,
    steps: NDArray[np.int64],
    content: NDArray[np.int64],
    counts: NDArray[np.int64],
    *,
    ends: bool,
) -> Tokens:
    """A whole piece in tokens: events at `steps` (E, rising), of `counts` (E,) tokens each out of `content`.

    With `ends=False` nothing is written of the end: bars up to the last event, none announced.
    """
    bar_of = np.searchsorted(found.starts[:-1], steps, side="right") - 1
    total = len(found.metres) if ends else int(bar_of[-1]) + 1 if len(steps) else 0
    _check_silences(bar_of, total)
    line_counts, lines = _bar_lines(grid, found, total, ends=ends)
    opening = [found.metres[0], found.key, grid.first["Upbeat"] + found.upbeat]
    # Each event moves back by the opening, by all bar lines up to its own, and by the events before it.
    sizes = counts + 1
    events_before = np.cumsum(sizes) - sizes
    before = np.cumsum(line_counts)[bar_of] + events_before + len(opening)
    inside = np.repeat(before + 1 - events_before + np.arange(len(steps)), counts) + np.arange(len(content))
    music = np.full(len(opening) + len(lines) + len(steps) + len(content) + ends, -1)
    music[before], music[inside] = grid.first["Position"] + steps - found.origins[bar_of], content
    music[:3] = opening
    if ends:
        music[-1] = EOS
    music[music < 0] = lines
    return music


def _check_silences(bar_of: NDArray[np.int64], total: int) -> None:
    """Refuse a long silence between the bars of neighbouring events."""
    steps = bar_of[1:] - bar_of[:-1]
    longest = max(bar_of[0], total - bar_of[-1], steps.max(initial=0)) if len(bar_of) else total
    if longest > MOST_EMPTY_BARS:
        raise CannotExpress(f"nothing begins for {longest} bars; at most {MOST_EMPTY_BARS} such bars can be written.")


def _bar_lines(grid: Grid, found: Measures, total: int, *, ends: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many tokens begin each of the first `total` bars, and these tokens.

    They are a new time signature, if it changes, and the bar with its place in the countdown.
    """
    metres = found.metres[:total]
    lines = np.empty((total, 2), dtype=np.int64)
    lines[:, 0], lines[:, 1] = metres, grid.first["Bar"]
    if ends:
        last = min(COUNTDOWN, total)
        lines[total - last :, 1] += np.arange(last, 0, -1)
    said = np.ones((total, 2), dtype=bool)
    said[:1, 0] = False
    said[1:, 0] = metres[1:] != metres[:-1]
    return said.sum(axis=1), lines[said]


@dataclass
class Reading:
    """What `walk` has learnt of a piece so far; complete when it is used up."""

    key: Key | None = None
    upbeat: int = 0
    time_signatures: list[TimeSignature] = field(default_factory=list)
    step: int = 0  # of the last position
    end: int = 0  # step of the end of the last bar
    ended: bool = False  # whether EOS was read


def walk(grid: Grid, tokens: Tokens, reading: Reading) -> Iterator[tuple[int, int]]:
    """The (step, token) of every token that is not the grid's, in order; the rest goes into `reading`."""
    names = dict(enumerate(grid.tokens))
    length = bar_count = origin = following = 0
    for token in map(int, tokens):
        kind, _, value = names.get(token, "Own_").partition("_")
        if kind == "TimeSignature":
            signature = grid.signatures[token - grid.first["TimeSignature"]]
            length = signature.bar_ticks // grid.step_ticks
            tick = following * grid.step_ticks
            reading.time_signatures.append(TimeSignature(tick, signature.numerator, signature.denominator))
        elif kind == "Key":
            reading.key = parse_key(value)
        elif kind == "Upbeat":
            reading.upbeat = int(value)
        elif kind == "Bar":
            short = bar_count == 0 and reading.upbeat > 0
            origin = reading.upbeat - length if short else following
            reading.step, following, bar_count = max(origin, 0), origin + length, bar_count + 1
            reading.end = following
        elif kind == "Position":
            reading.step = origin + int(value)
        elif kind == "EOS":
            reading.ended = True
            return
        elif kind == "Own":
            yield reading.step, token


def heading(grid: Grid, reading: Reading) -> dict[str, Any]:
    """The fields of a Score that the grid's tokens said."""
    return {
        "time_signatures": tuple(reading.time_signatures),
        "key_signatures": (KeySignature(0, reading.key),) if reading.key else (),
        "upbeat": reading.upbeat * grid.step_ticks,
    }
