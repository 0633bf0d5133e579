"""Transforms of pitches and parts: `transpose`, `octave` and `drop-voice`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from composer.errors import BadOption, CannotExpress
from composer.music.parts import find_voice
from composer.music.score import Score, Track
from composer.music.transposing import find_room, transpose_score, transpose_track

OCTAVE = 12


@dataclass(frozen=True)
class Transpose:
    """Transpose a piece with its keys and chord symbols; drums stay.

    Exactly `semitones` up, or down if negative; CannotExpress where notes would leave the MIDI pitches 0 to 127.
    Without `semitones` they are drawn, each alike, from those within `reach` that all notes can move.
    """

    semitones: Annotated[int | None, "semitones up; none: drawn at random", "2"] = None
    reach: Annotated[int, "where they are drawn: most semitones up or down"] = 6

    def __post_init__(self) -> None:
        """Check the reach."""
        if not 0 <= self.reach <= 127:
            raise ValueError(f"'reach' is {self.reach}, and must be from 0 to 127 semitones")

    def __call__(self, score: Score, rng: np.random.Generator) -> Score:
        """Transpose a score. Raises CannotExpress."""
        if self.semitones is not None:
            return transpose_score(score, self.semitones)
        least, most = find_room(score.tracks)
        return transpose_score(score, int(rng.integers(max(least, -self.reach), min(most, self.reach) + 1)))

    def draw_semitones(
        self, down: NDArray[np.int64], up: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Draw the semitones (B,) of training pieces, from `-down` to `up`; none for one that cannot move so far."""
        if self.semitones is not None:
            return np.where((-down <= self.semitones) & (self.semitones <= up), self.semitones, 0)
        return rng.integers(-np.minimum(down, self.reach), np.minimum(up, self.reach) + 1)


@dataclass(frozen=True)
class Octave:
    """Move one part up or down by octaves.

    Without `voice` or `octaves` they are drawn: any part with pitches, one octave up or down if its notes can move so.
    """

    voice: Annotated[str, "name or number of the part; none: drawn at random", "1"] = ""
    octaves: Annotated[int | None, "octaves up; none: one, up or down at random", "1"] = None

    def __call__(self, score: Score, rng: np.random.Generator) -> Score:
        """Move a part of a score. Raises CannotExpress for a missing part, and beyond the pitches 0 to 127."""
        pitched = [n for n, track in enumerate(score.tracks) if len(track.notes) and not track.is_drum]
        chosen = [_find_part(score, self.voice)] if self.voice else pitched
        if not chosen:
            return score
        number = chosen[int(rng.integers(len(chosen)))]
        track = score.tracks[number]
        if track.is_drum:
            raise CannotExpress(f"the part '{self.voice}' is one of drums, which have no octaves.")
        return replace(score, tracks=(*score.tracks[:number], self._move_part(track, rng), *score.tracks[number + 1 :]))

    def _move_part(self, track: Track, rng: np.random.Generator) -> Track:
        if self.octaves is not None:
            return transpose_track(track, OCTAVE * self.octaves)
        least, most = find_room((track,))
        ways = [way for way in (-OCTAVE, OCTAVE) if least <= way <= most]
        return transpose_track(track, ways[int(rng.integers(len(ways)))]) if ways else track


@dataclass(frozen=True)
class DropVoice:
    """Leave out parts: those named, or `count` at random; one that sounds stays in any case."""

    voices: Annotated[tuple[str, ...], "names or numbers of parts; none: drawn at random"] = ()
    count: Annotated[int, "where they are drawn: how many"] = 1

    def __post_init__(self) -> None:
        """Check the count."""
        if self.count < 1:
            raise ValueError(f"'count' is {self.count}, and must be 1 or more")

    def __call__(self, score: Score, rng: np.random.Generator) -> Score:
        """Leave out parts of a score. Raises CannotExpress for a missing part, or if nothing would sound any more."""
        sounding = [number for number, track in enumerate(score.tracks) if len(track.notes)]
        if self.voices:
            dropped = {_find_part(score, name) for name in self.voices}
            if sounding and dropped >= set(sounding):
                raise CannotExpress("these are all the parts with notes; one must stay.")
        else:
            count = max(min(self.count, len(sounding) - 1), 0)
            dropped = set(rng.permutation(sounding)[:count].tolist())
        return replace(score, tracks=tuple(track for n, track in enumerate(score.tracks) if n not in dropped))


def _find_part(score: Score, name: str) -> int:
    try:
        return find_voice(score, name)
    except BadOption as error:
        raise CannotExpress(str(error)) from None
