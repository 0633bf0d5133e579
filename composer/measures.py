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
from composer.keys import ALL_KEYS, Key, estimate_key, parse_key
from composer.metrical import COUNTDOWN, Grid
from composer.score import KeySignature, Score, TimeSignature, bars
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
    signatures = {id(signature): signature for signature in found.signatures}
    names = {key: str(signature) for key, signature in signatures.items()}
    if strange := next((name for name in names.values() if name not in grid.time_signatures), None):
        raise CannotExpress(f"this tokenizer has no bars of {strange}; it has {', '.join(grid.time_signatures)}.")
    places = {key: grid.time_signatures.index(name) for key, name in names.items()}
    which = np.array([places[id(signature)] for signature in found.signatures])
    starts, origins = found.starts // grid.step_ticks, found.nominal // grid.step_ticks
    lengths = found.starts[1:-1] - found.nominal[:-1]  # an upbeat is as long as the whole bar that it ends
    wrong = np.flatnonzero(lengths != grid.bar_steps[which[:-1]] * grid.step_ticks)
    if len(wrong):
        raise CannotExpress(f"bar {wrong[0] + 1} is not a whole bar of {found.signatures[wrong[0]]}.")
    return Measures(
        starts=starts,
        origins=origins,
        metres=which + grid.first["TimeSignature"],
        key=grid.first["Key"] + ALL_KEYS.index(key_of(score)),
        upbeat=int(found.nominal[0] + found.signatures[0].bar_ticks) // grid.step_ticks if found.nominal[0] < 0 else 0,
    )


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
    left = np.arange(total, 0, -1)
    bars_to_go = np.where(left <= COUNTDOWN, left, 0) if ends else np.zeros(total, dtype=np.int64)
    said = np.ones((total, 2), dtype=bool)
    said[:1, 0] = False
    said[1:, 0] = metres[1:] != metres[:-1]
    return said.sum(axis=1), np.stack([metres, grid.first["Bar"] + bars_to_go], axis=1)[said]


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
