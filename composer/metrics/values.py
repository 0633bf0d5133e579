"""Measured scores as plain values, ready for JSON: of the set, of each piece and of each bar."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.metrics.contrasting import Contrast, Estimate, Feature
from composer.metrics.measured import Measured, definition

DIGITS = 6
"""Significant digits of a value."""


def values_of(measured: Measured, real: Measured | None = None) -> dict[str, dict[str, Any]]:
    """Collect by metric: `figure` of the set, `pieces`, `bars` of each piece; of a distance the `histogram`, as shares.

    Undefined figures are None, as are distances without real pieces.
    """
    figures, pieces = measured.figures(real), measured.pieces(real)
    bars = [measured.bars(piece, real) for piece in range(len(measured))]
    return {
        name: {
            "figure": _plain(figures[name]),
            **_histogram(measured, name),
            "pieces": _list(pieces[name]),
            "bars": [_list(found[name]) for found in bars],
        }
        for name in measured.metrics
    }


def described(measured: Measured, real: Measured | None = None) -> dict[str, dict[str, Any]]:
    """Collect the values, with the unit and the definition of each metric."""
    found = values_of(measured, real)
    return {n: {"unit": m.unit, "definition": definition(n), **found[n]} for n, m in measured.metrics.items()}


def beside(found: Contrast, model: Measured, real: Measured) -> dict[str, Any]:
    """Describe two sets beside each other, the overall distance first."""
    ours, theirs = values_of(model, real), values_of(real, real)
    return {
        "frechet_feature_distance": {**_estimate(found.distance), "features": found.dimensions},
        "features": {f.name: _feature(f, ours[f.name], theirs[f.name]) for f in found.features},
    }


def _feature(feature: Feature, model: dict[str, Any], real: dict[str, Any]) -> dict[str, Any]:
    return {
        "unit": feature.unit,
        "definition": feature.definition,
        "overlapped_area": _estimate(feature.overlap),
        "kl_divergence": _estimate(feature.divergence),
        "model": {"mean": _plain(feature.model), **model},
        "real": {"mean": _plain(feature.real), **real},
    }


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return {name: _plain(value) for name, value in asdict(estimate).items()}


def _histogram(measured: Measured, name: str) -> dict[str, Any]:
    if measured.metrics[name].value is not None:
        return {}
    counts = measured.sums[name]
    return {"histogram": _list(counts / max(float(counts.sum()), 1.0))}


def _list(values: NDArray[np.float64] | Iterable[float]) -> list[float | None]:
    return [_plain(value) for value in values]


def _plain(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if isfinite(value) else None
