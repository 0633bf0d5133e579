"""The states of the grammar of `frames` along a whole piece, computed at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from composer.request import Request
from composer.tokens.vocabulary import BOS
from composer.types import Tokens
from composer_frames.grammar import FRAME, LONGEST_AGREEMENT, OLDEST_AGE, Field

if TYPE_CHECKING:
    from composer_frames.grammar import FramesGrammar


def compute_states(grammar: FramesGrammar, tokens: Tokens) -> NDArray[np.int64]:
    """Compute the states before each token of a piece from a default request, (T, S), equal to those of `advance`."""
    places = np.arange(len(tokens))
    ends = np.flatnonzero(tokens == FRAME)
    begins = np.concatenate([[0], ends + 1])
    frame = np.searchsorted(ends, places, side="left")
    notes = places - begins[frame]
    chords = np.full((len(begins), grammar.most_notes), BOS)  # of each frame, the last one being that of EOS
    pitched = tokens >= grammar.first_pitch
    chords[frame[pitched], notes[pitched]] = tokens[pitched]
    state = np.tile(grammar.start(Request(), 1), (len(tokens), 1))
    state[1:, Field.TOKEN] = tokens[:-1]
    state[:, Field.FRAME], state[:, Field.NOTES] = frame, notes
    grammar.get_current(state)[:] = np.where(np.arange(grammar.most_notes) < notes[:, None], chords[frame], BOS)
    grammar.get_previous(state)[:] = _shift_rows(chords, 1)[frame]
    grammar.get_ages(state)[:] = _shift_rows(_count_ages(chords, grammar.size), 1)[frame]
    older = [_shift_rows(chords, frames)[frame] for frames in range(2, max(grammar.lookback, default=1) + 1)]
    if older:
        state[:, grammar.older_begin : grammar.agreements_begin] = np.concatenate(older, axis=1)
    for column, frames in enumerate(grammar.lookback, grammar.agreements_begin):
        same = (chords == _shift_rows(chords, frames)).all(axis=1) & (np.arange(len(chords)) >= frames)
        state[:, column] = _shift_rows(np.minimum(_count_run(same), LONGEST_AGREEMENT), 1)[frame]
    return state


def _count_ages(chords: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Count the frames for which each token of `chords` has sounded, (frames, notes); 0 for none."""
    sounds = np.zeros((len(chords), size), dtype=bool)
    sounds[np.arange(len(chords))[:, None], chords] = True
    sounds[:, BOS] = False
    return np.take_along_axis(np.minimum(_count_run(sounds), OLDEST_AGE), chords, axis=1)


def _shift_rows(rows: NDArray[np.int64], frames: int) -> NDArray[np.int64]:
    """Shift rows by `frames` frames, with zeros before the first."""
    moved = np.zeros_like(rows)
    moved[frames:] = rows[:-frames]
    return moved


def _count_run(true: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count frames in a row, up to and including each, in which each column is true."""
    frames = np.arange(len(true)).reshape(-1, *[1] * (true.ndim - 1))
    return frames - np.maximum.accumulate(np.where(true, -1, frames), axis=0)
