"""Measured scores as plain values, ready for JSON: of the set, of each piece and of each bar."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.metrics.distances import Contrast, Estimate, Feature
from composer.metrics.measurements import Measurements, get_definition

DIGITS = 6
"""Significant digits of a value."""


def collect_values(measured: Measurements, real: Measurements | None = None) -> dict[str, dict[str, Any]]:
    """Collect by metric: `figure` of the set, `pieces`, `bars` of each piece; of a distance the `histogram`, as shares.

    Undefined figures are None, as are distances without real pieces.
    """
    figures, pieces = measured.compute_figures(real), measured.compute_by_piece(real)
    bars = [measured.compute_by_bar(piece, real) for piece in range(len(measured))]
    return {
        name: {
            "figure": _round(figures[name]),
            **_describe_histogram(measured, name),
            "pieces": _round_all(pieces[name]),
            "bars": [_round_all(found[name]) for found in bars],
        }
        for name in measured.metrics
    }


def describe_values(measured: Measurements, real: Measurements | None = None) -> dict[str, dict[str, Any]]:
    """Collect the values, with the unit and the definition of each metric."""
    found = collect_values(measured, real)
    return {n: {"unit": m.unit, "definition": get_definition(n), **found[n]} for n, m in measured.metrics.items()}


def describe_contrast(found: Contrast, model: Measurements, real: Measurements) -> dict[str, Any]:
    """Describe two sets beside each other, the overall distance first."""
    ours, theirs = collect_values(model, real), collect_values(real, real)
    return {
        "frechet_feature_distance": {**_describe_estimate(found.distance), "features": found.dimensions},
        "features": {f.name: _describe_feature(f, ours[f.name], theirs[f.name]) for f in found.features},
    }


def _describe_feature(feature: Feature, model: dict[str, Any], real: dict[str, Any]) -> dict[str, Any]:
    return {
        "unit": feature.unit,
        "definition": feature.definition,
        "overlapped_area": _describe_estimate(feature.overlap),
        "kl_divergence": _describe_estimate(feature.divergence),
        "model": {"mean": _round(feature.model), **model},
        "real": {"mean": _round(feature.real), **real},
    }


def _describe_estimate(estimate: Estimate) -> dict[str, Any]:
    return {name: _round(value) for name, value in asdict(estimate).items()}


def _describe_histogram(measured: Measurements, name: str) -> dict[str, Any]:
    if measured.metrics[name].value is not None:
        return {}
    counts = measured.sums[name]
    return {"histogram": _round_all(counts / max(float(counts.sum()), 1.0))}


def _round_all(values: NDArray[np.float64] | Iterable[float]) -> list[float | None]:
    return [_round(value) for value in values]


def _round(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if isfinite(value) else None
