"""Hits at positions: in each beat those of 16ths, or those of triplets, whichever its hits are nearer to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from composer.tokens.bar_encoding import Measures, mark_changes
from composer_drums.events import SIXTEENTH, STEPS, TRIPLET, Events, Ints, list_cells
from composer_drums.kit import KIT


@dataclass(frozen=True)
class Hits:
    """Hits sorted by step, then class, each pair once. All arrays are (N,)."""

    steps: Ints  # from the beginning of the piece, on positions alone
    classes: Ints
    velocities: Ints
    offsets: Ints  # in fine steps

    def select(self, chosen: NDArray[np.integer | np.bool_]) -> Hits:
        """Select some of them."""
        return Hits(self.steps[chosen], self.classes[chosen], self.velocities[chosen], self.offsets[chosen])


def list_beats(events: Events, bars: Measures, total: int) -> tuple[Ints, Ints]:
    """List (N,) the beats of the first `total` bars: of which bar, and which in it; a pickup has the last ones."""
    lengths = events.grid.bar_steps[bars.time_signatures[:total] - events.grid.first["TimeSignature"]]
    first = np.maximum(-bars.origins[:total], 0) // STEPS
    count = -(-lengths // STEPS) - first
    which = np.repeat(np.arange(total), count)
    return which, np.arange(len(which)) - np.repeat(np.cumsum(count) - count - first, count)


def place_hits(events: Events, bars: Measures, onsets: Ints, classes: Ints, velocities: Ints) -> Hits:
    """Place hits at `onsets` (N,) in ticks.

    Of hits of one class at a position the loudest stays, of equals the first. What goes, or is moved into the first
    cell of a piece, may make other positions the nearest. So it is done again, until nothing does.
    """
    unit = events.fine_ticks if events.fine_steps else 1
    step = events.grid.step_ticks // unit
    grids = _find_grids(events, bars, step)
    fine = (onsets.astype(np.int64) + unit // 2) // unit
    while True:
        steps, moved = _choose_nearest(grids, step, fine, classes)
        order = np.lexsort((fine, -velocities, classes, steps))
        order = order[mark_changes(steps[order] * len(KIT) + classes[order])]
        moved = moved if events.fine_steps else steps * step
        if len(order) == len(fine) and np.array_equal(moved, fine):
            return Hits(steps, classes, velocities, fine - steps * step).select(order)
        fine, classes, velocities = moved[order], classes[order], velocities[order]


@dataclass(frozen=True)
class _Grid:
    """The positions of one kind in N beats, which all have some. Numbers are fine steps of the piece, but for steps."""

    steps: Ints  # (P,) in the beat
    cells: Ints  # (2, P) the first and the last fine step of each, in the beat
    least: Ints  # (N,) the first position of each beat
    most: Ints  # (N,) the last one; -1 if it has none of this kind
    begins: Ints  # (N,) the first step of each beat

    def place(self, step: int, fine: Ints, beat: Ints) -> tuple[Ints, Ints]:
        """Place hits (H,) in their beats: the steps of the piece, and where they are moved to."""
        begin = self.begins[beat]
        index = np.searchsorted(self.cells[1, :-1], fine - begin * step)
        index = np.clip(index, self.least[beat], self.most[beat])
        return begin + self.steps[index], np.clip(fine, *(begin * step + self.cells[:, index]))


def _find_grids(events: Events, bars: Measures, step: int) -> list[_Grid]:
    """Find the 16ths of all beats, and the triplets if there are any."""
    which, beats = list_beats(events, bars, len(bars.time_signatures))
    begins = bars.origins[which] + beats * STEPS
    row = bars.time_signatures[which] - events.grid.first["TimeSignature"]
    places = beats[:, None] * STEPS + np.arange(STEPS)
    table = np.pad(events.is_position[:, :-1], ((0, 0), (0, STEPS)))
    table &= np.arange(table.shape[1]) < events.grid.bar_steps[:, None]
    exist = table[row[:, None], places] & (begins[:, None] + np.arange(STEPS) >= 0)
    has = exist.any(axis=1)
    cells, found = list_cells(step), []
    for width in (SIXTEENTH, TRIPLET) if events.triplets else (SIXTEENTH,):
        steps = np.arange(0, STEPS, width)
        here = exist[has][:, steps]
        if width == TRIPLET:
            here &= table[row[has], beats[has] * STEPS + TRIPLET][:, None]
        most = np.where(here.any(axis=1), len(steps) - 1 - here[:, ::-1].argmax(axis=1), -1)
        ends = np.array([[cells[place][0], cells[place][1] - 1] for place in steps.tolist()]).T
        if width == TRIPLET:
            ends[1, 0] = ends[0, 1] - 1
        found.append(_Grid(steps, ends, here.argmax(axis=1), most, begins[has]))
    return found


def _choose_nearest(grids: list[_Grid], step: int, fine: Ints, classes: Ints) -> tuple[Ints, Ints]:
    """Choose 16ths or triplets in each beat: without hits that fall together, and then the nearer ones."""
    begins = grids[0].begins * step - SIXTEENTH * step // 2
    beat = np.maximum(np.searchsorted(begins, fine, side="right") - 1, 0)
    placed = [grid.place(step, fine, beat) for grid in grids]
    costs = [_compute_costs(beat, steps, step, fine, classes, len(begins)) for steps, _ in placed]
    if len(grids) == 1:
        return placed[0]
    least = np.array([0, step**2 // 2])[:, None]  # 16ths, unless triplets are clearly nearer
    together, far = np.array([cost[0] for cost in costs]), np.array([cost[1] for cost in costs]) + least
    is_nearer = (together[1] < together[0]) | ((together[1] == together[0]) & (far[1] < far[0]))
    chosen = (is_nearer & (grids[1].most >= 0))[beat]
    steps, moved = (np.where(chosen, other, one) for one, other in zip(*placed, strict=True))
    return steps, moved


def _compute_costs(beat: Ints, steps: Ints, step: int, fine: Ints, classes: Ints, beats: int) -> tuple[Ints, Ints]:
    """Compute (beats,) how many hits fall together with another one, and the sum of the squares of all offsets."""
    keys = np.unique(steps * len(KIT) + classes)
    there, at = np.unique(steps, return_index=True)
    of_key = beat[at][np.searchsorted(there, keys // len(KIT))]
    together = np.bincount(beat, minlength=beats) - np.bincount(of_key, minlength=beats)
    far = np.bincount(beat, (fine - steps * step) ** 2, minlength=beats).astype(np.int64)
    return together, far
