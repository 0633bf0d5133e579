"""A trial as one page that opens from disk, and as JSON; it measures nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from html import escape
from importlib.resources import files as package
from pathlib import Path
from typing import Any

from composer.comparing.claims import examined
from composer.comparing.findings import Findings
from composer.comparing.plots import Place, plot
from composer.comparing.probes import LAGS
from composer.comparing.questions import QUESTIONS
from composer.comparing.statistics import Estimate, of_seeds
from composer.comparing.values import gap, gradient, recalled
from composer.files import whole_file

PAGE, DATA = "report.html", "report.json"


def write(findings: Findings, folder: Path) -> None:
    """Write the page and the data into a folder. Raises CannotWrite."""
    for name, text in ((PAGE, page(findings)), (DATA, json.dumps(data(findings), indent=1))):
        with whole_file(folder / name) as scratch:
            scratch.write_text(text, encoding="utf-8")


def data(findings: Findings) -> dict[str, Any]:
    """All that the page says, as plain values."""
    verdict = findings.verdict
    return {
        "trial": asdict(findings.trial),
        "verdict": {"text": verdict.text, "winner": verdict.winner, "losers": list(verdict.losers)},
        "standing": [{"architecture": name, **_interval(estimate)} for name, estimate in verdict.standing],
        "pairs": [
            {"better": p.better, "worse": p.worse, **_interval(p.behind), "p": p.p, "seeds": p.seeds}
            for p in verdict.pairs
        ],
        "costs": {name: dict(findings.cost(name)) for name in findings.names},
        "plots": {
            title: {name: [asdict(place) for place in places] for name, places in lines.items()}
            for title, _, _, lines, _ in figures(findings)
        },
        "claims": [
            {"number": claim.number, "claim": claim.text, "finding": found.state, "figure": found.figure}
            for claim, found in examined(findings)
        ],
        "missing": findings.holes(),
    }


def _interval(estimate: Estimate) -> dict[str, float | None]:
    """JSON has no infinity: an interval that is not known is null."""
    known = estimate.half_width != float("inf")
    return {
        "nats_per_note": round(estimate.mean, 5),
        "low": round(estimate.low, 5) if known else None,
        "high": round(estimate.high, 5) if known else None,
    }


# --- plots ------------------------------------------------------------------------------------------------------------

Figure = tuple[str, str, str, Mapping[str, Sequence[Place]], Mapping[str, bool]]


def figures(findings: Findings) -> Iterator[Figure]:
    """Title, axes and lines of every plot that there is something for."""
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
        mean = findings.mean("likelihood", name, 1.0, lambda result, lag=lag: gradient(result, lag))
        if mean is not None:
            found.append(Place(lag, mean.mean))
    return found


def _rates(findings: Findings, name: str) -> list[Place]:
    means = {
        rate: findings.mean("stability", name, rate, lambda r: r["valid"]) for rate in QUESTIONS["stability"].levels
    }
    return [_placed(rate, mean) for rate, mean in means.items() if mean is not None]


STEP, TIME, SHARE, WRONG = "steps", "minutes", "share of the pieces", "share of wrong notes"
NATS, A_NOTE, NORM = "nats per note", "nats a note (by chance 1.39)", "norm, beside that over one token"

FIGURES: Sequence[tuple[str, str, str, Callable[[Findings, str], list[Place]], Mapping[str, bool]]] = (
    ("Learning: validation against steps", STEP, NATS, _learning, {}),
    ("Learning: validation against time of a processor", TIME, NATS, _learning_in_time, {}),
    ("Held-out likelihood against the share of the data", SHARE, NATS, _data, {"log_x": True}),
    ("Held-out likelihood against wrong notes in training", WRONG, NATS, _noise, {}),
    ("Context: the same bars foretold from so many bars before", "bars", NATS, _context, {"log_x": True}),
    ("Recall: a motif after a gap", "empty bars", A_NOTE, _recall, {"log_x": True}),
    ("Gradient by the state so many tokens before", "tokens", NORM, _fading, {"log_x": True, "log_y": True}),
    ("Sensitivity to the learning rate, without clipping", "learning rate", NATS, _rates, {"log_x": True}),
)

# --- the page ---------------------------------------------------------------------------------------------------------


def page(findings: Findings) -> str:
    """One file, without anything from elsewhere."""
    style = package("composer.comparing").joinpath("report.css").read_text(encoding="utf-8")
    named = findings.trial.named
    title = f"{' or '.join(findings.names)}? Measured on {named.get('title', 'music')}"
    plots = "".join(
        plot(heading, across, up, lines, number=number, **scales)
        for number, (heading, across, up, lines, scales) in enumerate(figures(findings))
    )
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="verdict">{escape(findings.verdict.text)}</p>',
        _missing(findings),
        _how(findings),
        "<h2>What each costs and comes to</h2>",
        _costs(findings),
        "<h2>Pairs</h2>",
        _pairs(findings),
        "<h2>In pictures</h2>",
        plots or "<p>There is nothing to draw yet.</p>",
        "<h2>What is said of LSTM and GRU, and what was measured here</h2>",
        _claims(findings),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )


def _missing(findings: Findings) -> str:
    holes = "".join(f"<li>{escape(hole)}</li>" for hole in findings.holes())
    return f'<section class="missing"><h2>What is missing</h2><ul>{holes}</ul></section>' if holes else ""


def _how(findings: Findings) -> str:
    trial, named = findings.trial, findings.trial.named
    pieces = (
        f"{named.get('train')} pieces to learn from, {named.get('valid')} to choose by, {named.get('test')} to test on"
    )
    return (
        f"<p>Music: {escape(named.get('dataset', ''))}, {pieces}. "
        f"{trial.seeds} seeds of each, {escape(findings.equal)}. "
        f"The same {trial.trials} learning rates and dropouts were tried for each and chosen by the validation split; "
        "the test split was scored once a run. Nats are of the natural logarithm, less is better. Intervals are of "
        "95 %, over seeds and pieces (Student's t); p is corrected for the number of pairs (Holm).</p>"
    )


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'


COLUMNS: Mapping[str, tuple[str, str]] = {
    "parameters": ("parameters", "{:,}"),
    "gates": ("gates", "{}"),
    "multiply_adds": ("multiply-adds a token", "{:,}"),
    "state_bytes": ("bytes of state", "{:,}"),
    "step_seconds": ("seconds a step", "{:.3f}"),
    "training_bytes": ("bytes held in training", "{:,}"),
    "write_seconds": ("seconds a written token", "{:.2g}"),
    "write_seconds_64": ("… of each of 64 at once", "{:.2g}"),
}


def _costs(findings: Findings) -> str:
    rows = []
    for name in findings.names:
        cost, estimate = findings.cost(name), findings.likelihood(name)
        apart = findings.mean("likelihood", name, 1.0, gap)
        told = [form.format(cost[key]) if cost.get(key) is not None else "—" for key, (_, form) in COLUMNS.items()]
        rows.append([name, shown(estimate), shown(apart), *told])
    return _rows(["", "nats per note", "valid less train", *(head for head, _ in COLUMNS.values())], rows)


def shown(estimate: Estimate | None) -> str:
    """A mean with its interval."""
    if estimate is None:
        return "—"
    known = estimate.half_width != float("inf")
    return f"{estimate.mean:.3f}" + (f" [{estimate.low:.3f}, {estimate.high:.3f}]" if known else "")


def _pairs(findings: Findings) -> str:
    rows = [
        [
            f"{p.worse} behind {p.better}",
            shown(p.behind),
            f"{p.p:.3g}",
            "beyond chance" if p.decided else "may be chance",
        ]
        for p in findings.verdict.pairs
    ]
    return _rows(["pair", "nats per note", "p", ""], rows)


def _claims(findings: Findings) -> str:
    rows = [[str(claim.number), claim.text, found.state, found.figure] for claim, found in examined(findings)]
    return _rows(["", "claim", "here", "measured"], rows)
