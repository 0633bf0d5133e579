"""The constraint `chords`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from composer.arrays import convert_like, get_namespace
from composer.music.chords import Progression, find_keys, parse_progression
from composer.tokens.vocabulary import mask_sustained
from composer.types import Array, Context
from composer_harmony.scale import mask_classes, restrict_keys

ALL_CLASSES = frozenset(range(12))
"""What sounds where no chord is asked for."""


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
    def bars(self) -> Progression:
        """The chords of each bar."""
        return parse_progression(self.chords)

    @cached_property
    def _tables(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """(bars,) the first chord and the number of chords of each bar; (chords + 1, 12) their tones, and all."""
        counts = np.array([len(bar) for bar in self.bars])
        chords = [chord.tones or ALL_CLASSES for bar in self.bars for chord in bar]
        tones = [np.isin(np.arange(12), sorted(chord)) for chord in [*chords, frozenset().union(*chords)]]
        return np.cumsum(counts) - counts, counts, np.array(tones)

    @cached_property
    def _keys(self) -> frozenset[int]:
        return frozenset(key.index for key in find_keys(self.bars))

    def mask(self, context: Context) -> Array:
        """Mask notes outside the progression. Tokens without a pitch are free."""
        xp, music = get_namespace(context.allowed), context.music
        first, counts, tones = (convert_like(table, music.bar) for table in self._tables)
        bar = (music.bar - xp.where(music.upbeat > 0, 1, 0)) % len(self.bars)
        length = xp.where(music.bar_ticks > 0, music.bar_ticks, 1)
        count = xp.take(counts, bar)
        chord = xp.take(first, bar) + xp.clip(music.position * count // length, 0, count - 1)
        between = music.position % xp.where(music.beat_ticks > 0, music.beat_ticks, 1) != 0
        admitted = xp.take(tones, xp.where(between, tones.shape[0] - 1, chord), axis=0)
        return restrict_keys(context, mask_classes(context, admitted) | mask_sustained(context), self._keys)
