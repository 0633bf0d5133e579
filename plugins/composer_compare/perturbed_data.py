"""The same music with a difference: less of it to learn from, wrong notes in it, or other keys; it trains nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.data.corpus import Corpus, build
from composer.data.splits import SPLITS
from composer.music.score import TICKS_PER_QUARTER, KeySignature, Notes, Score
from composer.types import Tokenizer

EIGHTH = TICKS_PER_QUARTER // 2
FARTHEST = 2
"""Semitones that a wrong pitch is off at most."""


@dataclass(frozen=True, eq=False)
class Part(Corpus):
    """A corpus of which only a share of the training pieces is learnt from: a larger share holds the smaller ones."""

    share: float = 1.0
    seed: int = 0

    def split(self, name: str) -> NDArray[np.int64]:
        """The numbers of the pieces of one split."""
        found = super().split(name)
        if name != "train":
            return found
        count = max(round(self.share * len(found)), 1)
        return np.sort(np.random.default_rng((self.seed, 2)).permutation(found)[:count])


_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Altered:
    """The pieces of a corpus as a dataset, on the sides where they were, some of them altered.

    In the training pieces a share `noise` of the notes have a wrong pitch, and as many are cut to half their length;
    test pieces are moved by `shift` semitones.
    """

    corpus: str  # its folder
    tokenizing: Tokenizer
    noise: float = 0.0
    seed: int = 0
    shift: int = 0

    title = "Altered music"
    licence = source = citation = "as the music that it was made from"
    tokenizer = ""
    tokenizer_options = training_options = suggested = _NOTHING

    @cached_property
    def _before(self) -> Corpus:
        return Corpus(Path(self.corpus))

    @cached_property
    def _sides(self) -> Mapping[int, str]:
        return {int(number): side for side in SPLITS for number in self._before.split(side)}

    def sources(self) -> Sequence[str]:
        """The numbers of the pieces."""
        return [str(number) for number in range(len(self._before.names))]

    def fingerprint(self, source: str) -> str:
        """Nothing: the folder of a corpus is named after its content."""
        return ""

    def side(self, source: str) -> str:
        """Where the piece was."""
        return self._sides[int(source)]

    def read(self, source: str) -> Iterator[tuple[str, Score | Exception]]:
        """The piece, altered if it is on that side."""
        number, side = int(source), self.side(source)
        score = self.tokenizing.decode(self._before.piece(number))
        if side == "train" and self.noise:
            score = with_wrong_notes(score, self.noise, np.random.default_rng((self.seed, number, 3)))
        elif side == "test" and self.shift:
            score = moved(score, self.shift)
        yield source, score


def altered(
    corpus: Corpus, tokenizer: Tokenizer, place: Path, *, noise: float = 0.0, seed: int = 0, shift: int = 0
) -> Corpus:
    """The corpus altered, built under `place`. Pieces that the tokenizer cannot express any more are left out."""
    return build(Altered(str(corpus.folder), tokenizer, noise, seed, shift), tokenizer, name="altered", cache=place)


def with_wrong_notes(score: Score, share: float, rng: np.random.Generator) -> Score:
    """A share of the notes a semitone or two off, and of those of whole quarters as many cut to half their length."""

    def wrong(notes: Notes) -> Notes:
        notes = notes.copy()
        off = rng.integers(1, FARTHEST + 1, len(notes)) * rng.choice([-1, 1], len(notes))
        notes["pitch"] = np.where(rng.random(len(notes)) < share, np.clip(notes["pitch"] + off, 0, 127), notes["pitch"])
        cut = (rng.random(len(notes)) < share) & (notes["duration"] % (2 * EIGHTH) == 0)
        notes["duration"] = np.where(cut, notes["duration"] // 2, notes["duration"])
        return notes[np.lexsort((notes["pitch"], notes["start"]))]

    return _each_track(score, wrong)


def moved(score: Score, semitones: int) -> Score:
    """The score in another key; drums stay."""

    def shifted(notes: Notes) -> Notes:
        notes = notes.copy()
        notes["pitch"] = np.clip(notes["pitch"] + semitones, 0, 127)
        return notes

    keys = tuple(KeySignature(sign.tick, sign.key.transposed(semitones)) for sign in score.key_signatures)
    return replace(_each_track(score, shifted), key_signatures=keys)


def _each_track(score: Score, change: Callable[[Notes], Notes]) -> Score:
    tracks = (track if track.is_drum else replace(track, notes=change(track.notes)) for track in score.tracks)
    return replace(score, tracks=tuple(tracks))
