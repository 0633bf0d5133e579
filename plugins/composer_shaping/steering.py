"""Logits processors with memory, which steer a piece towards a figure: `mirostat` and `notes-per-beat`.

Both are integral controllers. They add up how much too little or too much came so far, and push the other way. Tokens
without an alternative, such as a primer's, change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from composer.arrays import convert_like, get_namespace, stack_columns, take_columns
from composer.tokens.vocabulary import EOS, mask_onsets
from composer.types import Array, Context, Drawn, TokenInfo

OUT = -float("inf")
"""A token out of play."""


@dataclass(frozen=True)
class Mirostat:
    """Hold the mean surprise of tokens (Mirostat 2: Basu et al. 2021), by leaving out the more surprising ones.

    Surprise is minus the log of a probability. Tokens whose surprise exceeds a bound are out of play. The bound begins
    at twice the target, and after each draw moves by `eta` times the target less the surprise under the model.
    """

    tau: Annotated[float, "mean surprise of a token, in nats; no more than the model has by itself", "0.7"]
    eta: Annotated[float, "how fast the bound moves"] = 0.2

    def __post_init__(self) -> None:
        """Refuse a target or a speed out of range."""
        if not 0.01 <= self.tau <= 20:
            raise ValueError("tau must be from 0.01 to 20")
        if not 0.001 <= self.eta <= 1:
            raise ValueError("eta must be from 0.001 to 1")

    def begin_memory(self, token_info: TokenInfo) -> NDArray[np.float64]:
        """Return (1,) the bound."""
        return np.array([2 * self.tau])

    def __call__(self, logits: Array, context: Context) -> Array:
        """Return the logits with surprising tokens out of play; the likeliest ones stay."""
        xp = get_namespace(logits)
        top = xp.max(logits, axis=1, keepdims=True)
        mass = xp.cumulative_sum(xp.exp(logits - top), axis=1)[:, -1:]  # a sum whose order is that of one row
        surprise = top + xp.log(mass) - logits
        return xp.where((surprise <= convert_like(context.memory, logits)) | (logits == top), logits, OUT)

    def update_memory(self, context: Context, drawn: Drawn) -> Array:
        """Move the bound."""
        bound = context.memory[:, 0]
        moved = bound + self.eta * (self.tau + drawn.model)
        return get_namespace(bound).where(drawn.chosen, moved, bound)[:, None]


MOST_PULL = 4.0
"""The greatest change of a note's logit, in nats: notes that the model all but excludes are not forced."""


@dataclass(frozen=True)
class NotesPerBeat:
    """Steer towards a mean number of notes that begin in a beat, of all voices together; drums are not counted.

    A pull, in nats, is added to the logits of notes. Tokens that move on in time, to a position or to the next bar,
    lose the pull times the notes that are due in that time. The pull grows by `gain` for each beat whose notes are
    owed, and falls by as much for those of a beat too many.
    """

    notes: Annotated[float, "how many notes, such as 2.5", "2"]
    gain: Annotated[float, "how strongly it reacts, in nats for each beat of notes too few or too many"] = 0.5

    def __post_init__(self) -> None:
        """Refuse a number or a gain out of range."""
        if not 0 < self.notes <= 100:
            raise ValueError("notes must be above 0 and at most 100")
        if not 0.01 <= self.gain <= 10:
            raise ValueError("gain must be from 0.01 to 10")

    def begin_memory(self, token_info: TokenInfo) -> NDArray[np.float64]:
        """Return (3,) the pull, the tick of the last token, and the ticks before it that no new note has answered."""
        return np.zeros(3)

    def __call__(self, logits: Array, context: Context) -> Array:
        """Add the pull to notes, less what is due in the time that a token skips."""
        xp = get_namespace(logits)
        due = self.notes * _count_skipped_beats(context)
        notes = xp.astype(mask_onsets(context), xp.float64)
        return logits + convert_like(context.memory, logits)[:, :1] * (notes - due)

    def update_memory(self, context: Context, drawn: Drawn) -> Array:
        """Count the time that has passed, and the note drawn."""
        xp, music = get_namespace(context.memory), context.music
        pull, last, waiting = (context.memory[:, column] for column in range(3))
        waiting = xp.where(music.tick > last, music.tick - last, waiting)
        due = waiting / xp.where(music.beat_ticks > 0, music.beat_ticks, 1) * (music.beat_ticks > 0)
        struck = take_columns(mask_onsets(context), drawn.token[:, None])[:, 0]
        owed = due - xp.astype(struck, xp.float64) / self.notes
        pull = xp.where(drawn.chosen, xp.clip(pull + self.gain * owed, -MOST_PULL, MOST_PULL), pull)
        tick = xp.astype(music.tick, xp.float64)
        return stack_columns([pull, tick, xp.where(drawn.chosen, 0.0, waiting)])


def _count_skipped_beats(context: Context) -> Array:
    """Count (B, V) the beats that a token moves on: to its position; with a bar line or EOS, to the end of the bar."""
    xp, music, token_info = get_namespace(context.allowed), context.music, context.token_info
    place = convert_like(token_info.position, context.allowed)[None, :]
    ends = np.array(token_info.is_bar)
    ends[EOS] = True
    to = xp.where(convert_like(ends, context.allowed)[None, :], music.bar_ticks[:, None], place)
    skipped = xp.astype(xp.where(to > music.position[:, None], to - music.position[:, None], 0), xp.float64)
    return skipped / xp.where(music.beat_ticks > 0, music.beat_ticks, 1)[:, None]
