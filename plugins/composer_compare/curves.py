"""The points of every plot of an experiment, by architecture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from composer_compare.plots import Place
from composer_compare.probes import LAGS
from composer_compare.questions import QUESTIONS
from composer_compare.results import Findings
from composer_compare.statistics import Estimate, of_pieces, of_seeds
from composer_compare.values import fading, recalled

Figure = tuple[str, str, str, Mapping[str, Sequence[Place]], Mapping[str, bool]]


def figures(findings: Findings) -> Iterator[Figure]:
    """Yield title, axes and lines of every plot that has data."""
    for title, across, up, line, scales in FIGURES:
        lines = {name: places for name in findings.names if (places := line(findings, name))}
        if lines:
            yield title, across, up, lines, scales


def _placed(x: float, estimate: Estimate) -> Place:
    known = estimate.half_width != float("inf")
    return Place(x, estimate.mean, *((estimate.low, estimate.high) if known else (None, None)))


def _learning(findings: Findings, name: str) -> list[Place]:
    runs = list(findings.of("likelihood", name).values())
    courses = [[(point[0], point[3]) for point in run["history"]] for run in runs]
    return [_placed(points[0][0], of_seeds([valid for _, valid in points])) for points in zip(*courses, strict=False)]


def _learning_in_time(findings: Findings, name: str) -> list[Place]:
    pace = findings.cost(name).get("step_seconds", 0.0) / 60
    return [Place(p.x * pace, p.y, p.low, p.high) for p in _learning(findings, name)]


def _by_level(findings: Findings, name: str, question: str, usual: float) -> list[Place]:
    places = [
        _placed(level, estimate)
        for level in QUESTIONS[question].levels
        if (estimate := findings.likelihood(name, question, level)) is not None
    ]
    whole = findings.likelihood(name)
    return sorted([*places, _placed(usual, whole)], key=lambda p: p.x) if places and whole else []


def _data(findings: Findings, name: str) -> list[Place]:
    return _by_level(findings, name, "data", 1.0)


def _noise(findings: Findings, name: str) -> list[Place]:
    return _by_level(findings, name, "noise", 0.0)


def _lengths(findings: Findings, name: str) -> list[Place]:
    """Compute the likelihood of each quarter of the test pieces, by length."""
    quarters = np.array_split(np.argsort(findings.notes, kind="stable"), QUARTERS)
    scores = list(findings.scores()[name].values())
    if not scores or len(findings.notes) < 2 * QUARTERS:
        return []
    return [
        _placed(float(notes.mean()), of_pieces(np.stack(scores)[:, quarter], notes))
        for quarter in quarters
        if (notes := findings.notes[quarter]).size
    ]


def _context(findings: Findings, name: str) -> list[Place]:
    runs = [run["context"].get("nats_per_note", {}) for run in findings.of("likelihood", name).values()]
    reaches = [int(reach) for reach in (runs[0] if runs else {}) if reach != "all"]
    return [_placed(reach, of_seeds([run[str(reach)] for run in runs if str(reach) in run])) for reach in reaches]


def _recall(findings: Findings, name: str) -> list[Place]:
    runs = list(recalled(findings, name).values())
    return [_placed(int(gap), of_seeds([run[gap] for run in runs])) for gap in (runs[0] if runs else {})]


def _fading(findings: Findings, name: str) -> list[Place]:
    found = []
    for lag in LAGS:
        power = findings.mean("likelihood", name, 1.0, lambda result, lag=lag: fading(result, lag))
        if power is not None:
            found.append(Place(lag, 10**power.mean))
    return found


def _rates(findings: Findings, name: str) -> list[Place]:
    means = {
        rate: findings.mean("stability", name, rate, lambda r: r["valid"]) for rate in QUESTIONS["stability"].levels
    }
    return [_placed(rate, mean) for rate, mean in means.items() if mean is not None]


QUARTERS = 4

STEP, TIME, SHARE, WRONG = "steps", "minutes", "share of the pieces", "share of wrong notes"
NATS, A_NOTE, NORM = "nats per note", "nats a note (by chance 1.39)", "norm, beside that over one token"

FIGURES: Sequence[tuple[str, str, str, Callable[[Findings, str], list[Place]], Mapping[str, bool]]] = (
    ("Learning: validation against steps", STEP, NATS, _learning, {}),
    ("Learning: validation against time of a processor", TIME, NATS, _learning_in_time, {}),
    ("Held-out likelihood against the share of the data", SHARE, NATS, _data, {"log_x": True}),
    ("Held-out likelihood against wrong notes in training", WRONG, NATS, _noise, {}),
    ("Held-out likelihood by the length of a piece", "notes of a piece, mean of a quarter", NATS, _lengths, {}),
    ("Context: the same bars foretold from so many bars before", "bars", NATS, _context, {"log_x": True}),
    ("Recall: a motif after a gap", "empty bars", A_NOTE, _recall, {"log_x": True}),
    ("Gradient by the state so many tokens before", "tokens", NORM, _fading, {"log_x": True, "log_y": True}),
    ("Sensitivity to the learning rate, without clipping", "learning rate", NATS, _rates, {"log_x": True}),
)
