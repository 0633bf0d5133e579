"""The points of every plot of an experiment, by architecture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from composer_compare.plots import Point
from composer_compare.probes import LAGS
from composer_compare.questions import ABLATIONS
from composer_compare.results import Results
from composer_compare.statistics import Estimate, estimate_from_pieces, estimate_from_seeds
from composer_compare.values import collect_recall, compute_fading

Figure = tuple[str, str, str, Mapping[str, Sequence[Point]], Mapping[str, bool]]


def build_figures(findings: Results) -> Iterator[Figure]:
    """Yield title, axes and lines of every plot that has data."""
    for title, across, up, line, scales in FIGURES:
        lines = {name: places for name in findings.names if (places := line(findings, name))}
        if lines:
            yield title, across, up, lines, scales


def _make_point(x: float, estimate: Estimate) -> Point:
    known = estimate.half_width != float("inf")
    return Point(x, estimate.mean, *((estimate.low, estimate.high) if known else (None, None)))


def _trace_learning(findings: Results, name: str) -> list[Point]:
    runs = list(findings.select("likelihood", name).values())
    courses = [[(point[0], point[3]) for point in run["history"]] for run in runs]
    return [
        _make_point(points[0][0], estimate_from_seeds([valid for _, valid in points]))
        for points in zip(*courses, strict=False)
    ]


def _trace_learning_in_time(findings: Results, name: str) -> list[Point]:
    pace = findings.get_cost(name).get("step_seconds", 0.0) / 60
    return [Point(p.x * pace, p.y, p.low, p.high) for p in _trace_learning(findings, name)]


def _trace_levels(findings: Results, name: str, question: str, usual: float) -> list[Point]:
    places = [
        _make_point(level, estimate)
        for level in ABLATIONS[question].levels
        if (estimate := findings.estimate_likelihood(name, question, level)) is not None
    ]
    whole = findings.estimate_likelihood(name)
    return sorted([*places, _make_point(usual, whole)], key=lambda p: p.x) if places and whole else []


def _trace_data(findings: Results, name: str) -> list[Point]:
    return _trace_levels(findings, name, "data", 1.0)


def _trace_noise(findings: Results, name: str) -> list[Point]:
    return _trace_levels(findings, name, "noise", 0.0)


def _trace_lengths(findings: Results, name: str) -> list[Point]:
    """Compute the likelihood of each quarter of the test pieces, by length."""
    quarters = np.array_split(np.argsort(findings.notes, kind="stable"), QUARTERS)
    scores = list(findings.collect_scores()[name].values())
    if not scores or len(findings.notes) < 2 * QUARTERS:
        return []
    return [
        _make_point(float(notes.mean()), estimate_from_pieces(np.stack(scores)[:, quarter], notes))
        for quarter in quarters
        if (notes := findings.notes[quarter]).size
    ]


def _trace_context(findings: Results, name: str) -> list[Point]:
    runs = [run["context"].get("nats_per_note", {}) for run in findings.select("likelihood", name).values()]
    reaches = [int(reach) for reach in (runs[0] if runs else {}) if reach != "all"]
    return [
        _make_point(reach, estimate_from_seeds([run[str(reach)] for run in runs if str(reach) in run]))
        for reach in reaches
    ]


def _trace_recall(findings: Results, name: str) -> list[Point]:
    runs = list(collect_recall(findings, name).values())
    return [_make_point(int(gap), estimate_from_seeds([run[gap] for run in runs])) for gap in (runs[0] if runs else {})]


def _trace_gradients(findings: Results, name: str) -> list[Point]:
    found = []
    for lag in LAGS:
        power = findings.estimate_mean("likelihood", name, 1.0, lambda result, lag=lag: compute_fading(result, lag))
        if power is not None:
            found.append(Point(lag, 10**power.mean))
    return found


def _trace_rates(findings: Results, name: str) -> list[Point]:
    means = {
        rate: findings.estimate_mean("stability", name, rate, lambda r: r["valid"])
        for rate in ABLATIONS["stability"].levels
    }
    return [_make_point(rate, mean) for rate, mean in means.items() if mean is not None]


QUARTERS = 4

STEP, TIME, SHARE, WRONG = "steps", "minutes", "share of the pieces", "share of wrong notes"
NATS, A_NOTE, NORM = "nats per note", "nats a note (by chance 1.39)", "norm, beside that over one token"

FIGURES: Sequence[tuple[str, str, str, Callable[[Results, str], list[Point]], Mapping[str, bool]]] = (
    ("Learning: validation against steps", STEP, NATS, _trace_learning, {}),
    ("Learning: validation against time of a processor", TIME, NATS, _trace_learning_in_time, {}),
    ("Held-out likelihood against the share of the data", SHARE, NATS, _trace_data, {"log_x": True}),
    ("Held-out likelihood against wrong notes in training", WRONG, NATS, _trace_noise, {}),
    ("Held-out likelihood by the length of a piece", "notes of a piece, mean of a quarter", NATS, _trace_lengths, {}),
    ("Context: the same bars foretold from so many bars before", "bars", NATS, _trace_context, {"log_x": True}),
    ("Recall: a motif after a gap", "empty bars", A_NOTE, _trace_recall, {"log_x": True}),
    ("Gradient by the state so many tokens before", "tokens", NORM, _trace_gradients, {"log_x": True, "log_y": True}),
    ("Sensitivity to the learning rate, without clipping", "learning rate", NATS, _trace_rates, {"log_x": True}),
)
