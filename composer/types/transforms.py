"""Transforms, which change scores, and rules, which judge them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from composer.music.score import Score


class Transform(Protocol):
    """A change of a whole score: of a finished piece before it is written, or of a training piece at random.

    A frozen dataclass of options. All chance comes from `rng`, so that the same generator makes the same score. It may
    state `of_notes = True` if it changes notes alone: only such a one can change some of them while others are fixed.
    `keeps_notes = True` says that it changes no notes, and so goes with fixed ones as well. `spares_primer = True`: it
    leaves the notes of a primer alone. `typed_option` is its option for music whose given notes were typed, without
    any expression. `is_usual = True`: new pieces have it unasked. It states `idempotent = True` if
    it leaves its own result as it is, and `changes_drums = True` if it adds instruments to drums.
    """

    def __call__(self, score: Score, rng: np.random.Generator) -> Score:
        """Change a score; the argument stays as it is. Raises CannotExpress for a score that it cannot change."""


@runtime_checkable
class DrawsTransposition(Protocol):
    """A transform that only transposes, which training then does on tokens, by tables and without scores."""

    def draw_semitones(
        self, down: NDArray[np.int64], up: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Draw the semitones (B,) of the pieces of a batch, from `-down` to `up`: these keep them in their range."""


@runtime_checkable
class HasFlag(Protocol):
    """A kind of transform that the commands that write have an option for: `--instrument strings`, `--rubato`.

    The option takes the value of the transform's first option, `none` for not at all; of a switch, nothing.
    """

    flag: str  # a value, as an example; "" for a switch


class Rule(Protocol):
    """A rule of finished pieces. One that breaks it is retried, passes no gate, and is ranked lower."""

    def __call__(self, score: Score) -> str:
        """Describe in a few words how a score breaks the rule; empty where it keeps it."""
