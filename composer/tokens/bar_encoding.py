"""Encode a score on a grid of bars and positions, and decode it.

The tokens are those of `composer.tokens.bar_grammar`.

What plugins may rely on is listed in `plugins/README.md`, under the helpers that are stable.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.errors import CannotExpress
from composer.music.keys import Key, estimate_key, parse_key
from composer.music.score import END, Bars, KeySignature, Score, Text, TimeSignature, compute_bars, concatenate_notes
from composer.music.sections import list_sections, name_in_order
from composer.tokens import bar_sections
from composer.tokens.bar_grammar import COUNTDOWN, Grid
from composer.tokens.vocabulary import EOS
from composer.types import Tokens

MOST_EMPTY_BARS = 64
"""A longer silence, or a longer sustained note, is refused: its bars would have no notes."""


@dataclass(frozen=True)
class Measures:
    """The bars of a score on a grid. All steps count from the beginning of the piece."""

    starts: NDArray[np.int64]  # (bars + 1,)
    origins: NDArray[np.int64]  # (bars,) the first step of each bar, if it were whole
    time_signatures: NDArray[np.int64]  # (bars,) token of each bar's time signature
    key: int  # token
    upbeat: int  # steps, 0 for none
    sections: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """The bars at whose lines the score marks a section; none without marks."""


def find_bars(grid: Grid, score: Score, end: int) -> Measures:
    """Find the bars of `score` up to `end` ticks. Raises CannotExpress for bars that the grid does not have.

    On a grid with sections, silent bars up to a marker of the end count, too: the last section ends with them.
    """
    try:
        found = compute_bars(score, max(end, score.length if grid.sections else 1, 1))
    except ValueError as error:
        raise CannotExpress(f"the piece has {error}.") from None
    names = [str(metre) for metre in found.time_signatures]
    unknown = {name for name in names if name not in grid.index_of}
    if unknown and (used := [names[index] for index in found.signature_index.tolist() if names[index] in unknown]):
        raise CannotExpress(f"this tokenizer has no bars of {used[0]}; it has {', '.join(grid.time_signatures)}.")
    which = np.array([grid.index_of.get(name, -1) for name in names])[found.signature_index]
    starts, origins = found.starts // grid.step_ticks, found.nominal // grid.step_ticks
    if len(found.time_signatures) > 1:
        _check_whole(found, grid.bar_steps[which] * grid.step_ticks)
    return Measures(
        starts=starts,
        origins=origins,
        time_signatures=which + grid.first["TimeSignature"],
        key=grid.first["Key"] + find_key(score).index,
        upbeat=int(found.nominal[0] + found.time_signatures[0].bar_ticks) // grid.step_ticks
        if found.nominal[0] < 0
        else 0,
        sections=_find_sections(grid, score, starts) if grid.sections else np.zeros(0, dtype=np.int64),
    )


def _find_sections(grid: Grid, score: Score, starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the bars nearest to the markers of sections, each once."""
    ticks = np.array([marker.tick for marker in list_sections(score)], dtype=np.int64)
    if not len(ticks):
        return ticks
    steps, later = ticks / grid.step_ticks, np.searchsorted(starts, ticks / grid.step_ticks)
    later = np.clip(later, 1, len(starts) - 1)
    is_earlier = steps - starts[later - 1] < starts[later] - steps
    found: NDArray[np.int64] = np.unique(later - is_earlier)
    return found[found < len(starts) - 1]


def _check_whole(found: Bars, lengths: NDArray[np.int64]) -> None:
    """Raise CannotExpress if a new time signature cuts a bar short; `lengths` are the full lengths."""
    until_next = (
        found.starts[1:-1] - found.nominal[:-1]
    )  # a pickup begins where a whole bar would, so it has full length here
    if len(wrong := np.flatnonzero(until_next != lengths[:-1])):
        raise CannotExpress(f"bar {wrong[0] + 1} is not a whole bar of {found.signatures[wrong[0]]}.")


def find_key(score: Score, *, ends: bool = True) -> Key:
    """Return the key at the beginning of a score: the written one, or else an estimate from the notes.

    With `ends=False` the music goes on, and the last note is no evidence of the tonic.
    """
    if score.key_signatures:
        return score.key_signatures[0].key
    notes = concatenate_notes([track.notes for track in score.tracks if not track.is_drum])
    if not len(notes):
        return Key(0)
    stops = notes["start"] + notes["duration"]
    last = int(notes["pitch"][stops == stops.max()].min())
    return estimate_key(notes["pitch"], notes["duration"], last if ends else None)


def assemble_tokens(
    grid: Grid,
    found: Measures,
    steps: NDArray[np.int64],
    rows: NDArray[np.int64],
    *,
    ends: bool,
) -> Tokens:
    """Assemble the tokens of a whole piece. `rows` (R, K) holds the tokens of `steps` (R, rising); -1 is no token.

    A position comes before the first row of each step. With `ends=False` the bars stop at the last row, and no end is
    announced.
    """
    bar_of = np.searchsorted(found.starts[:-1], steps, side="right") - 1
    total = len(found.time_signatures) if ends else int(bar_of[-1]) + 1 if len(steps) else 0
    _check_silences(bar_of, total)
    content = np.empty((len(steps), rows.shape[1] + 1), dtype=np.int64)
    content[:, 0] = np.where(mark_changes(steps), grid.first["Position"] + steps - found.origins[bar_of], -1)
    content[:, 1:] = rows
    is_token = content >= 0
    before = np.concatenate([[0], is_token.sum(axis=1).cumsum()])  # tokens before each row
    lines = np.full((total, 3), -1)  # before each bar: a new time signature, a section, and the bar line
    metres = found.time_signatures[:total]
    lines[1:, 0] = np.where(metres[1:] != metres[:-1], metres[1:], -1)
    lines[:, 1] = encode_sections(grid, found, total, ends=ends)
    lines[:, 2] = grid.first["Bar"]
    if ends:
        last = min(COUNTDOWN, total)
        lines[total - last :, 2] += np.arange(last, 0, -1)
    # The index of such a token counts everything before it: the header, rows of earlier bars, others of its kind.
    is_line = lines >= 0
    bar_of_line, _ = np.nonzero(is_line)
    indices = before[np.searchsorted(steps, found.starts[:total])][bar_of_line] + np.arange(3, 3 + len(bar_of_line))
    music = np.empty(3 + len(indices) + int(before[-1]) + ends, dtype=np.int64)
    is_content = np.ones(len(music), dtype=bool)
    is_content[:3], is_content[indices] = False, False
    music[:3] = found.time_signatures[0], found.key, grid.first["Upbeat"] + found.upbeat
    music[indices] = lines[is_line]
    if ends:
        music[-1], is_content[-1] = EOS, False
    music[is_content] = content[is_token]
    return music


def encode_sections(grid: Grid, found: Measures, total: int, *, ends: bool) -> NDArray[np.int64]:
    """Encode the sections of the first `total` bars: (total,) the token before each bar, -1 for none.

    The first section begins with the piece. If the piece goes on, the last one is taken to be as long as the one
    before, unless it is longer already; the length of a single one is unknown.
    """
    tokens: NDArray[np.int64] = np.full(total, -1)
    if not (grid.sections and total):
        return tokens
    pickup = int(found.upbeat > 0)
    begins = np.unique(np.append(found.sections[(found.sections > pickup) & (found.sections < total)], 0))
    bars = np.diff(begins, append=total)
    bars[0] -= pickup
    bars[bars > bar_sections.LONGEST] = 0
    if not (ends and len(found.sections)):
        bars[-1] = bars[-2] if len(bars) > 1 and bars[-1] <= bars[-2] else 0
    tokens[begins] = grid.first["Section"] + bars
    return tokens


def mark_changes(values: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Mark the values that differ from the one before; the first one does."""
    differ = np.empty(len(values), dtype=bool)
    differ[:1] = True
    np.not_equal(values[1:], values[:-1], out=differ[1:])
    return differ


def _check_silences(bar_of: NDArray[np.int64], total: int) -> None:
    """Raise CannotExpress for a long silence between the bars of neighbouring events."""
    steps = bar_of[1:] - bar_of[:-1]
    longest = max(bar_of[0], total - bar_of[-1], steps.max(initial=0)) if len(bar_of) else total
    if longest > MOST_EMPTY_BARS:
        raise CannotExpress(f"nothing begins for {longest} bars; at most {MOST_EMPTY_BARS} such bars can be written.")


@dataclass
class Reading:
    """The header and the position that `walk` has read so far; complete when its iterator ends."""

    key: Key | None = None
    upbeat: int = 0
    time_signatures: list[TimeSignature] = field(default_factory=list)
    step: int = 0  # of the last position
    end: int = 0  # step at which the last bar ends
    ended: bool = False  # whether EOS was read
    origin: int = 0  # first step of the current bar, if it were whole
    bars: int = 0
    sections: list[int] = field(default_factory=list)  # steps at which one begins, after its pickup
    lengths: list[int] = field(default_factory=list)  # of all sections in bars, 0 for unknown

    def begin_bar(self, length: int) -> None:
        """Begin a bar of `length` steps, the first one perhaps a pickup."""
        is_pickup = self.bars == 0 and self.upbeat > 0
        self.origin = self.upbeat - length if is_pickup else self.end
        self.step, self.end, self.bars = max(self.origin, 0), self.origin + length, self.bars + 1
        if len(self.sections) < len(self.lengths) and not is_pickup:
            self.sections.append(self.origin)


def walk(grid: Grid, tokens: Tokens, reading: Reading) -> Iterator[tuple[int, int]]:
    """Yield (step, token) for each token that is not the grid's, in order; collect the others in `reading`."""
    names = dict(enumerate(grid.tokens))
    length = 0
    for token in map(int, tokens):
        kind, _, value = names.get(token, "Own_").partition("_")
        if kind == "TimeSignature":
            signature = grid.signatures[token - grid.first["TimeSignature"]]
            length = signature.bar_ticks // grid.step_ticks
            tick = reading.end * grid.step_ticks
            reading.time_signatures.append(TimeSignature(tick, signature.numerator, signature.denominator))
        elif kind == "Key":
            reading.key = parse_key(value).usual
        elif kind == "Upbeat":
            reading.upbeat = int(value)
        elif kind == "Bar":
            reading.begin_bar(length)
        elif kind == "Position":
            reading.step = reading.origin + int(value)
        elif kind == "Section":
            reading.lengths.append(token - grid.first["Section"])
        elif kind == "EOS":
            reading.ended = True
            return
        elif kind == "Own":
            yield reading.step, token


def make_heading(grid: Grid, reading: Reading) -> dict[str, Any]:
    """Return the fields of a Score that the grid's tokens state.

    Sections are named in their order, and the last one ends with the piece; a single one of unknown length is none.
    """
    heading: dict[str, Any] = {
        "time_signatures": tuple(reading.time_signatures),
        "key_signatures": (KeySignature(0, reading.key),) if reading.key else (),
        "upbeat": reading.upbeat * grid.step_ticks,
    }
    if len(reading.sections) > 1 or any(reading.lengths):
        named = zip(reading.sections, name_in_order(reading.sections), strict=True)
        ends = [Text(reading.end * grid.step_ticks, END)] if reading.ended else []
        heading["markers"] = (*(Text(step * grid.step_ticks, name) for step, name in named), *ends)
    return heading
