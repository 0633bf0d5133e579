"""How far back a trained network looks: its gain from context, its fading gradients, its recall of a motif.

The recall is a copying task. A piece is a motif that returns again and again, after a gap of so many empty bars (a
token each) and a cue. Only the motif itself reveals the motif: a network that forgets predicts its return by chance, at
ln 4 = 1.39 nats per note. Pieces with short gaps contain many returns, so that learning starts at the first step. Gaps
longer than those of training show whether memory lasts. It is the copying task of Hochreiter and Schmidhuber (1997) and
of Arjovsky, Shah and Bengio (2016), in bars.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from composer.data.corpus import Corpus
from composer.data.splits import SPLITS
from composer.errors import ComposerError
from composer.tokens.vocabulary import BOS, EOS, describe_tokens
from composer.training.evaluation import compute_token_nats
from composer.types import Column, TokenInfo, Tokenizer

if TYPE_CHECKING:
    import torch
    from torch import nn


# --- context and gradients --------------------------------------------------------------------------------------------


MOST_CONTEXT = 64
"""Bars."""

ENOUGH = 0.25
"""The share of the pieces that must exceed the longest context."""

MOST_SCORED_BARS, AT_ONCE = 240, 48
"""Bars that are predicted, and windows per batch."""

LAGS = (1, 2, 4, 8, 16, 32, 64, 128)
"""Tokens."""

ENDS, ROWS = 6, 16
"""Positions from which gradients are taken, and pieces per batch."""


def list_contexts(starts: Sequence[NDArray[np.int64]]) -> tuple[int, ...]:
    """List context lengths of 1, 2, 4… bars, as long as enough pieces exceed them."""
    bars = np.array([len(begins) - 1 for begins in starts])
    found = [1]
    while found[-1] < MOST_CONTEXT and np.mean(bars > 2 * found[-1]) >= ENOUGH:
        found.append(2 * found[-1])
    return tuple(found)


def find_bar_starts(corpus: Corpus, tokenizer: Tokenizer, pieces: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Find the index of each bar line and the end, for each piece. Raises ComposerError without bar lines."""
    is_bar = tokenizer.token_info.is_bar
    if not is_bar.any():
        raise ComposerError("the tokenizer writes no bar lines, so context cannot be measured in bars.")
    tokens = [corpus.read_piece(int(number)) for number in pieces]
    return [np.append(np.flatnonzero(is_bar[piece]), len(piece)) for piece in tokens]


def measure_context_gain(
    module: nn.Module, corpus: Corpus, tokenizer: Tokenizer, pieces: NDArray[np.int64]
) -> dict[str, Any]:
    """Measure nats per note of the same bars, predicted from 1, 2, 4… bars before them and from all.

    The network starts without a state so many bars before. Its inputs may still describe earlier music.
    """
    starts = find_bar_starts(corpus, tokenizer, pieces)
    reaches = list_contexts(starts)
    scored = [(place, bar) for place, begins in enumerate(starts) for bar in range(reaches[-1], len(begins) - 1)]
    scored = (
        [scored[i] for i in np.unique(np.linspace(0, len(scored) - 1, MOST_SCORED_BARS).astype(int))] if scored else []
    )
    if not scored:
        raise ComposerError("no piece has two bars, so context cannot be measured in bars.")
    # Each bar counts the mean number of notes per bar of its piece: good in sum, and token kinds need not be known.
    notes = sum(float(corpus.notes[pieces[place]]) / (len(starts[place]) - 1) for place, _ in scored)
    found = {}
    for reach in (*reaches, 0):
        windows = []
        for place, bar in scored:
            begins = starts[place]
            first = int(begins[bar - reach]) if reach else 0
            offset = int(corpus.offsets[pieces[place]])
            windows.append((offset + first, offset + int(begins[bar]), offset + int(begins[bar + 1])))
        total = sum(_sum_window_nats(module, corpus, part) for part in _split_windows(windows))
        found[str(reach) if reach else "all"] = round(total / notes, 5)
    return {"nats_per_note": found, "bars": len(scored)}


def _split_windows(windows: list[tuple[int, int, int]]) -> Iterator[list[tuple[int, int, int]]]:
    ordered = sorted(windows, key=lambda window: window[2] - window[0])
    for begin in range(0, len(ordered), AT_ONCE):
        yield ordered[begin : begin + AT_ONCE]


def _sum_window_nats(module: nn.Module, corpus: Corpus, windows: Sequence[tuple[int, int, int]]) -> float:
    """Sum the nats of the tokens from the second to the third index of each window, run from its first."""
    import torch

    device = next(module.parameters()).device
    width = max(stop - start for start, _, stop in windows)
    inputs = np.zeros((len(windows), width, corpus.inputs.shape[1]), dtype=np.int64)
    targets = np.full((len(windows), width), -1, dtype=np.int64)
    for row, (start, first, stop) in enumerate(windows):
        inputs[row, : stop - start] = corpus.inputs[start:stop]
        targets[row, first - start : stop - start] = corpus.tokens[first:stop]
    module.eval()
    with torch.no_grad():
        logits, _ = module(torch.from_numpy(inputs).to(device))
        losses = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1).double(),
            torch.from_numpy(targets).to(device).flatten(),
            ignore_index=-1,
            reduction="sum",
        )
    return float(losses)


def measure_gradients(module: nn.Module, corpus: Corpus, pieces: NDArray[np.int64]) -> dict[str, float]:
    """Measure the gradient norm of a token's nats by the state some tokens before, relative to the last state.

    A geometric mean over pieces and positions. This norm vanishes or explodes (Pascanu, Mikolov and Bengio 2013).
    """
    longest = pieces[np.argsort(-np.diff(corpus.offsets)[pieces], kind="stable")][:ROWS]
    shortest = int(np.diff(corpus.offsets)[longest].min())
    lags = [lag for lag in LAGS if lag < shortest]
    ends = np.unique(np.linspace(max(lags, default=1) + 1, shortest, ENDS).astype(int)).tolist() if lags else []
    logs = np.array([[_compute_log_norms(module, corpus, longest, int(end), lag) for lag in lags] for end in ends])
    if not logs.size:
        return {}
    means = logs.mean(axis=(0, 2))
    return {str(lag): float(f"{np.exp(mean - means[0]):.4g}") for lag, mean in zip(lags, means, strict=True)}


def _compute_log_norms(
    module: nn.Module, corpus: Corpus, pieces: NDArray[np.int64], end: int, lag: int
) -> NDArray[np.float64]:
    """Compute (B,) log gradient norms for the last of the first `end` tokens of each piece."""
    import torch

    begins = corpus.offsets[pieces]
    inputs = torch.from_numpy(np.stack([corpus.inputs[b : b + end] for b in begins]).astype(np.int64))
    targets = torch.from_numpy(corpus.tokens[begins + end - 1].astype(np.int64))
    module.eval()
    with torch.no_grad():
        state: tuple[torch.Tensor, ...] = module(inputs[:, : end - lag])[1]
    state = tuple(part.detach().clone().requires_grad_() for part in state)
    logits, _ = module(inputs[:, end - lag :], state)
    loss = torch.nn.functional.cross_entropy(logits[:, -1], targets, reduction="sum")
    found = torch.autograd.grad(loss, state, allow_unused=True)
    squares = sum(part.double().flatten(1).square().sum(1) for part in found if part is not None)
    return np.asarray(torch.as_tensor(squares).clamp_min(1e-60).sqrt().log())


# --- the recall of a motif --------------------------------------------------------------------------------------------


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
    def token_info(self) -> TokenInfo:
        return describe_tokens(self.vocabulary, 1)

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
