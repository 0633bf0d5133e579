"""The tokens at a position, and their ids in the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from composer.tokens.bar_grammar import Grid

DRUMS = -1
"""The program of the drums, as MidiTok numbers it."""

SLOWEST, FASTEST = 40, 240
"""Quarter notes per minute of the first and the last tempo."""


@dataclass(frozen=True)
class Events:
    """The types of tokens at a position, and their ids."""

    grid: Grid
    tempos: tuple[int, ...]  # quarters per minute, rising
    parts: tuple[int, ...]  # programs in the order in which they are written, drums last
    named: bool  # whether the program is written
    lowest: int
    highest: int
    velocities: tuple[int, ...]  # rising
    durations: tuple[int, ...]  # in steps, rising

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """The whole vocabulary: the grid's tokens, then these."""
        return (
            *self.grid.tokens,
            *(f"Tempo_{tempo}" for tempo in self.tempos),
            *(f"Program_{program}" for program in self.parts if self.named),
            *(f"Pitch_{pitch}" for pitch in range(self.lowest, self.highest + 1)),
            *(f"Drum_{sound}" for sound in range(self.count["Drum"])),
            *(f"Velocity_{velocity}" for velocity in self.velocities),
            *(f"Duration_{steps}" for steps in self.durations),
        )

    @cached_property
    def count(self) -> dict[str, int]:
        """The number of tokens of each type."""
        return {
            "Tempo": len(self.tempos),
            "Program": len(self.parts) if self.named else 0,
            "Pitch": self.highest - self.lowest + 1,
            "Drum": 128 if DRUMS in self.parts else 0,
            "Velocity": len(self.velocities),
            "Duration": len(self.durations),
        }

    @cached_property
    def first(self) -> dict[str, int]:
        """The first token of each type; a type without tokens begins where the next one does."""
        begins = np.cumsum([len(self.grid.tokens), *self.count.values()])
        return dict(zip(self.count, map(int, begins), strict=False))

    @cached_property
    def drum_part(self) -> int:
        """The index of the drums among the parts; -1 for none."""
        return len(self.parts) - 1 if DRUMS in self.parts else -1

    @cached_property
    def drum_program(self) -> int:
        """The token of the drums' program; -1 for none."""
        return self.first["Program"] + self.drum_part if DRUMS in self.parts else -1

    @cached_property
    def steps(self) -> NDArray[np.int64]:
        """The durations in steps, (durations,)."""
        return np.array(self.durations)

    @cached_property
    def place_of_length(self) -> NDArray[np.int64]:
        """(longest + 1,) the index of the longest duration within each number of steps; -1 for none."""
        return np.searchsorted(self.steps, np.arange(self.durations[-1] + 1), side="right") - 1

    @cached_property
    def velocity_tokens(self) -> NDArray[np.int64]:
        """(128,) the token of each velocity; -1 if velocities are not kept."""
        degrees = len(self.velocities)
        return np.arange(128) * degrees // 128 + self.first["Velocity"] if degrees else np.full(128, -1)

    @cached_property
    def tempo_borders(self) -> NDArray[np.float64]:
        """(tempos - 1,) the geometric means of neighbouring tempos."""
        tempos = np.array(self.tempos, dtype=np.float64)
        return np.sqrt(tempos[:-1] * tempos[1:])


def list_durations(steps_per_quarter: int, longest: int) -> tuple[int, ...]:
    """List durations in steps: every step up to 4 quarters, by half quarters up to 8, by quarters up to 16, and so on.

    `longest` is in quarters.
    """
    found, reach, width = [0], 4, 1
    while found[-1] < longest * steps_per_quarter:
        end = min(reach, longest) * steps_per_quarter
        found += range(found[-1] + width, end, width)
        found.append(end)
        width = max(1, reach * steps_per_quarter // 8)
        reach *= 2
    return tuple(found[1:])


def list_tempos(count: int) -> tuple[int, ...]:
    """List `count` tempos in quarters per minute, in equal ratios from `SLOWEST` to `FASTEST`."""
    return tuple(int(tempo) for tempo in np.rint(np.geomspace(SLOWEST, FASTEST, count)))


def list_velocities(count: int) -> tuple[int, ...]:
    """List the middles of `count` equal parts of 0..127."""
    return tuple((2 * part + 1) * 64 // count for part in range(count))
