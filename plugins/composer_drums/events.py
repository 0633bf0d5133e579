"""The tokens of `drums`, its positions in a bar, and the fine steps around each.

Positions are 16ths and triplets of 8ths, on a grid of 12 steps to a quarter note. Bars that are no whole number of
quarter notes, such as 7/8, have 16ths alone. A hit belongs to the nearest position, so each position has a cell of fine
steps around it. The cells of a bar meet, and that of its beginning reaches before the bar line.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from composer.music.score import TICKS_PER_QUARTER
from composer.tokens.bar_grammar import Grid
from composer_drums.kit import KIT

Ints = NDArray[np.int64]

STEPS = 12
"""Steps of the grid in a quarter note."""

SIXTEENTH, TRIPLET = STEPS // 4, STEPS // 3
"""Steps of a 16th, and of an 8th of a triplet."""

SLOWEST, FASTEST = 40, 300
"""Quarter notes per minute of the first and the last tempo."""


@dataclass(frozen=True)
class Events:
    """The types of tokens, and their ids."""

    grid: Grid
    triplets: bool
    velocities: int  # degrees of loudness, 0 if it is not kept
    fine_steps: int  # in a quarter note, 0 if timing is not kept
    tempo_count: int  # 0 if tempos are not kept

    # --- tokens

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """The whole vocabulary: the grid's tokens, then these."""
        return (
            *self.grid.tokens,
            *(f"Tempo_{tempo}" for tempo in self.tempos.tolist()),
            *(f"Drum_{drum.sound}" for drum in KIT),
            *(f"Velocity_{velocity}" for velocity in self.degrees.tolist()),
            *(f"Timing_{offset}" for offset in self.offsets.tolist()),
        )

    @cached_property
    def count(self) -> dict[str, int]:
        """The number of tokens of each type."""
        return {"Tempo": self.tempo_count, "Drum": len(KIT), "Velocity": self.velocities, "Timing": len(self.offsets)}

    @cached_property
    def first(self) -> dict[str, int]:
        """The first token of each type; a type without tokens begins where the next one does."""
        begins = np.cumsum([len(self.grid.tokens), *self.count.values()])
        return dict(zip(self.count, map(int, begins), strict=False))

    @cached_property
    def tempos(self) -> Ints:
        """(N,) tempos in quarters per minute, in equal ratios."""
        return np.rint(np.geomspace(SLOWEST, FASTEST, self.tempo_count)).astype(np.int64)

    @cached_property
    def degrees(self) -> Ints:
        """(N,) the middles of equal parts of 0..127."""
        return np.array([(2 * part + 1) * 64 // self.velocities for part in range(self.velocities)], dtype=np.int64)

    def encode_tempo(self, bpm: float) -> int:
        """Return the token of the nearest tempo, by ratio."""
        borders = np.sqrt(self.tempos[:-1] * self.tempos[1:])
        return self.first["Tempo"] + int(np.searchsorted(borders, bpm))

    # --- positions

    @cached_property
    def is_position(self) -> NDArray[np.bool_]:
        """(signatures, longest_bar + 1) whether a hit may be at each step of a bar; always at its end, the next bar."""
        steps = np.arange(self.grid.longest_bar + 1)
        table = np.zeros((len(self.grid.signatures), len(steps)), dtype=bool)
        for row, length in enumerate(self.grid.bar_steps.tolist()):
            table[row] = steps % SIXTEENTH == 0
            if self.triplets and length % STEPS == 0:
                table[row] |= steps % TRIPLET == 0
            table[row, length + 1 :] = False
        return table

    # --- fine steps

    @cached_property
    def fine(self) -> int:
        """Fine steps in a step of the grid; 1 if timing is not kept."""
        return self.fine_steps // STEPS or 1

    @cached_property
    def offsets(self) -> Ints:
        """(N,) the offsets in fine steps that have tokens: those within half a 16th."""
        width = SIXTEENTH * self.fine
        return np.arange(-(width // 2), width - width // 2) if self.fine_steps else np.zeros(0, dtype=np.int64)

    @cached_property
    def reach(self) -> Ints:
        """(2, signatures, longest_bar) the first and the last offset in the cell of each position, 0 elsewhere."""
        table = np.zeros((2, *self.is_position[:, :-1].shape), dtype=np.int64)
        if not self.fine_steps:
            return table
        for row, marked in enumerate(self.is_position):
            positions = np.flatnonzero(marked)
            widths = np.diff(positions, prepend=-SIXTEENTH) * self.fine  # each bar ends with a 16th
            table[0, row, positions[:-1]] = -(widths[:-1] // 2)
            table[1, row, positions[:-1]] = widths[1:] - widths[1:] // 2 - 1
        return table

    @property
    def fine_ticks(self) -> int:
        """Ticks in a fine step; those of a step of the grid if timing is not kept."""
        return TICKS_PER_QUARTER // (STEPS * self.fine)
