"""Hypotheses: beginnings of pieces side by side, of which the better ones go on; for particles and beams.

Hypotheses are compared where they have reached the same beat, since one position can take any number of tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from composer.sampling.batch_state import BatchState, concatenate
from composer.tokens.vocabulary import EOS
from composer.types import MusicalState, Tokenizer

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BEATS = 1024
"""More than the beats of any bar: a beat of a piece is numbered `bar * BEATS + beat`."""

ENDED = 2**60
"""The beat of a hypothesis after its last token."""


@dataclass(frozen=True)
class Hypotheses:
    """R hypotheses. `rows.number` is the piece of each."""

    rows: BatchState
    written: Ints  # (R, room) tokens
    weight: Floats  # (R,) by which they are compared, as a log
    reached: Ints  # (R,) beat; see `BEATS`

    @property
    def piece(self) -> Ints:
        """(R,) the piece of each hypothesis."""
        return self.rows.number

    def select(self, which: NDArray[np.integer]) -> Hypotheses:
        """Select hypotheses, in this order."""
        return Hypotheses(self.rows.gather(which), self.written[which], self.weight[which], self.reached[which])

    def advance(self, tokenizer: Tokenizer, tokens: Ints, costs: Floats) -> Hypotheses:
        """Advance all by `tokens` (R,) with their costs (R, kinds)."""
        rows, written = self.rows.advance(tokenizer, tokens), self.written
        if rows.index.max() > written.shape[1]:
            written = np.concatenate([written, np.zeros_like(written)], axis=1)
        np.put_along_axis(written, self.rows.index[:, None], tokens[:, None], axis=1)
        reached = np.where(tokens == EOS, ENDED, number_beats(tokenizer.grammar.interpret(rows.grammar)))
        return replace(self, rows=replace(rows, nats=rows.nats + costs), written=written, reached=reached)

    def get_tokens(self, row: int) -> Ints:
        """Return the tokens of a hypothesis."""
        return self.written[row, : self.rows.index[row]].copy()


def begin_hypotheses(tokenizer: Tokenizer, rows: BatchState) -> Hypotheses:
    """Make hypotheses of rows before their first token."""
    places = number_beats(tokenizer.grammar.interpret(rows.grammar))
    return Hypotheses(rows, np.zeros((len(places), 256), dtype=np.int64), np.zeros(len(places)), places)


def join_hypotheses(one: Hypotheses, other: Hypotheses) -> Hypotheses:
    """Concatenate hypotheses."""
    room = max(one.written.shape[1], other.written.shape[1])
    written = [np.pad(w, ((0, 0), (0, room - w.shape[1]))) for w in (one.written, other.written)]
    weight, reached = np.concatenate([one.weight, other.weight]), np.concatenate([one.reached, other.reached])
    return Hypotheses(concatenate(one.rows, other.rows), np.concatenate(written), weight, reached)


def number_beats(music: MusicalState) -> Ints:
    """Return (B,) the number of the beat that each row has reached."""
    return np.asarray(music.bar * BEATS + music.beat)


def find_slowest(begun: Hypotheses, pieces: int) -> Ints:
    """Find (pieces,) the beat that all hypotheses of each piece have reached."""
    least = np.full(pieces, ENDED)
    np.minimum.at(least, begun.piece, begun.reached)
    return least
