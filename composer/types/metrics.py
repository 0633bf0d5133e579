"""Metrics: measures of music."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from composer.metrics.score_view import ScoreView
    from composer.music.score import Score


@dataclass(frozen=True, eq=False)
class Metric:
    """A measure of music, from counts that add up: bars to pieces, pieces to sets.

    So the figures of a bar, a piece and a set come from one function. The callable that makes a metric has its
    definition, with the source, as docstring. Counts are not negative; a piece with nothing to count has 0.
    """

    unit: str
    count: Callable[[ScoreView], NDArray[np.float64]]
    """Counts of each bar of a piece, (rows, W); W is the same for every piece."""
    value: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None
    """The figures (...) of summed counts (..., W), NaN where nothing is counted, and the same for twice the counts.
    None: counts are a histogram, compared by its distance from that of real pieces."""
    follows_pitch: bool = False
    """Whether a transposition changes it."""
    follows_drums: bool = False
    """Whether drums change it."""
    samples: Mapping[str, Score] = field(default_factory=dict)
    """Small scores, each at its name, in which there is something to count; its checks use them."""
