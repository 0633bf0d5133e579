"""The plots of an experiment as SVG inside a page, each with a table of the same numbers.

The page sets the colours, light and dark: those of the plots become its CSS variables.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from composer.metrics.plots import COLOURS, GRID, INK, clean_label, make_line_style, save_figure, use_style
from composer_compare.probes import LAGS
from composer_compare.questions import ABLATIONS
from composer_compare.results import Results, collect_recall, compute_fading
from composer_compare.statistics import Estimate, estimate_from_pieces, estimate_from_seeds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis


# --- one plot ---------------------------------------------------------------------------------------------------------


WIDTH, HEIGHT = 5.6, 3.3
"""Inches."""

ABREAST, LEGEND = 4, 60
"""Names and characters in a row of the legend, at most."""

LONGEST = 100
"""Characters of a name in the legend, at most."""

FEW = 8
"""The most levels that each get a label on the axis."""

VARIABLES = {**{colour: f"--c{number}" for number, colour in enumerate(COLOURS)}, INK: "--faint", GRID: "--line"}
"""The CSS variables of the page, by the colour of the plot."""


@dataclass(frozen=True)
class Point:
    """A point of a line, with the ends of its interval if known."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


Lines = Mapping[str, Sequence[Point]]


def plot(
    title: str, across: str, up: str, lines: Lines, *, log_x: bool = False, log_y: bool = False, number: int = 0
) -> str:
    """Draw a figure with a plot and its table; return an empty text if there is nothing to show."""
    lines = {name: [p for p in places if _can_show(p, log_x, log_y)] for name, places in lines.items()}
    if not any(lines.values()):
        return ""
    label = f"plot-{number}"
    head = f'<figcaption id="{label}">{escape(title)}</figcaption>'
    drawing = _prepare_for_page(_draw(across, up, lines, log_x, log_y), label)
    return f"<figure>{head}{drawing}{_make_table(across, up, lines)}</figure>"


def _can_show(place: Point, log_x: bool, log_y: bool) -> bool:
    return _is_on_scale(place.x, log_x) and _is_on_scale(place.y, log_y)


def _is_on_scale(value: float, logarithmic: bool) -> bool:
    return math.isfinite(value) and (value > 0 or not logarithmic)


def _draw(across: str, up: str, lines: Lines, log_x: bool, log_y: bool) -> str:
    """Draw the lines as SVG."""
    from matplotlib.figure import Figure

    with use_style():
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        axes = figure.add_subplot()
        axes.set(xlabel=across, ylabel=up)
        axes.grid(axis="y")
        for number, (name, places) in enumerate(lines.items()):
            _draw_line(axes, number, name, places, log_y)
        axes.set_xscale("log" if log_x else "linear")
        axes.set_yscale("log" if log_y else "linear")
        _label_ticks(axes.xaxis, sorted({p.x for places in lines.values() for p in places}) if log_x else [])
        _label_ticks(axes.yaxis, [])
        columns = LEGEND // max(len(name) for name in lines)
        figure.legend(loc="outside upper left", ncols=min(max(columns, 1), ABREAST))
        file = io.BytesIO()
        save_figure(figure, file, "svg", transparent=True)
    return file.getvalue().decode()


def _draw_line(axes: Axes, number: int, name: str, places: Sequence[Point], log_y: bool) -> None:
    """Draw a line, and its intervals as a band."""
    line = make_line_style(number)
    axes.plot([p.x for p in places], [p.y for p in places], label=clean_label(name, LONGEST), **line)
    ends = [(p.x, p.low, p.high) for p in places if p.low is not None and p.high is not None]
    known = [(x, low, high) for x, low, high in ends if _is_on_scale(low, log_y) and _is_on_scale(high, log_y)]
    if known:
        xs, lows, highs = zip(*known, strict=True)
        axes.fill_between(xs, lows, highs, color=line["color"], alpha=0.13, linewidth=0)


def _label_ticks(axis: Axis, levels: Sequence[float]) -> None:
    """Label the ticks as the table does; each level is a tick if there are few."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    if 0 < len(levels) <= FEW:
        axis.set_major_locator(FixedLocator(levels))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _format_number(value)))


def _prepare_for_page(svg: str, label: str) -> str:
    """Prepare an SVG file for a page: with identifiers of its own, and the colours of the page."""
    svg = svg[svg.index("<svg ") :].replace("<svg ", f'<svg role="img" aria-labelledby="{label}" ', 1)
    for before in (' id="', "url(#", 'href="#'):
        svg = svg.replace(before, f"{before}{label}-")
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg


def _make_table(across: str, up: str, lines: Lines) -> str:
    xs = sorted({place.x for places in lines.values() for place in places})
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in lines)
    rows = []
    for at in xs:
        cells = []
        for places in lines.values():
            found = next((p for p in places if p.x == at), None)
            cells.append(f"<td>{_format_point(found)}</td>")
        rows.append(f'<tr><th scope="row">{_format_number(at)}</th>{"".join(cells)}</tr>')
    return (
        f"<details><summary>In numbers</summary><div class='wide'><table><caption>{escape(up)}</caption>"
        f"<tr><th scope='col'>{escape(across)}</th>{head}</tr>{''.join(rows)}</table></div></details>"
    )


def _format_point(place: Point | None) -> str:
    if place is None:
        return ""
    if place.low is None or place.high is None or not math.isfinite(place.low + place.high):
        return _format_number(place.y)
    return f"{_format_number(place.y)} [{_format_number(place.low)}, {_format_number(place.high)}]"


def _format_number(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e5 else f"{value:,.0f}"


# --- the plots of an experiment ---------------------------------------------------------------------------------------


QUARTERS = 4

STEP, TIME, SHARE, WRONG = "steps", "minutes", "share of the pieces", "share of wrong notes"
NATS, A_NOTE, NORM = "nats per note", "nats a note (by chance 1.39)", "norm, beside that over one token"

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
