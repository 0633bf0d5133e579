"""All twelve: a sampler that prefers the pitch classes that were seldom heard."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from composer import hookimpl
from composer.tokens.vocabulary import compute_pitches
from composer.types import Array, Context, Drawn, Offers, TokenInfo

COMPOSER_API = 1


@dataclass(frozen=True)
class MyThing:
    """Make a pitch class less likely, the more often it was heard lately."""

    amount: Annotated[float, "taken from the logit for each time"] = 0.2
    fading: Annotated[float, "what is left of the count after each note"] = 0.95

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if self.amount < 0 or not 0 <= self.fading <= 1:
            raise ValueError("amount must not be below 0, and fading from 0 to 1")

    def begin_memory(self, token_info: TokenInfo) -> Array:
        """Make the counts (12,)."""
        return np.zeros(12)

    def __call__(self, logits: Array, context: Context) -> Array:
        """Compute logits (B, V), reduced by the counts."""
        pitch = compute_pitches(context.token_info, context.music)
        heard = np.take_along_axis(context.memory, pitch % 12, axis=1)
        return logits - self.amount * np.where(pitch >= 0, heard, 0)

    def update_memory(self, context: Context, drawn: Drawn) -> Array:
        """Compute the counts (B, 12) after a token."""
        rows = np.arange(len(drawn.token))
        pitch = compute_pitches(context.token_info, context.music)[rows, drawn.token]
        after = context.memory * self.fading + (pitch[:, None] % 12 == np.arange(12))
        return np.where(pitch[:, None] >= 0, after, context.memory)


@hookimpl
def register_samplers() -> Offers:
    """Offer it."""
    return {"my-thing": MyThing}
