"""Likelihood: how well a model foretells music it was not trained on; it knows no training.

All figures are in nats (natural logarithm), summed over every token of a piece, its end included, and divided by its
notes or beats, so that models with different vocabularies can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from composer.batches import Stream
from composer.corpus import Corpus
from composer.request import Request
from composer.tokens import EOS
from composer.types import Tokenizer, Tokens

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Likelihood:
    """The likelihood of some pieces. `masked` says that the grammar was part of the model's distribution."""

    nats: float
    tokens: int
    notes: int
    beats: float
    pieces: int
    masked: bool

    @property
    def nats_per_note(self) -> float:
        """Of all tokens, over all notes."""
        return self.nats / max(self.notes, 1)

    @property
    def nats_per_beat(self) -> float:
        """Of all tokens, over all beats."""
        return self.nats / max(self.beats, 1e-9)


def likelihood(
    module: nn.Module, corpus: Corpus, tokenizer: Tokenizer, pieces: NDArray[np.int64], *, masked: bool = False
) -> Likelihood:
    """The likelihood of these pieces of a corpus. Published figures are without the mask."""
    nats = piece_nats(module, corpus, tokenizer, pieces, masked=masked)
    tokens = int(np.diff(corpus.offsets)[pieces].sum())
    notes, beats = int(corpus.notes[pieces].sum()), float(corpus.beats[pieces].sum())
    return Likelihood(float(nats.sum()), tokens, notes, beats, len(pieces), masked)


def piece_nats(
    module: nn.Module, corpus: Corpus, tokenizer: Tokenizer, pieces: NDArray[np.int64], *, masked: bool = False
) -> NDArray[np.float64]:
    """(P,) the negative log-likelihood of each piece."""
    import torch

    device = next(module.parameters()).device
    stream = Stream(corpus, tokenizer, pieces, batch_size=32, chunk=512)
    total = np.zeros(len(pieces))
    training = module.training
    module.eval()
    with torch.no_grad():
        for number in range(stream.batches):
            rows = stream.batch(number)
            state: tuple[torch.Tensor, ...] | None = None
            place = 0
            masks = _masks(tokenizer, [corpus.piece(int(pieces[row])) for row in rows]) if masked else None
            for chunk in stream.chunks(number):
                if chunk.rows is not None and state is not None:
                    state = tuple(tensor[: chunk.rows] for tensor in state)
                logits, state = module(torch.from_numpy(chunk.inputs).to(device), state)
                if masks is not None:
                    count, width = chunk.targets.shape
                    mask = torch.from_numpy(masks[:count, place : place + width]).to(device)
                    logits = logits.masked_fill(~mask, -torch.inf)
                    place += width
                targets = torch.from_numpy(chunk.targets).to(device)
                losses = torch.nn.functional.cross_entropy(
                    logits.flatten(0, 1).double(), targets.flatten(), ignore_index=-1, reduction="none"
                )
                total[rows[: len(targets)]] += losses.view(targets.shape).sum(1).cpu().numpy()
    module.train(training)
    return total


def _masks(tokenizer: Tokenizer, sequences: Sequence[Tokens]) -> NDArray[np.bool_]:
    """(B, T, V) what the grammar allows at each place of each sequence; all true after its end."""
    grammar = tokenizer.grammar
    longest = max(len(s) for s in sequences)
    masks = np.ones((len(sequences), longest, len(tokenizer.vocabulary)), dtype=bool)
    state = grammar.start(Request(), len(sequences))
    for t in range(longest):
        running = np.array([t < len(s) for s in sequences])
        masks[running, t] = grammar.allowed(state)[running]
        state = grammar.advance(state, np.array([s[t] if t < len(s) else EOS for s in sequences]))
    return masks
