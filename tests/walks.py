"""Small pieces by seeded random walks, all distinct, as a dataset that other processes can unpickle."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from composer.music.keys import parse_key
from composer.music.score import KeySignature, Score, TimeSignature, Track, make_notes

QUARTER = 480
SCALE = (0, 2, 4, 5, 7, 9, 11)
VOICES: Mapping[str, Any] = {
    "steps_per_quarter": 2,
    "lowest": 36,
    "highest": 88,
    "time_signatures": ("3/4", "4/4"),
}
"""Options of the tokenizer `voices` that make a small vocabulary."""


@dataclass(frozen=True)
class Walks:
    """Pieces of two to four voices in C major, of two to five bars."""

    count: int = 24
    seed: int = 1
    moved: tuple[int, ...] = ()  # numbers of pieces that are a tone higher

    title = "Random walks"
    licence = "CC0-1.0"
    source = "made by a test"
    citation = "none"
    tokenizer = "voices"
    tokenizer_options = VOICES
    training_options: ClassVar[Mapping[str, Any]] = {}
    suggested: ClassVar[Mapping[str, Any]] = {"tempo": 96.0}

    def list_sources(self):
        return [f"walk {number}" for number in range(self.count)]

    def fingerprint(self, source):
        return "never changes"

    def read(self, source):
        number = int(source.split()[1])
        yield source, walk(number, self.seed, shift=2 * (number in self.moved))


def walk(number, seed=1, shift=0):
    """One piece; another number or seed, another piece."""
    rng = np.random.default_rng((seed, number))
    beats = int(rng.integers(3, 5))
    bars, voices = int(rng.integers(2, 6)), int(rng.integers(2, 5))
    tracks = tuple(_voice(rng, bars * beats, octave=6 - voice, shift=shift) for voice in range(voices))
    return Score(
        tracks, time_signatures=(TimeSignature(0, beats, 4),), key_signatures=(KeySignature(0, parse_key("C")),)
    )


def _voice(rng, quarters, *, octave, shift):
    """Quarters and pairs of eighths, a step up or down at a time, the last one long enough."""
    lengths = [length for pair in rng.integers(0, 3, quarters) for length in ([240, 240] if pair == 0 else [480])]
    degrees = np.clip(3 + np.cumsum(rng.integers(-1, 2, len(lengths))), 0, 6)
    starts = np.cumsum([0, *lengths[:-1]])
    pitches = [12 * octave + SCALE[degree] + shift for degree in degrees]
    return Track(make_notes((int(s), n, p, 80) for s, n, p in zip(starts, lengths, pitches, strict=True)))
