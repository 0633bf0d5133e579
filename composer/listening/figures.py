"""The figures of one set of scores; it knows which figures there are from their definitions alone."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

import numpy as np
from numpy.typing import NDArray

from composer.errors import EmptyDataset, UnknownName, nearest, printable
from composer.listening.definitions import DEFINITIONS
from composer.listening.heard import hear
from composer.listening.tallies import Tally, music_tally
from composer.listening.voice_leading import voices_tally
from composer.score import Score


def tallies(scores: Sequence[Score]) -> Tally:
    """What is counted in each of the scores, (pieces, W) by name. Raises EmptyDataset for no scores."""
    if not scores:
        raise EmptyDataset("there are no pieces to listen to.")
    pieces = [tally(score) for score in scores]
    return {name: np.array([piece[name] for piece in pieces]) for name in pieces[0]}


def tally(score: Score) -> Tally:
    """What is counted in one score, (W,) by name."""
    heard = hear(score)
    return music_tally(heard) | voices_tally(score, heard.beats)


def summed(found: Tally) -> Tally:
    """The counts of a set, (W,) by name, from those of its pieces."""
    return {name: counts.sum(axis=0) for name, counts in found.items()}


def figures(scores: Sequence[Score], real: Sequence[Score] = ()) -> dict[str, float]:
    """The figures of a set by name, without those for which it has nothing to count.

    Histograms are told by their distance from those of the `real` pieces; without such pieces they are left out.
    Raises EmptyDataset for no scores.
    """
    ours = summed(tallies(scores))
    theirs = summed(tallies(real)) if real else ours
    wanted = [d for d in DEFINITIONS if real or not d.is_distance]
    values = {d.name: float(d.judge(ours[d.tally], theirs[d.tally])) for d in wanted}
    return {name: value for name, value in values.items() if not isnan(value)}


def histogram(scores: Sequence[Score], name: str) -> NDArray[np.float64]:
    """(W,) the histogram behind a distance among `DEFINITIONS`, as shares; all zeros where there are no notes.

    Raises EmptyDataset for no scores, UnknownName for a figure that is no distance.
    """
    known = {d.name: d.tally for d in DEFINITIONS if d.is_distance}
    if name not in known:
        raise UnknownName(f"there is no histogram of '{printable(name)}': {nearest(name, known)}")
    total = summed(tallies(scores))[known[name]]
    return np.asarray(total / max(float(total.sum()), 1.0))
