"""Steps before leaps: a sampler for composer."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from composer import hookimpl
from composer.arrays import get_namespace
from composer.tokens.vocabulary import compute_pitches
from composer.types import Array, Context, Offers

COMPOSER_API = 1


@dataclass(frozen=True)
class MyThing:
    """Make a pitch less likely, the farther it is from the one before."""

    amount: Annotated[float, "taken from the logit for each semitone"] = 0.1
    lookback: ClassVar[int] = 1  # number of recent notes in the context

    def __post_init__(self) -> None:
        """Refuse impossible values; the sentence is shown to the user."""
        if self.amount < 0:
            raise ValueError("amount must not be below 0")

    def __call__(self, logits: Array, context: Context) -> Array:
        """Compute logits (B, V), reduced for each leap; -1 stands for no pitch."""
        xp, pitch = get_namespace(logits), compute_pitches(context.token_info, context.music)
        last = context.recent_notes.pitch[:, -1:]  # there are more, if another sampler asks for more
        leap = xp.where((pitch >= 0) & (last >= 0), xp.abs(pitch - last), 0)
        return logits - self.amount * leap


@hookimpl
def register_samplers() -> Offers:
    """Offer it; its options become `--my-thing` and, if it had more, `--my-thing-NAME`."""
    return {"my-thing": MyThing}
