"""Likelihood: how well a model predicts music that it was not trained on.

All figures are in nats (natural logarithm), so that models with different vocabularies can be compared. Nats are summed
over every token of a piece, its end included, and divided by its notes or beats, and by the dataset's own unit if it
states one. For a tokenizer that writes frames,
they are also summed over the tokens of frames, and divided by the number of frames. Labels that a model is told cost no
nats: it is given them, and does not predict them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from composer.data.batches import IGNORED, Stream
from composer.data.corpus import Corpus
from composer.request import Request
from composer.tokens.vocabulary import EOS
from composer.types import SupportsFrames, Tokenizer, Tokens

if TYPE_CHECKING:
    import torch
    from torch import nn


UNLIMITED = Request(most_bars=1_000_000)
"""Without a limit of bars: real pieces have any length."""


@dataclass(frozen=True)
class Likelihood:
    """The likelihood of some pieces. `masked`: the grammar masked the model's distribution."""

    nats: float
    tokens: int
    notes: int
    beats: float
    pieces: int
    masked: bool
    frames: int = 0  # those that are scored: all but the first of each piece; 0 if the tokenizer writes none
    frame_nats: float = 0.0  # of the tokens of these frames
    unit: str = ""  # of the dataset, such as a voice and a 16th; "" for none
    units: int = 0

    @property
    def nats_per_note(self) -> float:
        """Nats of all tokens, divided by all notes."""
        return self.nats / max(self.notes, 1)

    @property
    def nats_per_beat(self) -> float:
        """Nats of all tokens, divided by all beats."""
        return self.nats / max(self.beats, 1e-9)

    @property
    def nats_per_frame(self) -> float | None:
        """Nats of the tokens of all frames but the first of each piece, divided by these frames; None without frames.

        This is the definition of published figures on piano rolls: Bai, Kolter and Koltun, An Empirical
        Evaluation of Generic Convolutional and Recurrent Networks for Sequence Modeling, 2018 (arXiv:1803.01271).
        """
        return self.frame_nats / self.frames if self.frames else None

    @property
    def nats_per_unit(self) -> float | None:
        """Nats of all tokens, divided by all units of the dataset; None without such units."""
        return self.nats / self.units if self.units else None

    def list_figures(self) -> dict[str, Any]:
        """Return the figures for a card, ready for JSON; those per frame and per unit only where there are any."""
        found: dict[str, Any] = {
            "nats_per_note": round(self.nats_per_note, 5),
            "nats_per_beat": round(self.nats_per_beat, 5),
            "pieces": self.pieces,
            "notes": self.notes,
            "tokens": self.tokens,
        }
        if self.nats_per_frame is not None:
            found |= {"nats_per_frame": round(self.nats_per_frame, 5), "frames": self.frames}
        if self.nats_per_unit is not None:
            found |= {"nats_per_unit": round(self.nats_per_unit, 5), "unit": self.unit, "units": self.units}
        return found


def evaluate(module: nn.Module, corpus: Corpus, tokenizer: Tokenizer, split: str = "test") -> dict[str, Any]:
    """Compute the figures of one split of a corpus, and under `masked` the same figures with the grammar's mask."""
    pieces = corpus.split(split)
    plain, masked = (compute_likelihood(module, corpus, tokenizer, pieces, masked=masked) for masked in (False, True))
    return {**plain.list_figures(), "masked": masked.list_figures()}


def compute_likelihood(
    module: nn.Module, corpus: Corpus, tokenizer: Tokenizer, pieces: NDArray[np.int64], *, masked: bool = False
) -> Likelihood:
    """Compute the likelihood of these pieces of a corpus. Published figures are without the mask."""
    nats = frame_nats = 0.0
    frames = 0
    for rows, losses in compute_token_nats(module, corpus, tokenizer, pieces, masked=masked):
        nats += float(losses.sum())
        if isinstance(tokenizer, SupportsFrames):
            for piece, of_piece in zip(pieces[rows], losses, strict=True):
                frame = tokenizer.assign_frames(corpus.read_piece(int(piece)))
                frames += int(frame.max(initial=0))  # frames are counted from 0, and the first is not scored
                frame_nats += float(of_piece[: len(frame)][frame >= 1].sum())
    tokens = int(np.diff(corpus.offsets)[pieces].sum())
    notes, beats = int(corpus.notes[pieces].sum()), float(corpus.beats[pieces].sum())
    units = int(corpus.units[pieces].sum()) if corpus.unit else 0
    return Likelihood(nats, tokens, notes, beats, len(pieces), masked, frames, frame_nats, corpus.unit, units)


def compute_piece_nats(
    module: nn.Module, corpus: Corpus, tokenizer: Tokenizer, pieces: NDArray[np.int64], *, masked: bool = False
) -> NDArray[np.float64]:
    """Compute (P,) the negative log-likelihood of each piece."""
    total = np.zeros(len(pieces))
    for rows, losses in compute_token_nats(module, corpus, tokenizer, pieces, masked=masked):
        total[rows] = losses.sum(axis=1)
    return total


def compute_token_nats(
    module: nn.Module, corpus: Corpus, tokenizer: Tokenizer, pieces: NDArray[np.int64], *, masked: bool = False
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Yield, for each batch, the indices in `pieces` of its rows (B,) and the nats of their tokens (B, T).

    Nats are 0 after the end of a piece.
    """
    stream = Stream(corpus, tokenizer, pieces, batch_size=32, chunk=512)
    training = module.training
    module.eval()
    try:
        for number in range(stream.batches):
            rows = stream.select_batch(number)
            masks = _compute_masks(tokenizer, [corpus.read_piece(int(pieces[row])) for row in rows]) if masked else None
            yield rows, _compute_batch_nats(module, stream, number, masks)
    finally:
        module.train(training)


def _compute_batch_nats(
    module: nn.Module, stream: Stream, number: int, masks: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """Compute (B, T) the nats of every token of one batch, 0 after the end of a piece."""
    import torch

    device = next(module.parameters()).device
    lengths = stream.lengths[stream.select_batch(number)]
    nats = np.zeros((len(lengths), int(lengths.max())))
    state: tuple[torch.Tensor, ...] | None = None
    begin = 0
    with torch.no_grad():
        for chunk in stream.cut_chunks(number):
            count, width = chunk.targets.shape
            here = np.s_[:count, begin : begin + width]
            if chunk.rows is not None and state is not None:
                state = tuple(tensor[: chunk.rows] for tensor in state)
            logits, state = module(torch.from_numpy(chunk.inputs).to(device), state)
            if masks is not None:
                logits = logits.masked_fill(~torch.from_numpy(masks[here]).to(device), -torch.inf)
            targets = torch.from_numpy(chunk.targets).to(device)
            losses = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1).double(), targets.flatten(), ignore_index=IGNORED, reduction="none"
            )
            nats[here] = losses.view(targets.shape).cpu().numpy()
            begin += width
    return nats


def _compute_masks(tokenizer: Tokenizer, sequences: Sequence[Tokens]) -> NDArray[np.bool_]:
    """Compute (B, T, V) the grammar's mask at each token of each sequence; all true after its end."""
    grammar = tokenizer.grammar
    longest = max(len(s) for s in sequences)
    masks = np.ones((len(sequences), longest, len(tokenizer.vocabulary)), dtype=bool)
    state = grammar.start(UNLIMITED, len(sequences))
    for t in range(longest):
        running = np.array([t < len(s) for s in sequences])
        masks[running, t] = grammar.mask(state)[running]
        state = grammar.advance(state, np.array([s[t] if t < len(s) else EOS for s in sequences]))
    return masks
