"""The transform `instrument`: what plays the parts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, ClassVar

import numpy as np

from composer.errors import BadOption, CannotExpress
from composer.music.general_midi import find_program
from composer.music.parts import find_voice
from composer.music.score import Score

ALL = "all"


@dataclass(frozen=True)
class Instrument:
    """Play all parts on an instrument, or each on its own.

    An instrument is a name or number of General MIDI, such as `strings`, `organ`, `flute` or 73, from 0. Parts are
    named, or numbered from 1; `all` stands for those that are not. Drums stay drums.
    """

    flag: ClassVar[str] = "strings"
    keeps_notes: ClassVar[bool] = True
    idempotent: ClassVar[bool] = True

    played: Annotated[str, "what plays: strings, organ, 73, or by part: soprano=flute,bass=cello", "strings"]

    def __post_init__(self) -> None:
        """Refuse an unknown instrument, with the nearest one."""
        _ = self.programs

    @cached_property
    def programs(self) -> dict[str, int]:
        """The program of each part that is named, in small letters."""
        found: dict[str, int] = {}
        for each in self.played.split(","):
            part, equals, name = each.rpartition("=")
            part = part.strip().lower() if equals else ALL
            if part in found:
                raise ValueError(f"'{self.played}' names two instruments of {part}")
            found[part] = find_program(name)
        return found

    def __call__(self, score: Score, rng: np.random.Generator) -> Score:
        """Change the programs of a score. Raises CannotExpress for a part that is missing, and for drums."""
        everywhere = self.programs.get(ALL)
        chosen = {n: everywhere for n, track in enumerate(score.tracks) if not track.is_drum and everywhere is not None}
        for part, program in self.programs.items():
            if part != ALL:
                chosen[_find_part(score, part)] = program
        tracks = (replace(one, program=chosen.get(n, one.program)) for n, one in enumerate(score.tracks))
        return replace(score, tracks=tuple(tracks))


def _find_part(score: Score, name: str) -> int:
    try:
        number = find_voice(score, name)
    except BadOption as error:
        raise CannotExpress(str(error)) from None
    if score.tracks[number].is_drum:
        raise CannotExpress(f"the part '{name}' is one of drums, which have no other instrument.")
    return number
