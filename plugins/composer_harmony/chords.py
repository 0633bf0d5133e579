"""The constraint `chords`, and names of chords."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from composer.arrays import convert_like, get_namespace, make_parameter
from composer.errors import printable
from composer.music.keys import ALL_KEYS
from composer.tokens.vocabulary import mask_sustained
from composer.types import Array, Context
from composer_harmony.scale import SCALES, mask_classes, parse_pitch_class, restrict_keys

QUALITIES = {
    **dict.fromkeys(["", "maj", "M"], (0, 4, 7)),
    **dict.fromkeys(["m", "min", "-"], (0, 3, 7)),
    **dict.fromkeys(["dim", "o", "°"], (0, 3, 6)),
    **dict.fromkeys(["aug", "+"], (0, 4, 8)),
    **dict.fromkeys(["sus", "sus4"], (0, 5, 7)),
    "sus2": (0, 2, 7),
    "5": (0, 7),
    "6": (0, 4, 7, 9),
    **dict.fromkeys(["m6", "min6", "-6"], (0, 3, 7, 9)),
    "7": (0, 4, 7, 10),
    **dict.fromkeys(["maj7", "M7", "Δ", "Δ7", "ma7"], (0, 4, 7, 11)),
    **dict.fromkeys(["m7", "min7", "-7"], (0, 3, 7, 10)),
    **dict.fromkeys(["mM7", "mmaj7", "m(maj7)", "minmaj7"], (0, 3, 7, 11)),
    **dict.fromkeys(["dim7", "o7", "°7"], (0, 3, 6, 9)),
    **dict.fromkeys(["m7b5", "min7b5", "-7b5", "ø", "ø7"], (0, 3, 6, 10)),
    **dict.fromkeys(["aug7", "+7", "7#5"], (0, 4, 8, 10)),
    "7b5": (0, 4, 6, 10),
    **dict.fromkeys(["7sus4", "7sus"], (0, 5, 7, 10)),
    "add9": (0, 2, 4, 7),
    **dict.fromkeys(["madd9", "m(add9)"], (0, 2, 3, 7)),
    "69": (0, 2, 4, 7, 9),
    "9": (0, 2, 4, 7, 10),
    "7b9": (0, 1, 4, 7, 10),
    "7#9": (0, 3, 4, 7, 10),
    **dict.fromkeys(["maj9", "M9"], (0, 2, 4, 7, 11)),
    **dict.fromkeys(["m9", "min9", "-9"], (0, 2, 3, 7, 10)),
    "11": (0, 2, 4, 5, 7, 10),
    **dict.fromkeys(["m11", "min11", "-11"], (0, 2, 3, 5, 7, 10)),
    "13": (0, 2, 4, 7, 9, 10),
}
"""Semitones above the root."""

_NAME = re.compile(r"^([A-G])(#|b)?([^/]*)(?:/([A-G])(#|b)?)?$")

Classes = frozenset[int]


def parse_chord(text: str) -> Classes:
    """Parse the pitch classes of `Am7b5` or `D/F#`, including the bass after the slash. Raises ValueError."""
    found = _NAME.match(text)
    if not found or found[3] not in QUALITIES:
        raise ValueError(f"'{printable(text)}' is not a chord such as C, Dm7, G7, Bdim or D/F#")
    root = parse_pitch_class(found[1], found[2])
    bass = {parse_pitch_class(found[4], found[5])} if found[4] else set()
    return frozenset({(root + above) % 12 for above in QUALITIES[found[3]]} | bass)


@dataclass(frozen=True)
class Chords:
    """Keep to chords: an onset on a beat is a tone of its chord, between beats of any; other notes and drums are free.

    The n-th bar of the progression applies to the n-th whole bar of a piece. A pickup takes the last bar, after which
    the progression begins again. Chords share their bar equally: of k chords in a bar of length L, the chord at t after
    the bar line is number floor(t k / L). An onset on a beat is a tone of that chord, in any octave and voice. An onset
    between two beats is a tone of any chord of the progression. A note sustained into another chord is free. If the
    model writes keys and none was requested, only keys with the most tones of the chords are allowed.
    """

    chords: Annotated[str, 'bars of chords: "Dm7 G7 | Cmaj7 | Am7 D7 | Gmaj7"', "Dm7 G7 | Cmaj7"]

    def __post_init__(self) -> None:
        """Refuse an invalid progression."""
        self.bars  # noqa: B018  (for its ValueError)

    @cached_property
    def bars(self) -> tuple[tuple[Classes, ...], ...]:
        """The pitch classes of the chords of each bar."""
        texts = self.chords.strip().strip("|").split("|")
        found = tuple(tuple(parse_chord(name) for name in text.split()) for text in texts)
        if not all(found):
            raise ValueError(f"a bar of '{printable(self.chords)}' has no chord")
        return found

    @cached_property
    def _tables(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """(bars,) the first chord and the number of chords of each bar; (chords + 1, 12) all tones, and each's."""
        counts = np.array([len(bar) for bar in self.bars])
        chords = [chord for bar in self.bars for chord in bar]
        tones = [np.isin(np.arange(12), sorted(chord)) for chord in [frozenset().union(*chords), *chords]]
        return np.cumsum(counts) - counts + 1, counts, np.array(tones)

    @cached_property
    def _keys(self) -> frozenset[int]:
        chords = [chord for bar in self.bars for chord in bar]
        scales = [
            {(key.tonic + degree) % 12 for degree in SCALES["natural minor" if key.minor else "major"]}
            for key in ALL_KEYS
        ]
        held = [sum(len(chord & scale) for chord in chords) for scale in scales]
        return frozenset(key.index for key, count in zip(ALL_KEYS, held, strict=True) if count == max(held))

    def mask(self, context: Context) -> Array:
        """Mask notes outside the progression. Tokens without a pitch are free."""
        xp, music = get_namespace(context.allowed), context.music
        first, counts, tones = (convert_like(table, music.bar) for table in self._tables)
        bar = (music.bar - xp.where(music.upbeat > 0, 1, 0)) % make_parameter(len(self.bars), music.bar)
        length = xp.where(music.bar_ticks > 0, music.bar_ticks, 1)
        count = xp.take(counts, bar)
        chord = xp.take(first, bar) + xp.clip(music.position * count // length, 0, count - 1)
        between = music.position % xp.where(music.beat_ticks > 0, music.beat_ticks, 1) != 0
        admitted = xp.take(tones, xp.where(between, 0, chord), axis=0)
        return restrict_keys(context, mask_classes(context, admitted) | mask_sustained(context), self._keys)
