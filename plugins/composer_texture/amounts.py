"""Constraints on how many notes there are: `polyphony` and `density`; they know no grammar."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from composer.arrays import like, namespace
from composer.errors import RequestWarning
from composer.music.notes import strikes
from composer.types import Array, Context, Meaning

MOST_POLYPHONY = 32
MOST_DENSITY = 256


@dataclass(frozen=True)
class Polyphony:
    """Let at most so many notes sound at once; drums are not counted.

    A note may be struck, or sound on where that is written, if with it at most `polyphony` notes sound at its start.
    """

    polyphony: Annotated[int, "how many notes may sound at once", "3"]

    def __post_init__(self) -> None:
        """Refuse what no tokenizer can tell."""
        if not 1 <= self.polyphony <= MOST_POLYPHONY:
            raise ValueError(f"polyphony must be from 1 to {MOST_POLYPHONY}")

    def mask(self, context: Context) -> Array:
        """True for tokens without a pitch, and for all while fewer notes than that sound beside."""
        _warn_of_voices(f"polyphony '{self.polyphony}'", self.polyphony, "at once", context.meaning)
        room = context.facts.others < self.polyphony
        return like(context.meaning.pitch < 0, room)[None, :] | room[:, None]


@lru_cache(maxsize=64)
def _warn_of_voices(name: str, notes: int, when: str, meaning: Meaning) -> None:
    """Warn, once, where there are more voices that hold and rest than there may be notes."""
    if "Hold" in meaning.kind and notes < len(meaning.voices):
        text = f"{name} is less than the {len(meaning.voices)} voices of this model: not all have a note {when}."
        warnings.warn(text, RequestWarning, stacklevel=2)


@dataclass(frozen=True)
class Density:
    """Strike at most so many notes in a bar or a beat; drums are not counted.

    A note may be struck if with it at most `density` notes, of all voices together, are struck from the beginning of
    its bar (or beat) to its end. Once there are as many, the piece goes on to the next bar (or beat).
    """

    density: Annotated[int, "how many notes may be struck", "8"]
    per: Annotated[str, "bar or beat"] = "bar"

    def __post_init__(self) -> None:
        """Refuse what is no density."""
        if not 1 <= self.density <= MOST_DENSITY:
            raise ValueError(f"density must be from 1 to {MOST_DENSITY}")
        if self.per not in ("bar", "beat"):
            raise ValueError("density is per bar or per beat")

    @property
    def lookback(self) -> int:
        """As many notes as may be struck."""
        return self.density

    def mask(self, context: Context) -> Array:
        """True for what strikes nothing and stays in no full bar or beat."""
        xp, facts = namespace(context.allowed), context.facts
        _warn_of_voices(f"density '{self.density}'", self.density, f"in a {self.per}", context.meaning)
        length = facts.bar_ticks if self.per == "bar" else facts.beat_ticks
        length = xp.where(length > 0, length, 1)
        begin = facts.place - facts.place % length  # of the bar or beat, in ticks of the bar
        since = facts.tick - facts.place + begin
        struck = context.struck.tick
        full = xp.sum(xp.where((struck >= since[:, None]) & (struck >= 0), 1, 0), axis=1) >= self.density
        place = like(context.meaning.place, since)[None, :]
        stays = (place >= 0) & (place < (begin + length)[:, None])
        return ~full[:, None] | ~(strikes(context) | stays)
