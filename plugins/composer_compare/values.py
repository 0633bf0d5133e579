"""Figures of single results, one number each."""

from __future__ import annotations

from collections.abc import Mapping
from math import log10
from typing import Any

from composer_compare.questions import ABLATIONS
from composer_compare.results import Results

Result = Mapping[str, Any]

FAINTEST = 1e-30
"""The smallest gradient considered."""


def compute_nats(result: Result) -> float:
    """Compute nats per note on all test pieces."""
    test = result["test"]
    return float(sum(test["nats"]) / max(sum(test["notes"]), 1))


def compute_gap(result: Result) -> float:
    """Compute by how many nats per note the validation split is harder than the training split."""
    return float(result["valid_nats"] - result["train_nats"])


def compute_fading(result: Result, lag: int) -> float | None:
    """Compute the power of ten of the gradient norm at a lag, relative to lag 1; None if not measured."""
    value = result.get("gradients", {}).get(str(lag))
    return log10(max(value, FAINTEST)) if isinstance(value, float) else None


def collect_recall(found: Results, name: str) -> dict[int, Mapping[str, float]]:
    """Collect nats per note of a recalled motif by gap, for each seed, at the rate that validated best."""
    tried = [by_seed for level in ABLATIONS["memory"].levels if (by_seed := found.select("memory", name, level))]
    if not tried:
        return {}
    best = min(tried, key=lambda by_seed: sum(r["valid"] for r in by_seed.values()) / len(by_seed))
    return {seed: result["recall"] for seed, result in best.items()}


def has_diverged(result: Result) -> bool:
    """Tell whether a run ended in NaN, or worse than at its first validation."""
    history = result["history"]
    return bool(result["diverged"]) or (len(history) > 1 and history[-1][3] > history[0][3])


def compute_transposition_loss(result: Result) -> float:
    """Compute the nats per note lost in other keys."""
    lost = sum(one["moved"] - one["as_is"] for one in result["shifted"])
    return float(lost / max(len(result["shifted"]), 1))


def compute_length_gap(result: Result) -> float:
    """Compute by how many nats per note the longer half of the test pieces is harder than the shorter half."""
    test = result["test"]
    order = sorted(range(len(test["tokens"])), key=test["tokens"].__getitem__)
    half = len(order) // 2
    short, long = (
        sum(test["nats"][i] for i in part) / max(sum(test["notes"][i] for i in part), 1)
        for part in (order[:half], order[half:])
    )
    return float(long - short)
