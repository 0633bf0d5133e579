"""Stand-in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from composer.music.score import Score


@dataclass(frozen=True)
class Transpose:
    """Transpose."""

    semitones: Annotated[int | None, "semitones up; none: drawn at random", "2"] = None
    reach: Annotated[int, "where they are drawn: most semitones up or down"] = 6

    def __call__(self, score: Score, rng: np.random.Generator) -> Score:
        """Transpose a score."""
        return score

    def draw_semitones(
        self, down: NDArray[np.int64], up: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Draw."""
        if self.semitones is not None:
            fits = (-down <= self.semitones) & (self.semitones <= up)
            return np.where(fits, self.semitones, 0)
        return rng.integers(-np.minimum(down, self.reach), np.minimum(up, self.reach) + 1)
