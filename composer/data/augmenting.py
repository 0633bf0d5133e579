"""Augmentation: the pieces of a batch, changed at random before the network sees them.

A transform of scores decodes a piece, changes it, and encodes it again. A transposition is drawn for the whole batch,
and done on tokens where the tokenizer can. All chance is a function of the seed, the batch and the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from composer.data.encoding import LONGEST, compute_inputs
from composer.errors import CannotExpress, TrainingFailed, printable
from composer.music.score import Score
from composer.tokens.vocabulary import can_transpose
from composer.types import DrawsTransposition, SupportsTranspose, Tokenizer, Tokens, Transform


@dataclass(frozen=True, eq=False)
class Row:
    """A piece of a batch, with the semitones by which its tokens are still to be transposed."""

    inputs: NDArray[np.integer]  # (L, C)
    tokens: NDArray[np.integer]  # (L,)
    lowest: int  # MIDI pitch in its tokens, 0 if there is none
    highest: int
    size: float  # tokens of the corpus that it stands for: as many as its share of the notes
    shift: int = 0


@dataclass(frozen=True, eq=False)
class Augmenter:
    """Changes rows by transforms, each applied to a `share` of them; those that only transpose come last, and always.

    A piece that a transform cannot change, or that the tokenizer has no tokens for afterwards, stays as it was.
    """

    tokenizer: Tokenizer
    transforms: tuple[Transform, ...]
    share: float
    compass: tuple[int, int]  # lowest and highest pitch of the corpus, in which transposed pieces stay
    seed: int

    def change(self, rows: list[Row], number: int) -> list[Row]:
        """Change the rows of a batch."""
        return self._transpose(self._change_scores(rows, number), number)

    @cached_property
    def transposes_tokens(self) -> bool:
        """Whether tokens transpose one by one. Learnt tokens may not: some pitches have one in a single position."""
        return can_transpose(self.tokenizer.vocabulary, self.tokenizer.token_info.pitch)

    @cached_property
    def _transpositions(self) -> list[DrawsTransposition]:
        return [one for one in self.transforms if self._is_on_tokens(one)]

    def _is_on_tokens(self, transform: Transform) -> TypeGuard[DrawsTransposition]:
        able = self.transposes_tokens or isinstance(self.tokenizer, SupportsTranspose)
        return able and isinstance(transform, DrawsTransposition)

    # --- scores -------------------------------------------------------------------------------------------------------

    @cached_property
    def _of_scores(self) -> list[Transform]:
        return [one for one in self.transforms if not self._is_on_tokens(one)]

    def _change_scores(self, rows: list[Row], number: int) -> list[Row]:
        found = {}
        for place, row in enumerate(rows if self._of_scores else []):
            changed = self._change_piece(
                row.tokens.astype(np.int64), np.random.default_rng((self.seed, number, 2, place))
            )
            if changed is not None:
                found[place] = changed
        inputs = compute_inputs(self.tokenizer, [tokens for tokens, _ in found.values()])
        changed_rows = list(rows)
        for (place, (tokens, notes)), columns in zip(found.items(), inputs, strict=True):
            lowest, highest = find_range(self.tokenizer, tokens)
            changed_rows[place] = Row(columns, tokens, lowest, highest, rows[place].size * notes)
        return changed_rows

    def _change_piece(self, tokens: Tokens, rng: np.random.Generator) -> tuple[Tokens, float] | None:
        """Change a piece; return its tokens, and its notes as a share of those before. None if it stays as it was."""
        chosen = [one for one in self._of_scores if rng.random() < self.share]
        if not chosen:
            return None
        before = score = self.tokenizer.decode(tokens)
        for transform in chosen:
            with suppress(CannotExpress):
                score = _apply(transform, score, rng)
        if score is before or not score.note_count:
            return None
        with suppress(CannotExpress):
            encoded = self.tokenizer.encode(score)
            if 0 < len(encoded) <= LONGEST:
                return encoded, score.note_count / max(before.note_count, 1)
        return None

    # --- tokens -------------------------------------------------------------------------------------------------------

    def _transpose(self, rows: list[Row], number: int) -> list[Row]:
        if not self._transpositions:
            return rows
        shifts = self._draw_semitones(rows, np.random.default_rng((self.seed, number, 1))).tolist()
        shifted = [replace(row, shift=shift) for row, shift in zip(rows, shifts, strict=True)]
        return shifted if self.transposes_tokens else self._rewrite(shifted)

    def _draw_semitones(self, rows: Sequence[Row], rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw the transposition of each row, in semitones."""
        down = np.maximum([row.lowest - self.compass[0] for row in rows], 0)
        up = np.maximum([self.compass[1] - row.highest for row in rows], 0)
        moves = np.zeros(len(rows), dtype=np.int64)
        for transform in self._transpositions:
            moves = np.clip(moves + transform.draw_semitones(down + moves, up - moves, rng), -down, up)
        # Pieces of relative pitch are sampled in C alone: half of them stay there; the others prevent overfitting.
        return moves * rng.integers(0, 2, len(rows)) if self.tokenizer.token_info.is_relative else moves

    def _rewrite(self, rows: list[Row]) -> list[Row]:
        """Transpose rows whose tokens only the tokenizer can transpose."""
        transposed = [i for i, row in enumerate(rows) if row.shift]
        if not isinstance(self.tokenizer, SupportsTranspose) or not transposed:
            return rows
        tokens = [self.tokenizer.transpose(rows[i].tokens.astype(np.int64), rows[i].shift) for i in transposed]
        rewritten = zip(transposed, tokens, compute_inputs(self.tokenizer, tokens), strict=True)
        by_index = {i: replace(rows[i], inputs=inputs, tokens=written, shift=0) for i, written, inputs in rewritten}
        return [by_index.get(i, row) for i, row in enumerate(rows)]


def _apply(transform: Transform, score: Score, rng: np.random.Generator) -> Score:
    """Apply a transform. Raises CannotExpress, and TrainingFailed for any other error of it."""
    try:
        made = transform(score, rng)
        if not isinstance(made, Score):
            raise TypeError(f"it makes a {type(made).__name__}, and not a Score")
        return made
    except CannotExpress:
        raise
    except Exception as error:  # from a plugin
        text = printable(" ".join(str(error).split()), 200)
        name = type(transform).__name__
        raise TrainingFailed(f"the augmentation {name} failed ({type(error).__name__}: {text}).") from error


def find_range(tokenizer: Tokenizer, tokens: NDArray[np.integer]) -> tuple[int, int]:
    """Find the lowest and the highest MIDI pitch in the tokens of a piece; 0 if there is none."""
    pitch = tokenizer.token_info.pitch[tokens]
    pitch = pitch[pitch >= 0]
    return (int(pitch.min()), int(pitch.max())) if len(pitch) else (0, 0)
