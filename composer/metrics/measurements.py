"""Measured scores: the counts of each metric in every bar, and the figures computed from them.

from composer import metrics

found = metrics.measure(scores, ["polyphony", "groove-consistency"])
found.compute_figures()                 # of the set, by name
found.compute_by_piece()["polyphony"]   # (pieces,)
found.compute_by_bar(0)["polyphony"]    # (bars,) of the first piece
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isnan

import numpy as np
from numpy.typing import NDArray

from composer.errors import EmptyDataset, UnknownName, printable, suggest
from composer.metrics.profiles import compute_divergence
from composer.metrics.score_view import view_score
from composer.music.score import Score
from composer.plugins.registry import registry
from composer.plugins.specs import format_spec, parse_spec
from composer.request import Spec
from composer.types import Metric

ALL = "all"


def make_metrics(names: Sequence[str] = (ALL,)) -> dict[str, Metric]:
    """Build the registered metrics of these names (`all`: every one), in the order of registration.

    A name may be written with spaces, as in tables, and with options, as in `off-beat:beats=2`. The keys have spaces
    too; those with options, `off beat (beats=2)`. `all` leaves out those that need options. Raises UnknownName,
    BadOption.
    """
    offers = registry().offers["metrics"]
    specs = [_parse_metric(name) for name in names if name.strip() != ALL]
    if len(specs) < len(names):
        specs += [Spec(name) for name, offer in offers.items() if not any(option.required for option in offer.options)]
    order = list(offers)
    specs.sort(key=lambda spec: order.index(spec.name))
    return {_title_metric(spec): registry().make("metrics", spec.name, **spec.options) for spec in specs}


def _parse_metric(text: str) -> Spec:
    name, colon, rest = text.partition(":")
    return parse_spec(f"{name.strip().replace(' ', '-')}{colon}{rest}", "metrics")


def _title_metric(spec: Spec) -> str:
    """Return the name of a metric in tables, with its options."""
    options = format_spec(spec).removeprefix(spec.name).removeprefix(":")
    return format_name(spec.name) + (f" ({options})" if options else "")


def get_definition(name: str) -> str:
    """Return the definition of a metric in words, with its source. Raises UnknownName."""
    plain = name.partition(" (")[0].replace(" ", "-")
    return " ".join(registry().get_offer("metrics", plain).text.split())


def format_name(name: str) -> str:
    """Format the name of a metric for tables and cards."""
    return name.replace("-", " ")


def evaluate_metric(metric: Metric, sums: NDArray[np.float64], real: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Compute the figures (...) of summed counts (..., W) beside real ones; NaN for a distance without real pieces."""
    if metric.value is not None:
        return metric.value(sums)
    return np.full(sums.shape[:-1], np.nan) if real is None else compute_divergence(sums, real)


@dataclass(frozen=True, eq=False)
class Measurements:
    """The counts of metrics in scores.

    Distances need the real pieces. If these are the measured pieces themselves, given as `self`, each is compared with
    the others.
    """

    metrics: Mapping[str, Metric]
    titles: tuple[str, ...]
    pickups: tuple[bool, ...]  # whether each piece begins with a pickup
    counts: Mapping[str, Sequence[NDArray[np.float64]]]
    """By metric, for each piece, (bars, W)."""

    def __len__(self) -> int:
        """Count the pieces."""
        return len(self.titles)

    @cached_property
    def tallies(self) -> dict[str, NDArray[np.float64]]:
        """(pieces, W) by metric."""
        return {name: np.array([bars.sum(axis=0) for bars in pieces]) for name, pieces in self.counts.items()}

    @cached_property
    def sums(self) -> dict[str, NDArray[np.float64]]:
        """(W,) by metric, of all pieces."""
        return {name: counts.sum(axis=0) for name, counts in self.tallies.items()}

    def compute_figures(self, real: Measurements | None = None) -> dict[str, float]:
        """Compute the figure of the set by metric, all pieces counted together; NaN if undefined."""
        return {
            n: float(evaluate_metric(m, self.sums[n], real.sums[n] if real else None)) for n, m in self.metrics.items()
        }

    def compute_by_piece(self, real: Measurements | None = None) -> dict[str, NDArray[np.float64]]:
        """Compute (pieces,) figures by metric, NaN where undefined."""
        return {
            n: evaluate_metric(m, self.tallies[n], self._select_reference(n, real)) for n, m in self.metrics.items()
        }

    def _select_reference(self, name: str, real: Measurements | None) -> NDArray[np.float64] | None:
        """Return (W,) counts or, where each piece is compared with the others, (pieces, W)."""
        return None if real is None else real.sums[name] - (self.tallies[name] if real is self else 0)

    def compute_by_bar(self, piece: int, real: Measurements | None = None) -> dict[str, NDArray[np.float64]]:
        """Compute (bars,) figures by metric of one piece, its pickup first; NaN where undefined."""
        found = {}
        for name, metric in self.metrics.items():
            reference = self._select_reference(name, real)
            own = reference[piece] if reference is not None and reference.ndim == 2 else reference
            found[name] = evaluate_metric(metric, self.counts[name][piece], own)
        return found


def measure(scores: Sequence[Score], names: Sequence[str] | Mapping[str, Metric] = (ALL,)) -> Measurements:
    """Count in each score, by the metrics of these names, or by these metrics.

    Raises EmptyDataset for no scores, UnknownName, CannotExpress for a score of too many bars.
    """
    if not scores:
        raise EmptyDataset("there are no pieces to measure.")
    chosen = dict(names) if isinstance(names, Mapping) else make_metrics(names)
    counts: dict[str, list[NDArray[np.float64]]] = {name: [] for name in chosen}
    upbeats = []
    for score in scores:
        view = view_score(score)
        upbeats.append(bool(view.origins[0] < view.starts[0]))
        for name, metric in chosen.items():
            counts[name].append(metric.count(view))
    return Measurements(chosen, tuple(score.title for score in scores), tuple(upbeats), counts)


# --- figures as plain numbers -----------------------------------------------------------------------------------------


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
