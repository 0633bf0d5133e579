"""The nine classes of drums, and the class of each sound of a General MIDI kit.

The classes, and the sounds of Roland's electronic kits in them, are those of Gillick et al., Learning to Groove with
Inverse Sequence Transformations, 2019. The other sounds of General MIDI are put to the class that they are nearest to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class DrumClass:
    """A class of drums: the sound that is written for it, and all sounds that are read as it."""

    name: str
    sound: int
    others: tuple[int, ...]


KIT = (
    DrumClass("bass drum", 36, (35,)),
    DrumClass("snare drum", 38, (37, 39, 40, 27, 28, 31, 32, 33, 34, 56, 65, 66, 75, 85)),
    DrumClass("closed hi-hat", 42, (22, 44, 54, 68, 69, 70, 71, 73, 78, 80)),
    DrumClass("open hi-hat", 46, (26, 67, 72, 74, 79, 81)),
    DrumClass("low tom", 43, (58, 29, 41, 61, 64, 84)),
    DrumClass("middle tom", 47, (45, 60, 63, 77, 86, 87)),
    DrumClass("high tom", 50, (48, 30, 62, 76, 83)),
    DrumClass("crash cymbal", 49, (52, 55, 57)),
    DrumClass("ride cymbal", 51, (53, 59, 82)),
)
"""The classes in the order of their tokens."""


def _number_classes() -> NDArray[np.int64]:
    classes = np.full(128, -1)
    for number, drum in enumerate(KIT):
        classes[[drum.sound, *drum.others]] = number
    return classes


CLASS_OF_SOUND = _number_classes()
"""(128,) the class of each sound, -1 for none: such a sound is dropped."""

SOUNDS = np.array([drum.sound for drum in KIT])
"""(9,) the sound that is written for each class."""
