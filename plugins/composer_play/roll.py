"""A piano roll in characters: two pitches to a row, a stretch of time to a column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from composer.errors import printable
from composer.music.score import Bars, Score, compute_bars

COLOURS = ("cyan", "yellow", "magenta", "green", "blue", "red", "white")
"""Colours of tracks, in turn; a note begins in the bright one."""

MARGIN = 5
"""Columns before the roll, for the names of pitches."""

LEGEND = 7
"""Tracks that are named."""

BLOCKS, ASCII = "▀▄█│", "'.#|"
"""Characters for the upper pitch of a row, the lower one, both, and a line; also for terminals without blocks."""


@dataclass(frozen=True, eq=False)
class Roll:
    """The notes of all tracks as columns, and the bars. Ticks are those of the score."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    pitch: NDArray[np.int64]
    track: NDArray[np.int64]
    names: tuple[str, ...]
    bars: Bars
    first_bar: int  # number of the first bar: 0 for a pickup
    length: int

    def find_bar(self, tick: float) -> int:
        """Find the bar of a tick, counted from 0."""
        index = int(np.searchsorted(self.bars.starts, tick, side="right")) - 1
        return min(max(index, 0), max(len(self.bars.starts) - 2, 0))


@dataclass(frozen=True)
class View:
    """Which part of a roll is drawn, and how large."""

    begin: int  # tick of the first column
    step: int  # ticks to a column
    columns: int
    rows: int
    head: int | None = None  # the column that sounds now
    symbols: str = BLOCKS
    in_colour: bool = True


def make_roll(score: Score) -> Roll:
    """Make the roll of a score that has notes. Raises ValueError for too many bars."""
    notes = np.concatenate([track.notes for track in score.tracks])
    track = np.repeat(np.arange(len(score.tracks)), [len(track.notes) for track in score.tracks])
    names = tuple(printable(track.name or f"track {n}", 20) for n, track in enumerate(score.tracks, 1))
    start = notes["start"].astype(np.int64)
    pitch = notes["pitch"].astype(np.int64)
    first_bar = 0 if score.upbeat else 1
    return Roll(start, start + notes["duration"], pitch, track, names, compute_bars(score), first_bar, score.length)


def draw_roll(roll: Roll, view: View) -> list[Text]:
    """Draw a line of bar numbers, and the rows from the highest pitch down."""
    lowest, highest = int(roll.pitch.min()), int(roll.pitch.max())
    each = max(1, -(-(highest - lowest + 1) // (2 * view.rows)))  # pitches to half a row
    halves = (highest - lowest) // each + 1
    halves += halves % 2
    grid = _fill_grid(roll, view, lowest, each, halves)
    lines = _find_bar_columns(roll, view)
    rows = [_draw_bar_numbers(roll, view, lines)]
    for level in range(halves // 2 - 1, -1, -1):
        row = Text(_name_pitches(lowest + 2 * level * each, 2 * each).rjust(MARGIN - 1) + " ", style="dim")
        _draw(row, grid[2 * level + 1], grid[2 * level], lines, view)
        rows.append(row)
    return rows


def draw_legend(roll: Roll) -> Text:
    """Draw the names of the tracks in their colours."""
    shown = Text(" " * MARGIN)
    for index, name in enumerate(roll.names[:LEGEND]):
        shown.append(f"{name}  ", style=COLOURS[index % len(COLOURS)])
    if len(roll.names) > LEGEND:
        shown.append(f"and {len(roll.names) - LEGEND:,} more tracks", style="dim")
    return shown


def _fill_grid(roll: Roll, view: View, lowest: int, each: int, halves: int) -> NDArray[np.int64]:
    """Fill a (halves, columns) grid: 0 for nothing, else 2 * colour + 2, and one more at an onset."""
    grid = np.zeros((halves, view.columns), dtype=np.int64)
    until = view.begin + view.columns * view.step
    there = np.flatnonzero((roll.end > view.begin) & (roll.start < until))
    first = (roll.start[there] - view.begin) // view.step
    last = np.maximum(-(-(roll.end[there] - view.begin) // view.step), first + 1)
    half = (roll.pitch[there] - lowest) // each
    colour = 2 * (roll.track[there] % len(COLOURS)) + 2
    for a, b, row, value in zip(
        np.maximum(first, 0).tolist(), last.tolist(), half.tolist(), colour.tolist(), strict=True
    ):
        grid[row, a:b] = value
    begun = first >= 0
    grid[half[begun], first[begun]] = colour[begun] + 1
    return grid


def _find_bar_columns(roll: Roll, view: View) -> dict[int, int]:
    """Map each column in which a bar begins to that bar."""
    starts = roll.bars.starts[:-1]
    a, b = np.searchsorted(starts, [view.begin, view.begin + view.columns * view.step])
    places = np.arange(a, b)
    return dict(zip(((starts[a:b] - view.begin) // view.step).tolist(), places.tolist(), strict=True))


def _draw_bar_numbers(roll: Roll, view: View, lines: dict[int, int]) -> Text:
    shown = " " * MARGIN
    for column, bar in lines.items():
        number = str(bar + roll.first_bar)
        at = MARGIN + column
        if at >= len(shown) and at + len(number) <= MARGIN + view.columns:
            shown = shown.ljust(at) + number + " "
    return Text(shown.rstrip(), style="dim")


def _name_pitches(lowest: int, count: int) -> str:
    """Name the C among these pitches, if there is one."""
    c = -(-lowest // 12) * 12
    return f"C{c // 12 - 1}" if c < lowest + count else ""


def _draw(row: Text, upper: NDArray[np.int64], lower: NDArray[np.int64], lines: dict[int, int], view: View) -> None:
    for column, (high, low) in enumerate(zip(upper.tolist(), lower.tolist(), strict=True)):
        if high or low:
            row.append(*_choose_cell(high, low, view))
        elif column == view.head:
            row.append(view.symbols[3], style="bold")
        else:
            row.append(view.symbols[3] if column in lines else " ", style="dim")
    row.rstrip()


def _choose_cell(high: int, low: int, view: View) -> tuple[str, str]:
    """Choose a character and its style."""
    up, down, both = view.symbols[0], view.symbols[1], view.symbols[2]
    if high == low or (high and low and not view.in_colour):
        return both, _choose_style(high)
    if high and low:
        return up, f"{_choose_style(high)} on {_choose_style(low)}"
    return (up, _choose_style(high)) if high else (down, _choose_style(low))


def _choose_style(value: int) -> str:
    return f"{'bright_' if value % 2 else ''}{COLOURS[value // 2 - 1]}"
