"""Scores measured: what each metric counts in every bar, and the figures that follow; it knows no metric by name.

from composer import metrics

found = metrics.measure(scores, ["polyphony", "groove-consistency"])
found.figures()                  # of the set, by name
found.pieces()["polyphony"]      # (pieces,)
found.bars(0)["polyphony"]       # (bars,) of the first piece
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from composer.errors import EmptyDataset, UnknownName, nearest, printable
from composer.metrics.heard import hear
from composer.metrics.profiles import divergence
from composer.music.score import Score
from composer.plugins.registry import registry
from composer.types import Metric

ALL = "all"


def metrics(names: Sequence[str] = (ALL,)) -> dict[str, Metric]:
    """The registered metrics of these names (`all`: every one), in the order in which plugins offer them.

    A name may be written with spaces, as it is shown and as these are. Raises UnknownName.
    """
    offers = registry().offers["metrics"]
    wanted = {name.strip().replace(" ", "-") for name in names}
    if unknown := sorted(wanted - {ALL, *offers}):
        raise UnknownName(f"no plugin offers the metric '{printable(unknown[0])}': {nearest(unknown[0], offers)}")
    return {shown(name): offer.make() for name, offer in offers.items() if ALL in wanted or name in wanted}


def definition(name: str) -> str:
    """What a metric measures, in words, with the source; UnknownName if there is none of this name."""
    return " ".join(registry().offer("metrics", name.replace(" ", "-")).text.split())


def shown(name: str) -> str:
    """The name of a metric as it stands in tables and cards."""
    return name.replace("-", " ")


def judged(metric: Metric, sums: NDArray[np.float64], real: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """The figures (...) of summed counts (..., W) beside those of real pieces; NaN for a distance without any."""
    if metric.value is not None:
        return metric.value(sums)
    return np.full(sums.shape[:-1], np.nan) if real is None else divergence(sums, real)


@dataclass(frozen=True, eq=False)
class Measured:
    """What metrics count in scores.

    Distances need the real pieces; where these are the measured ones themselves, that is `self`, each is held against
    the others.
    """

    metrics: Mapping[str, Metric]
    titles: tuple[str, ...]
    upbeats: tuple[bool, ...]  # whether the first bar of each piece is one
    counts: Mapping[str, Sequence[NDArray[np.float64]]]
    """By metric, for each piece, (bars, W)."""

    def __len__(self) -> int:
        """How many pieces."""
        return len(self.titles)

    @cached_property
    def tallies(self) -> dict[str, NDArray[np.float64]]:
        """(pieces, W) by metric."""
        return {name: np.array([bars.sum(axis=0) for bars in pieces]) for name, pieces in self.counts.items()}

    @cached_property
    def sums(self) -> dict[str, NDArray[np.float64]]:
        """(W,) by metric, of all pieces."""
        return {name: counts.sum(axis=0) for name, counts in self.tallies.items()}

    def figures(self, real: Measured | None = None) -> dict[str, float]:
        """The figure of the set by metric, NaN where there is nothing to count: that of all pieces counted together."""
        return {n: float(judged(m, self.sums[n], real.sums[n] if real else None)) for n, m in self.metrics.items()}

    def pieces(self, real: Measured | None = None) -> dict[str, NDArray[np.float64]]:
        """(pieces,) by metric, NaN where there is nothing to count."""
        return {n: judged(m, self.tallies[n], self._reference(n, real)) for n, m in self.metrics.items()}

    def _reference(self, name: str, real: Measured | None) -> NDArray[np.float64] | None:
        """(W,) or, where each piece is held against the others, (pieces, W)."""
        return None if real is None else real.sums[name] - (self.tallies[name] if real is self else 0)

    def bars(self, piece: int, real: Measured | None = None) -> dict[str, NDArray[np.float64]]:
        """(bars,) by metric, of one piece, its upbeat first; NaN where there is nothing to count."""
        found = {}
        for name, metric in self.metrics.items():
            reference = self._reference(name, real)
            own = reference[piece] if reference is not None and reference.ndim == 2 else reference
            found[name] = judged(metric, self.counts[name][piece], own)
        return found


def measure(scores: Sequence[Score], names: Sequence[str] | Mapping[str, Metric] = (ALL,)) -> Measured:
    """What the metrics of these names, or these metrics, count in scores.

    Raises EmptyDataset for no scores, UnknownName, CannotExpress for a score of too many bars.
    """
    if not scores:
        raise EmptyDataset("there are no pieces to listen to.")
    chosen = dict(names) if isinstance(names, Mapping) else metrics(names)
    counts: dict[str, list[NDArray[np.float64]]] = {name: [] for name in chosen}
    upbeats = []
    for score in scores:
        heard = hear(score)
        upbeats.append(bool(heard.origins[0] < heard.starts[0]))
        for name, metric in chosen.items():
            counts[name].append(metric.count(heard))
    return Measured(chosen, tuple(score.title for score in scores), tuple(upbeats), counts)
