"""The figures of one set of scores as plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

import numpy as np
from numpy.typing import NDArray

from composer.errors import UnknownName, printable, suggest
from composer.metrics.measured import ALL, make_metrics, measure
from composer.music.score import Score


def compute_figures(
    scores: Sequence[Score], real: Sequence[Score] = (), names: Sequence[str] = (ALL,)
) -> dict[str, float]:
    """Compute the figures of a set by name, without the undefined ones.

    Histograms are represented by their distance from those of the `real` pieces; without such pieces they are left out.
    Raises EmptyDataset for no scores, UnknownName for an unknown metric.
    """
    found = measure(scores, names).compute_figures(measure(real, names) if real else None)
    return {name: value for name, value in found.items() if not isnan(value)}


def compute_histogram(scores: Sequence[Score], name: str) -> NDArray[np.float64]:
    """Compute (W,) the histogram behind a distance metric, as shares; all zeros without notes.

    Raises EmptyDataset for no scores, UnknownName if the metric is not a distance.
    """
    known = {name: metric for name, metric in make_metrics().items() if metric.value is None}
    if name not in known:
        raise UnknownName(f"no histogram of '{printable(name)}': {suggest(name, known)}")
    total = measure(scores, {name: known[name]}).sums[name]
    return np.asarray(total / max(float(total.sum()), 1.0))
