"""The constraint `pitch-range`: no note outside a range."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from composer import hookimpl
from composer.arrays import like
from composer.keys import parse_pitch
from composer.types import Array, Context


@dataclass(frozen=True)
class PitchRange:
    """Write no note below or above these pitches."""

    range: Annotated[str, "lowest:highest, as in C3:G5 or 48:79"]

    def __post_init__(self) -> None:
        """Refuse what is no range."""
        low, high = self.bounds
        if low > high:
            raise ValueError(f"the range {self.range} is upside down")

    @property
    def bounds(self) -> tuple[int, int]:
        """The lowest and the highest MIDI pitch."""
        low, colon, high = self.range.partition(":")
        if not colon:
            raise ValueError(f"'{self.range}' is not a range such as C3:G5")
        return parse_pitch(low), parse_pitch(high)

    def mask(self, context: Context) -> Array:
        """True for tokens without a pitch, or with one p for which lowest <= p <= highest."""
        low, high = self.bounds
        written = like(context.meaning.pitch, context.allowed)[None, :]
        pitch = written + context.facts.shift[:, None]
        return (written < 0) | ((pitch >= low) & (pitch <= high))


@hookimpl
def register_samplers() -> dict[str, Callable[..., Any]]:
    """Offer `pitch-range`."""
    return {"pitch-range": PitchRange}
