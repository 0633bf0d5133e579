"""The constraint `chords`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from composer.arrays import convert_like, get_namespace, make_parameter
from composer.music.chords import NO_CHORD, Chord, Progression, estimate_key, find_keys, parse_progression
from composer.music.score import ChordSymbol, KeySignature, Score, TimeSignature, compute_bars
from composer.tokens.vocabulary import mask_sustained
from composer.types import Array, Context, Internal
from composer_harmony.given_symbols import find_start, find_symbols
from composer_harmony.lead_sheets import NONE, choose_chords
from composer_harmony.scale import mask_classes, restrict_keys

ALL_CLASSES = frozenset(range(12))
"""What sounds where no chord is asked for."""

EDITION = 2
"""The meaning of new requests."""


@dataclass(frozen=True)
class Chords:
    """Keep to chords: an onset on a beat is a tone of its chord, between beats of any; other notes and drums are free.

    The n-th bar of the progression applies to the n-th whole bar of a piece. A pickup takes the last bar, after which
    the progression begins again. Chords share their bar equally: of k chords in a bar of length L, the chord at t after
    the bar line is number floor(t k / L). It begins on a beat, or on a part of one where a bar has more chords than
    beats. An onset on a beat, or where a chord begins, is a tone of that chord, in any octave and voice. An onset
    between two beats is a tone of any chord of the progression. A note sustained into another chord is free, and so are
    all where there is no chord (`N.C.`). If the model writes keys and none was requested, the key is the one that the
    chords are most likely in. The chords are written as symbols onto the piece.

    A model that writes chord symbols itself is given these chords as its own instead: it writes them where they begin,
    and the notes are free. A quality that it does not have becomes the nearest.

    In edition 1, which older requests mean, nothing is written, onsets are bound on beats alone, and all keys with the
    most tones of the chords are allowed.

    Unasked, the chords are the symbols of the music that is given (see `choose_chords`); these stay as they are.
    """

    chords: Annotated[str, 'bars of chords: "Dm7 G7 | Cmaj7 | Am7 D7 | Gmaj7"', "Dm7 G7 | Cmaj7"]
    edition: Annotated[int, "1: as it was before chords were written onto pieces", Internal()] = 1
    yields: Annotated[bool, "give way where nothing else could be written", Internal()] = False

    choose_options = staticmethod(choose_chords)

    @property
    def stated(self) -> Mapping[str, Any]:
        """The edition of new requests."""
        return {"edition": EDITION}

    def __post_init__(self) -> None:
        """Refuse an invalid progression, and an unknown edition."""
        self.bars  # noqa: B018  (for its ValueError)
        if not 1 <= self.edition <= EDITION:
            raise ValueError(f"there is no edition {self.edition}; it is from 1 to {EDITION}")

    @cached_property
    def bars(self) -> Progression:
        """The chords of each bar; of `none` no chord."""
        return parse_progression(NO_CHORD if self.chords.strip() == NONE else self.chords)

    @cached_property
    def _tables(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
        """(bars,) the first chord and the number of chords of each bar; (chords + 1, 12) all tones, and each's.

        The last array (chords + 1,) is true for `N.C.`
        """
        counts = np.array([len(bar) for bar in self.bars])
        chords = [chord.tones for bar in self.bars for chord in bar]
        every = frozenset().union(*chords)
        tones = [np.isin(np.arange(12), sorted(chord or ALL_CLASSES)) for chord in [every, *chords]]
        return np.cumsum(counts) - counts + 1, counts, np.array(tones), np.array([False, *(not one for one in chords)])

    @cached_property
    def _keys(self) -> frozenset[int]:
        key = estimate_key(self.bars) if self.edition > 1 else None
        return frozenset(each.index for each in (find_keys(self.bars) if key is None else [key]))

    def mask(self, context: Context) -> Array:
        """Mask notes outside the progression, or symbols, of a model that writes them. Other tokens are free."""
        if context.token_info.has_chords:
            return restrict_keys(context, find_symbols(self.bars, context.token_info).mask(context), self._keys)
        xp, music = get_namespace(context.allowed), context.music
        first, counts, tones, silent = (convert_like(table, music.bar) for table in self._tables)
        bar = (music.bar - xp.where(music.upbeat > 0, 1, 0)) % make_parameter(len(self.bars), music.bar)
        length = xp.where(music.bar_ticks > 0, music.bar_ticks, 1)
        count = xp.take(counts, bar)
        number = xp.clip(music.position * count // length, 0, count - 1)
        chord = xp.take(first, bar) + number
        beat = xp.where(music.beat_ticks > 0, music.beat_ticks, 1)
        between = (music.position % beat != 0) & ~xp.take(silent, chord)
        if self.edition > 1:
            between = between & (music.position != find_start(number, count, length, beat))
        admitted = xp.take(tones, xp.where(between, 0, chord), axis=0)
        return restrict_keys(context, mask_classes(context, admitted) | mask_sustained(context), self._keys)

    def annotate(self, score: Score) -> Score:
        """Write the chords onto a score, at the beginning of the progression and wherever they change."""
        if self.edition == 1:
            return score
        found = compute_bars(score, score.length)
        symbols: list[ChordSymbol] = []
        has_pickup = len(found.nominal) > 0 and bool(found.nominal[0] < found.starts[0])
        for place, (tick, metre) in enumerate(zip(found.nominal.tolist(), found.signatures, strict=True)):
            number = (place - has_pickup) % len(self.bars)
            if place or not has_pickup:
                symbols += _place_symbols(tick, metre, self.bars[number], None if number == 0 else symbols[-1].text)
        return replace(score, chords=tuple(symbols), key_signatures=self._spell_keys(score.key_signatures))

    def _spell_keys(self, signatures: tuple[KeySignature, ...]) -> tuple[KeySignature, ...]:
        """Spell the key of the chords as they are spelled."""
        key = estimate_key(self.bars)
        return tuple(
            replace(one, key=key) if key == one.key and one.key.signature is None else one for one in signatures
        )


def _place_symbols(tick: int, metre: TimeSignature, bar: Sequence[Chord], before: str | None) -> Iterator[ChordSymbol]:
    """Yield the symbols of a bar that begins at `tick`, without those that repeat the one before."""
    count, length, beat = (np.array([value]) for value in (len(bar), metre.bar_ticks, metre.beat_ticks))
    for number, chord in enumerate(bar):
        if str(chord) != before:
            yield ChordSymbol(tick + int(find_start(np.array([number]), count, length, beat)[0]), str(chord))
        before = str(chord)
