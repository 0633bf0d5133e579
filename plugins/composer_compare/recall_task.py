"""A copying task: a motif that returns after a gap, made to measure a network's memory.

A piece is a motif that returns again and again, after a gap of so many empty bars (a token each) and a cue. Only the
motif itself reveals the motif: a network that forgets predicts its return by chance, at ln 4 = 1.39 nats per note.
Pieces with short gaps contain many returns, so that learning starts at the first step. Gaps longer than those of
training show whether memory lasts. It is the copying task of Hochreiter and Schmidhuber (1997) and of Arjovsky, Shah
and Bengio (2016), in bars.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from composer.data.corpus import Corpus
from composer.data.splits import SPLITS
from composer.tokens.vocabulary import BOS, EOS
from composer.training.evaluation import compute_token_nats
from composer.types import Column, Tokenizer

if TYPE_CHECKING:
    from torch import nn

GAPS = (1, 2, 4, 8, 16, 32, 64)
"""Empty bars between the motif and its return, in training pieces."""

LONGER = (128,)
"""Gaps of test pieces alone."""

MOTIF, PITCHES = 2, 4

EMPTY, CUE, FIRST = 2, 3, 4
"""Tokens, after BOS and EOS."""

PIECES = {"train": 3000, "valid": 120, "test": 300}

TRAINING: Mapping[str, Any] = {
    "steps": 1500,
    "evaluations": 5,
    "patience": 5,
    "batch_size": 32,
    "chunk": 2 * MOTIF + GAPS[-1] + 2,  # so that a gradient reaches the motif
    "transpose": 0,
    "average": 0.98,
    "checkpoint_every": 60.0,
}


@dataclass(frozen=True)
class _Symbols:
    """The part of a tokenizer that the training loop uses: a vocabulary, and a grammar with one feature."""

    vocabulary: tuple[str, ...] = (
        "BOS_None",
        "EOS_None",
        "Bar_None",
        "Cue_None",
        *(f"Pitch_{p}" for p in range(PITCHES)),
    )

    @property
    def columns(self) -> tuple[Column, ...]:
        return (Column("token", len(self.vocabulary), tokens=True),)

    @property
    def grammar(self) -> _Symbols:
        return self


SYMBOLS = cast(Tokenizer, _Symbols())
"""It neither encodes nor decodes: the training loop needs no more."""


def make_pieces(seed: int) -> tuple[list[NDArray[np.int64]], list[int], list[str]]:
    """Make the pieces, with their gaps and their splits."""
    rng = np.random.default_rng((seed, 4))
    sides = [side for side, count in PIECES.items() for _ in range(count)]
    gaps = []
    for number, side in enumerate(sides):
        asked = GAPS + LONGER if side == "test" else GAPS
        gaps.append(asked[number % len(asked)])
    motifs = rng.integers(0, PITCHES, (len(sides), MOTIF)) + FIRST
    found = [_make_piece(motif, gap) for motif, gap in zip(motifs, gaps, strict=True)]
    return found, gaps, sides


def _make_piece(motif: NDArray[np.int64], gap: int) -> NDArray[np.int64]:
    """Make a piece: the motif, and its return at least once; all training pieces have the same length."""
    length = max(gap, GAPS[-1]) + 1 + MOTIF
    back = np.concatenate([np.full(gap, EMPTY), [CUE], motif])
    return np.concatenate([motif, np.tile(back, -(-length // len(back)))[:length], [EOS]])


def write_corpus(folder: Path, seed: int) -> Corpus:
    """Write the pieces as a corpus into that folder."""
    found, _, sides = make_pieces(seed)
    folder.mkdir(parents=True, exist_ok=True)
    tokens = np.concatenate(found).astype(np.uint16)
    inputs = np.concatenate([np.concatenate([[BOS], piece[:-1]]) for piece in found]).astype(np.uint16)
    tokens.tofile(folder / "tokens.bin")
    inputs.tofile(folder / "inputs.bin")
    np.savez(
        folder / "pieces.npz",
        offsets=np.cumsum([0, *map(len, found)]),
        notes=np.full(len(found), 2 * MOTIF),
        beats=np.array([float(len(piece)) for piece in found]),
        lowest=np.zeros(len(found), dtype=np.int64),
        highest=np.zeros(len(found), dtype=np.int64),
        splits=np.array([SPLITS.index(side) for side in sides], dtype=np.int8),
    )
    (folder / "names.json").write_text(json.dumps([f"motif {number}" for number in range(len(found))]))
    (folder / "corpus.json").write_text(json.dumps({"name": "motifs", "kept": len(found), "refused": []}))
    return Corpus(folder)


def measure_recall(module: nn.Module, music: Corpus, seed: int) -> dict[str, float]:
    """Measure nats per note of the motif's return on the test pieces, for each gap in bars."""
    numbers = music.split("test")
    gaps = np.array(make_pieces(seed)[1])[numbers]
    nats = np.zeros(len(numbers))
    for rows, losses in compute_token_nats(module, music, SYMBOLS, numbers):
        for row, of_piece in zip(rows, losses, strict=True):
            begin = MOTIF + gaps[row] + 1  # after the first cue
            nats[row] = of_piece[begin : begin + MOTIF].mean()
    return {str(gap): round(float(nats[gaps == gap].mean()), 5) for gap in GAPS + LONGER}
