"""The tokens of `drums`, its positions in a bar, and the fine steps around each.

Positions are 16ths and triplets of 8ths, on a grid of 12 steps to a quarter note. A beat is a quarter note of a bar,
from its beginning, the last one perhaps shorter. It has 16ths or triplets, whichever its hits are nearer to. Bars that
are no whole number of quarter notes, such as 7/8, have 16ths alone. A hit belongs to the nearest position, so each has
a cell of fine steps around it. The cells of a beat meet, and that of its beginning reaches before it.

The rhythm of a beat is the set of positions that are struck, one of the patterns of `rhythms`.
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
            *(f"Rhythm_{''.join(map(str, np.flatnonzero(onsets))) or None}" for onsets in self.rhythms),
            *(f"Drum_{drum.sound}" for drum in KIT),
            *(f"Velocity_{velocity}" for velocity in self.degrees.tolist()),
            *(f"Timing_{offset}" for offset in self.offsets.tolist()),
        )

    @cached_property
    def count(self) -> dict[str, int]:
        """The number of tokens of each type."""
        return {
            "Tempo": self.tempo_count,
            "Rhythm": len(self.rhythms),
            "Drum": len(KIT),
            "Velocity": self.velocities,
            "Timing": len(self.offsets),
        }

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

    # --- the rhythm of a beat

    @cached_property
    def places(self) -> tuple[int, ...]:
        """Steps in a beat that may be positions."""
        return tuple(step for step in range(STEPS) if step % SIXTEENTH == 0 or (self.triplets and step % TRIPLET == 0))

    def gather_bits(self, onsets: Ints) -> Ints:
        """Gather the pattern of each beat (…,), bit k for place k, from its steps (…, STEPS), which are 0 or 1."""
        bits: Ints = onsets[..., list(self.places)] @ (1 << np.arange(len(self.places)))
        return bits

    @cached_property
    def patterns(self) -> Ints:
        """(N,) the pattern of each rhythm, rising: 16ths, or triplets."""
        widths = (SIXTEENTH, TRIPLET) if self.triplets else (SIXTEENTH,)
        steps = np.arange(STEPS)
        kinds = [int(self.gather_bits((steps % width == 0).astype(np.int64))) for width in widths]
        return np.array([bits for bits in range(1 << len(self.places)) if any(bits & ~kind == 0 for kind in kinds)])

    @cached_property
    def rhythm_of(self) -> Ints:
        """(patterns,) the token of each pattern, -1 for none."""
        table = np.full(1 << len(self.places), -1)
        table[self.patterns] = self.first["Rhythm"] + np.arange(len(self.patterns))
        return table

    @cached_property
    def rhythms(self) -> NDArray[np.bool_]:
        """(N, STEPS) whether each step is struck."""
        table = np.zeros((len(self.patterns), STEPS), dtype=bool)
        table[:, self.places] = (self.patterns[:, None] >> np.arange(len(self.places))) % 2 == 1
        return table

    @cached_property
    def next_onset(self) -> Ints:
        """(N, STEPS + 1) the first struck step of each rhythm from each step on, STEPS for none."""
        table = np.full((len(self.rhythms), STEPS + 1), STEPS)
        for step in reversed(range(STEPS)):
            table[:, step] = np.where(self.rhythms[:, step], step, table[:, step + 1])
        return table

    @cached_property
    def possible(self) -> Ints:
        """(signatures, beats) the pattern of all positions in each beat of a bar."""
        beats = -(-self.grid.longest_bar // STEPS)
        table = np.zeros((len(self.grid.signatures), beats * STEPS), dtype=np.int64)
        table[:, : self.grid.longest_bar] = self.is_position[:, :-1]
        for row, length in enumerate(self.grid.bar_steps.tolist()):
            table[row, length:] = 0
        return self.gather_bits(table.reshape(len(table), beats, STEPS))

    # --- fine steps

    @cached_property
    def fine(self) -> int:
        """Fine steps in a step of the grid; 1 if timing is not kept."""
        return self.fine_steps // STEPS or 1

    @cached_property
    def offsets(self) -> Ints:
        """(N,) the offsets in fine steps that have tokens: those of any cell."""
        return np.arange(self.reach[0].min(), self.reach[1].max() + 1) if self.fine_steps else np.zeros(0, np.int64)

    @cached_property
    def reach(self) -> Ints:
        """(2, signatures, longest_bar) the first and the last offset in the cell of each position, 0 elsewhere."""
        table = np.zeros((2, *self.is_position[:, :-1].shape), dtype=np.int64)
        if not self.fine_steps:
            return table
        for step, (begin, end) in list_cells(self.fine).items():
            here = np.arange(self.grid.longest_bar) % STEPS == step
            table[0, :, here], table[1, :, here] = begin - step * self.fine, end - step * self.fine - 1
        return table * self.is_position[:, :-1]

    @property
    def fine_ticks(self) -> int:
        """Ticks in a fine step; those of a step of the grid if timing is not kept."""
        return TICKS_PER_QUARTER // (STEPS * self.fine)


def list_cells(step: int) -> dict[int, tuple[int, int]]:
    """List the cell of each place of a beat, from its first up to its end, where a step of the grid is so long.

    A beat of triplets is as wide as one of 16ths: from half a 16th before it to half a 16th before its end.
    """
    half, width = SIXTEENTH * step // 2, SIXTEENTH * step
    cells = {place: (place * step - half, place * step - half + width) for place in range(0, STEPS, SIXTEENTH)}
    middle, end = STEPS * step // 2, STEPS * step - half
    return cells | {TRIPLET: (width - half, middle), 2 * TRIPLET: (middle, end)}
