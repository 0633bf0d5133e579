"""Find time signature and pickup of a chorale from its frames, since the file states neither.

Published chorales end with a whole bar, so the length of a piece and its time signature give the pickup. Of 3/4 and 4/4
the likelier is taken, by how many voices change at each beat: hardly ever none at a downbeat. Of 241 pieces of which
music21's corpus has the bars, 238 get the right time signature, and 235 the right pickup too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from composer.music.score import TimeSignature
from composer_jsb16.separated import Frames

QUARTER = 4
"""Frames of a beat."""

CHANGES = {
    3: ((3, 12, 61, 232, 142), (114, 83, 104, 125, 36), (66, 39, 65, 182, 110)),
    4: ((16, 33, 219, 798, 530), (231, 83, 265, 665, 383), (171, 12, 171, 658, 616), (270, 90, 224, 611, 431)),
}
"""For each number of beats in a bar, and each of its beats: how often 0, 1, 2, 3 and 4 voices change there.

Counted in 140 training pieces (19 in 3/4, 121 in 4/4) of which music21's corpus has the bars.
"""

_LOG_SHARES = {
    beats: np.log(np.array(rows) / np.array(rows).sum(axis=1, keepdims=True)) for beats, rows in CHANGES.items()
}


def find_bars(frames: Frames) -> tuple[TimeSignature, int]:
    """Find the time signature, and the frames of the pickup; 0 for none. Without evidence it is 4/4."""
    at_beats = np.flatnonzero(np.arange(len(frames)) % QUARTER == 0)[1:]
    changes = (frames[at_beats] != frames[at_beats - 1]).sum(axis=1)
    beats = max((4, 3), key=lambda count: _score_beats(at_beats, changes, count, len(frames)))
    return TimeSignature(0, beats, 4), len(frames) % (beats * QUARTER)


def _score_beats(at_beats: NDArray[np.int64], changes: NDArray[np.int64], count: int, length: int) -> float:
    """Compute the log-likelihood of the `changes` (N,) at the frames `at_beats` (N,) in bars of `count` beats."""
    bar = count * QUARTER
    beat = (at_beats - length) % bar // QUARTER
    return float(_LOG_SHARES[count][beat, changes].sum())
