"""The bars of a given score as a mask over the grid's tokens, shared by every `given`; it knows no notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from composer.arrays import like, namespace, numbers
from composer.errors import BadOption
from composer.tokens.bar_encoding import Measures
from composer.tokens.bar_grammar import COUNTDOWN, Field, Grid, Slot, reached
from composer.types import Array, Span

NEVER = 2**40
"""A step that no piece reaches: where nothing needs to be written any more."""


def covered(grid: Grid, spans: Sequence[tuple[Span, Sequence[int]]], parts: int, steps: int) -> NDArray[np.bool_]:
    """(parts, steps + 1) where each part is given, by spans and the parts that each is for; the last step is all later.

    A span that begins after `steps` gives nothing; one that goes beyond gives silence there.
    """
    cover = np.zeros((parts, steps + 1), dtype=bool)
    for span, of in spans:
        first, end = (-(-max(tick, 0) // grid.step_ticks) for tick in (span.start, span.end))
        for part in of:
            cover[part, first : end if end <= steps else None] = True
    return cover


def check_track(span: Span, tracks: int) -> None:
    """Raise BadOption for a span of a track that is not there."""
    if span.track is not None and not 0 <= span.track < tracks:
        raise BadOption(f"there is no track {span.track} to keep; the tracks are 0 to {tracks - 1}.")


@dataclass(frozen=True, eq=False)
class GivenBars:
    """The bars up to the end of what is given, as they are in the score, and places only where they are of use."""

    grid: Grid
    metres: NDArray[np.int64]  # (bars + 1,) token of each bar's time signature; the last one, 0, stands for any
    upbeat: int  # steps, -1 for any
    last: int  # the bar in which something is given for the last time
    open: NDArray[np.bool_]  # (steps + 1,) whether anything is free at a step; the last one stands for all later

    def mask(self, state: Array, need: Array) -> Array:
        """(B, G) which of the grid's G tokens keep what is given.

        `need` (B,) is the next step at which something has to be written, NEVER for none. No place and no bar line
        goes beyond it, and before it places are only where something is free.
        """
        xp, slot = namespace(state), state[:, Field.SLOT]
        leave = need >= state[:, Field.NEXT]
        end = (need >= len(self.open) - 1) | (slot == Slot.END)  # what sounds at the end of a piece ends there
        following = xp.clip(state[:, Field.BAR] + 1, 0, len(self.metres) - 1)
        wanted = xp.take(like(self.metres, state), following)
        as_wanted = (wanted == 0) | (wanted == state[:, Field.METRE])
        rows, first = state.shape[0], self.grid.first
        metres = numbers(len(self.grid.signatures), state) + first["TimeSignature"]
        return xp.concat(
            [
                xp.zeros_like(end)[:, None],  # BOS
                end[:, None],
                leave[:, None] & ((wanted == 0)[:, None] | (metres == wanted[:, None])),
                xp.broadcast_to(xp.ones_like(end)[:, None], (rows, first["Upbeat"] - first["Key"])),
                xp.broadcast_to(self._upbeats(state), (rows, self.grid.longest)),
                (leave & as_wanted)[:, None] & self._announced(state),
                self._positions(state, need),
            ],
            axis=1,
        )

    def _upbeats(self, state: Array) -> Array:
        steps = numbers(self.grid.longest, state)
        return (steps == self.upbeat) | (self.upbeat < 0 * steps)

    def _announced(self, state: Array) -> Array:
        """(B, COUNTDOWN + 1) an end is not announced before what is given is over."""
        left = numbers(COUNTDOWN + 1, state)
        return (left == 0) | (state[:, Field.BAR][:, None] + left >= self.last)

    def _positions(self, state: Array, need: Array) -> Array:
        xp = namespace(state)
        steps = state[:, Field.ORIGIN][:, None] + numbers(self.grid.longest, state)
        open_ = xp.take(like(self.open, state), xp.reshape(xp.clip(steps, 0, len(self.open) - 1), (-1,)))
        return (steps == need[:, None]) | ((steps < need[:, None]) & xp.reshape(open_, steps.shape))


def given_bars(grid: Grid, found: Measures, cover: NDArray[np.bool_]) -> GivenBars:
    """The bars of a score where `cover` (parts, steps + 1) says what is given of it."""
    given = np.flatnonzero(cover.any(axis=0))
    bars = int(np.searchsorted(found.starts[:-1], given[-1], side="right")) if len(given) else 0
    return GivenBars(
        grid=grid,
        metres=np.append(found.metres[:bars], 0),
        upbeat=found.upbeat if bars else -1,
        last=bars - 1,
        open=np.any(~cover, axis=0, keepdims=True)[0],
    )


def here(state: Array, length: int, further: int = 0) -> Array:
    """(B,) the step that was reached, or one so much further, as a place in a table of so many steps."""
    return namespace(state).clip(reached(state) + further, 0, length - 1)
