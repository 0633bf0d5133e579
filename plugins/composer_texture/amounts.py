"""The constraints `polyphony` and `density`, on numbers of notes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from composer.arrays import convert_like, get_namespace
from composer.errors import RequestWarning
from composer.music.notes import mask_onsets
from composer.types import Array, Context, TokenInfo

MOST_POLYPHONY = 32
MOST_DENSITY = 256


@dataclass(frozen=True)
class Polyphony:
    """Let at most so many notes sound at once; drums are not counted.

    A note may begin if, with it, at most `polyphony` notes sound. The same applies to tokens that sustain a note.
    """

    polyphony: Annotated[int, "how many notes may sound at once", "3"]

    def __post_init__(self) -> None:
        """Refuse a number out of range."""
        if not 1 <= self.polyphony <= MOST_POLYPHONY:
            raise ValueError(f"polyphony must be from 1 to {MOST_POLYPHONY}")

    def mask(self, context: Context) -> Array:
        """Mask pitches while as many notes sound as may."""
        _warn_of_voices(f"polyphony '{self.polyphony}'", self.polyphony, "at once", context.token_info)
        room = context.music.others < self.polyphony
        return convert_like(context.token_info.pitch < 0, room)[None, :] | room[:, None]


@lru_cache(maxsize=64)
def _warn_of_voices(name: str, notes: int, when: str, token_info: TokenInfo) -> None:
    """Warn, once, if the model has more sustaining voices than notes are allowed."""
    if token_info.has_voices and notes < len(token_info.voices):
        text = f"{name} is less than the {len(token_info.voices)} voices of this model: not all have a note {when}."
        warnings.warn(text, RequestWarning, stacklevel=2)


@dataclass(frozen=True)
class Density:
    """Begin at most so many notes in a bar or a beat; drums are not counted.

    A note may begin if, with it, its bar (or beat) has at most `density` onsets, of all voices together. A full bar (or
    beat) leads on to the next.
    """

    density: Annotated[int, "how many notes may begin", "8"]
    per: Annotated[str, "bar or beat"] = "bar"

    def __post_init__(self) -> None:
        """Refuse an invalid density."""
        if not 1 <= self.density <= MOST_DENSITY:
            raise ValueError(f"density must be from 1 to {MOST_DENSITY}")
        if self.per not in ("bar", "beat"):
            raise ValueError("per must be bar or beat")

    @property
    def lookback(self) -> int:
        """The number of onsets in a bar or beat at most."""
        return self.density

    def mask(self, context: Context) -> Array:
        """Mask onsets, and positions, in a full bar or beat."""
        xp, music = get_namespace(context.allowed), context.music
        _warn_of_voices(f"density '{self.density}'", self.density, f"in a {self.per}", context.token_info)
        length = music.bar_ticks if self.per == "bar" else music.beat_ticks
        length = xp.where(length > 0, length, 1)
        begin = music.position - music.position % length  # of the bar or beat, in ticks of the bar
        since = music.tick - music.position + begin
        onsets = context.recent_notes.tick
        full = xp.sum(xp.where((onsets >= since[:, None]) & (onsets >= 0), 1, 0), axis=1) >= self.density
        place = convert_like(context.token_info.position, since)[None, :]
        stays = (place >= 0) & (place < (begin + length)[:, None])
        return ~full[:, None] | ~(mask_onsets(context) | stays)
