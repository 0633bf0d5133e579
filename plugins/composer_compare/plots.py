"""Plots as SVG inside a page, each with a table of the same numbers.

The page sets the colours, light and dark: those of the plots become its CSS variables.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from composer.metrics.plot_style import COLOURS, GRID, INK, clean_label, make_line_style, save_figure, use_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

WIDTH, HEIGHT = 5.6, 3.3
"""Inches."""

ABREAST = 4
"""Names in a row of the legend."""

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
        figure.legend(loc="outside upper left", ncols=ABREAST)
        file = io.BytesIO()
        save_figure(figure, file, "svg", transparent=True)
    return file.getvalue().decode()


def _draw_line(axes: Axes, number: int, name: str, places: Sequence[Point], log_y: bool) -> None:
    """Draw a line, and its intervals as a band."""
    line = make_line_style(number)
    axes.plot([p.x for p in places], [p.y for p in places], label=clean_label(name), **line)
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
