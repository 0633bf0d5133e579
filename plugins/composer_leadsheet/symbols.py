"""The tokens of chord symbols: a root, a quality and perhaps a bass.

Roots are written as they would be in C. A quality without a token becomes the one with the most equal tones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from composer.music.chords import (
    Chord,
    compute_intervals,
    find_class,
    find_nearest_quality,
    find_rough_chord,
    spell_chord,
)
from composer.music.keys import Key
from composer.music.score import ChordSymbol, Score
from composer.tokens.vocabulary import MAJOR

QUALITIES = (
    *("", "7", "m", "m7", "dim", "maj7", "9", "6", "m6", "aug"),
    *("dim7", "aug7", "m7b5", "7b9", "7b5", "7sus4", "m9", "13", "mM7", "sus4"),
)
"""The qualities of 99.7 in 100 symbols of old songs, the most frequent first."""

ROOTS = 13
"""None, and twelve semitones."""

BASS = 11
"""Semitones from a root to any other bass."""

SILENT = -1
"""A chord tone that there is not."""

_PLACES = ((4, 3, 5, 2), (7, 6, 8), (10, 11, 9))
"""Semitones that count as the third, the fifth and the seventh, the first ones of these first."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Symbols:
    """Tokens of chord symbols, from the token `first` on."""

    first: int
    qualities: tuple[str, ...]

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens: no chord, roots, qualities, and basses in semitones above the root."""
        roots = ("None", *map(str, range(ROOTS - 1)))
        return (
            *(f"Root_{root}" for root in roots),
            *(f"Quality_{quality or MAJOR}" for quality in self.qualities),
            *(f"Bass_{semitones}" for semitones in range(1, BASS + 1)),
        )

    @property
    def first_quality(self) -> int:
        """The token of the first quality."""
        return self.first + ROOTS

    @property
    def first_bass(self) -> int:
        """The token of a bass a semitone above the root."""
        return self.first_quality + len(self.qualities)

    @property
    def end(self) -> int:
        """The token after the last."""
        return self.first_bass + BASS

    @cached_property
    def tones(self) -> Ints:
        """(qualities + 1, 4) semitones of root, third, fifth and seventh above the root; the first row is of none.

        A fourth or a second stands for a third that there is not, and a sixth for a seventh.
        """
        rows = [[SILENT] * 4]
        for quality in self.qualities:
            chord = Chord("C", quality)
            tones = compute_intervals(chord.base, chord.degrees)
            rows.append([0, *(next((each for each in those if each in tones), SILENT) for those in _PLACES)])
        return np.array(rows, dtype=np.int64)

    # --- encoding

    @cached_property
    def _nearest(self) -> dict[str, int]:
        """The token of each quality that was asked for."""
        return {}

    def encode_chord(self, chord: Chord, shift: int) -> tuple[int, int, int]:
        """Encode a chord of music that sounds `shift` semitones above what is written; -1 for no token."""
        if not chord.root:
            return self.first, -1, -1
        if chord.quality not in self._nearest:
            nearest = find_nearest_quality(chord.quality, self.qualities)
            self._nearest[chord.quality] = self.first_quality + self.qualities.index(nearest)
        root = find_class(chord.root)
        bass = (find_class(chord.bass) - root) % 12 if chord.bass else 0
        return (
            self.first + 1 + (root - shift) % 12,
            self._nearest[chord.quality],
            self.first_bass + bass - 1 if bass else -1,
        )

    def encode_score(self, score: Score, shift: int, step_ticks: int) -> tuple[Ints, Ints]:
        """Encode the symbols of a score: (N,) steps, rising, and (N, 3) tokens; of several at a step the last counts.

        Of a symbol that names no known chord, root and third count; a text without a root is left out.
        """
        found: dict[int, tuple[int, int, int]] = {}
        for symbol in score.chords:
            if (chord := find_rough_chord(symbol.text)) is not None:
                found[max((symbol.tick + step_ticks // 2) // step_ticks, 0)] = self.encode_chord(chord, shift)
        steps = np.array(sorted(found), dtype=np.int64)
        return steps, np.array([found[step] for step in steps.tolist()], dtype=np.int64).reshape(-1, 3)

    # --- decoding

    def decode(self, pairs: Iterable[tuple[int, int]], key: Key, step_ticks: int) -> tuple[ChordSymbol, ...]:
        """Decode (step, token) in order, other tokens left out; an incomplete symbol at the end is dropped."""
        found: list[ChordSymbol] = []
        root = tick = 0
        for step, token in pairs:
            if self.first <= token < self.first_quality:
                root, tick = token - self.first - 1, step * step_ticks
                if root < 0:
                    found.append(ChordSymbol(tick, str(Chord(""))))
            elif self.first_quality <= token < self.first_bass:
                sounding = (root + key.tonic) % 12
                quality = self.qualities[token - self.first_quality]
                found.append(ChordSymbol(tick, str(spell_chord(sounding, quality, sounding, key))))
            elif self.first_bass <= token < self.end and found and found[-1].chord is not None:
                sounding, above = (root + key.tonic) % 12, token - self.first_bass + 1
                chord = spell_chord(sounding, found[-1].chord.quality, (sounding + above) % 12, key)
                found[-1] = ChordSymbol(tick, str(chord))
        return tuple(found)
