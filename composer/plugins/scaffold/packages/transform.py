"""Swung quavers: a transform for composer."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np

from composer import hookimpl
from composer.music.score import TICKS_PER_QUARTER, Notes, Score, make_notes
from composer.types import Offers

COMPOSER_API = 1


@dataclass(frozen=True)
class MyThing:
    """Delay the second of two quavers."""

    share: Annotated[float, "share of a beat that the first quaver takes, from 0.5"] = 0.62
    of_notes: ClassVar[bool] = True  # it changes notes alone, and so can change some of them

    def __post_init__(self) -> None:
        """Refuse impossible values; the sentence is shown to the user."""
        if not 0.5 <= self.share < 0.8:
            raise ValueError(f"share is {self.share}, and must be from 0.5 up to 0.8")

    def __call__(self, score: Score, rng: np.random.Generator) -> Score:
        """Swing a score. Any chance would come from `rng`."""
        return replace(score, tracks=tuple(replace(one, notes=self._swing(one.notes)) for one in score.tracks))

    def _swing(self, notes: Notes) -> Notes:
        half, late = TICKS_PER_QUARTER // 2, round((self.share - 0.5) * TICKS_PER_QUARTER)
        starts, ends = notes["start"], notes["start"] + notes["duration"]
        starts, ends = (ticks + late * (ticks % TICKS_PER_QUARTER == half) for ticks in (starts, ends))
        lengths = np.maximum(ends - starts, 1)
        return make_notes(zip(starts, lengths, notes["pitch"], notes["velocity"], strict=True))


@hookimpl
def register_transforms() -> Offers:
    """Offer it for `--transform my-thing:share=0.6`, and for the pieces of a training."""
    return {"my-thing": MyThing}
