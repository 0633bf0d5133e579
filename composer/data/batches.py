"""Batches: the pieces that a network sees side by side in training.

Pieces of similar length form a batch, which is cut into chunks along time. The recurrent state goes from chunk to chunk
inside a batch, and is reset for the next one: nothing leaks from one piece into another. A row whose piece has ended is
dropped at the next chunk. The whole stream is a function of (seed, batch number), so its position is one number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from composer.data.augmenting import Augmenter, Row
from composer.data.corpus import Corpus
from composer.tokens.conditions import Conditioned, split_conditions
from composer.tokens.vocabulary import BOS, transpose_tokens
from composer.types import Tokenizer, Transform

IGNORED = -1
"""The target of positions without a loss: padding, conditions, and the key of a transposed piece."""


@dataclass(frozen=True)
class Chunk:
    """A stretch of a batch. `rows`: how many rows of the chunk before go on (None at a batch's beginning)."""

    inputs: NDArray[np.int64]  # (B, T, C)
    targets: NDArray[np.int64]  # (B, T), IGNORED where there is no loss
    rows: int | None  # rows are sorted by length: the first ones go on
    scale: float = 1.0  # corpus tokens per token of this batch: a transposed piece may have more or fewer


@dataclass(frozen=True, eq=False)
class Stream:
    """The endless stream of batches over some pieces of a corpus."""

    corpus: Corpus
    tokenizer: Tokenizer
    pieces: NDArray[np.int64]
    batch_size: int = 16
    chunk: int = 128
    augmentations: tuple[Transform, ...] = ()  # a transposition stays within the pitch range of the pieces
    augment_share: float = 0.5  # of the pieces that each augmentation changes; all are transposed
    seed: int = 0
    forget: float = 0.0  # share of the pieces of which a label is forgotten, if the tokenizer has conditions

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each piece."""
        return np.diff(self.corpus.offsets)[self.pieces]

    @property
    def batches(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.pieces) // self.batch_size)

    def select_batch(self, number: int) -> NDArray[np.int64]:
        """Return the indices in `pieces` of the rows of a batch, the longest first."""
        epoch, index = divmod(number, self.batches)
        if epoch not in self._epoch:
            self._epoch.clear()
            self._epoch[epoch] = self._order(epoch)
        order, cuts = self._epoch[epoch]
        rows = order[cuts[index] : cuts[index] + self.batch_size]
        return rows[np.argsort(-self.lengths[rows], kind="stable")]

    @cached_property
    def _epoch(self) -> dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """A cache of the order of the latest epoch."""
        return {}

    def _order(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draw the order of `pieces` in an epoch, and the positions at which its batches begin."""
        rng = np.random.default_rng((self.seed, epoch, 0))
        # Neighbours in length, but other ones in each epoch.
        order = np.argsort(-self.lengths * rng.uniform(0.97, 1.03, len(self.lengths)), kind="stable")
        return order, rng.permutation(np.arange(0, len(order), self.batch_size))

    def cut_chunks(self, number: int) -> Iterator[Chunk]:
        """Yield the chunks of one batch."""
        rows = self._read_rows(number)
        lengths = np.array([len(row.tokens) for row in rows])
        stretch = float(sum(row.size for row in rows) / lengths.sum())
        before: int | None = None
        for start in range(0, int(lengths[0]), self.chunk):
            running = int(np.count_nonzero(lengths > start))
            width = min(self.chunk, int(lengths[0]) - start)
            inputs = np.zeros((running, width, self.corpus.inputs.shape[1]), dtype=np.int64)
            targets = np.full((running, width), IGNORED, dtype=np.int64)
            for index, row in enumerate(rows[:running]):
                stop = min(width, len(row.tokens) - start)
                self._fill_row(inputs[index, :stop], targets[index, :stop], row, slice(start, start + stop))
            yield Chunk(inputs, targets, None if before is None else running, stretch)
            before = running

    def _read_rows(self, number: int) -> list[Row]:
        """Read the pieces of a batch, as the augmentations leave them, the longest first."""
        found = []
        for piece, length in ((self.pieces[row], int(self.lengths[row])) for row in self.select_batch(number)):
            span = slice(begin := int(self.corpus.offsets[piece]), begin + length)
            reach = (int(self.corpus.lowest[piece]), int(self.corpus.highest[piece])) if self.augmentations else (0, 0)
            found.append(Row(self.corpus.inputs[span], self.corpus.tokens[span], *reach, length))
        found = self._forget_labels(number, found)
        if not self.augmentations:
            return found
        return sorted(self._augmenter.change(found, number), key=lambda row: -len(row.tokens))

    def _forget_labels(self, number: int, rows: list[Row]) -> list[Row]:
        """Forget labels of some rows, so that the model learns to write without them, too."""
        tokenizer = self.tokenizer
        if not self.forget or not isinstance(tokenizer, Conditioned):
            return rows
        rng = np.random.default_rng((self.seed, number, 3))
        drawn = rng.random((len(rows), len(tokenizer.conditions))) < self.forget
        found = list(rows)
        for place in np.flatnonzero(drawn.any(axis=1)).tolist():
            row = rows[place]
            inputs, tokens = tokenizer.forget(row.inputs, row.tokens, drawn[place])
            found[place] = replace(row, inputs=inputs, tokens=tokens)
        return found

    def _fill_row(self, inputs: NDArray[np.int64], targets: NDArray[np.int64], row: Row, part: slice) -> None:
        inputs[:] = row.inputs[part]
        targets[:] = row.tokens[part]
        if row.shift:
            table = self._get_transposition(row.shift)
            # A feature's pitch may be out of range after the transposition: then it becomes BOS, for none.
            inputs[:, self._token_columns] = np.maximum(table[inputs[:, self._token_columns]], BOS)
            # The model learns how common keys are from untransposed pieces alone.
            targets[:] = np.where(self._is_key[targets], IGNORED, table[targets])
        targets[: max(self._told - part.start, 0)] = IGNORED

    @cached_property
    def _augmenter(self) -> Augmenter:
        compass = int(self.corpus.lowest[self.pieces].min()), int(self.corpus.highest[self.pieces].max())
        return Augmenter(self.tokenizer, self.augmentations, self.augment_share, compass, self.seed)

    def _get_transposition(self, semitones: int) -> NDArray[np.int64]:
        """Return the table of tokens by which a piece is transposed."""
        if semitones not in self._tables:
            self._tables[semitones] = transpose_tokens(self.tokenizer.vocabulary, semitones)
        return self._tables[semitones]

    @cached_property
    def _tables(self) -> dict[int, NDArray[np.int64]]:
        """A cache of the tables of transpositions."""
        return {}

    @cached_property
    def _token_columns(self) -> NDArray[np.int64]:
        return np.flatnonzero([column.tokens for column in self.tokenizer.grammar.columns])

    @cached_property
    def _told(self) -> int:
        """Number of tokens at the beginning of a piece that the model is told, and does not predict."""
        return len(split_conditions(self.tokenizer)[1])

    @cached_property
    def _is_key(self) -> NDArray[np.bool_]:
        return self.tokenizer.token_info.key >= 0


def compute_real_share(stream: Stream, batches: int | None = None) -> float:
    """Compute the share of real tokens, without padding, among all positions of an epoch."""
    real = positions = 0
    for number in range(stream.batches if batches is None else batches):
        lengths = stream.lengths[stream.select_batch(number)]
        for start in range(0, int(lengths[0]), stream.chunk):
            width = min(stream.chunk, int(lengths[0]) - start)
            running = lengths[lengths > start] - start
            real += int(np.minimum(running, width).sum())
            positions += len(running) * width
    return real / positions
