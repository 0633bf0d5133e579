"""Line plots and intervals as SVG inside a page, light and dark; they know no results.

Every line has a shape of its own beside its colour, and every plot a title and a table that says the same in numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 560, 300, 66, 46, 14, 18

FEW = 8
"""Levels that have room below a plot."""

COLOURS = 8
"""Classes `.c0` to `.c7` of the page; the next architecture begins again, with another shape."""

SHAPES = ("M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0", "M-4-4h8v8h-8z", "M0-5l5 9h-10z", "M0-5l5 5-5 5-5-5z", "M-5-4h10l-5 9z")


@dataclass(frozen=True)
class Place:
    """A point of a line, with the ends of its interval where there is one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


Lines = Mapping[str, Sequence[Place]]


@dataclass(frozen=True)
class Scale:
    """From values to places on the page."""

    low: float
    high: float
    first: float
    last: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """Where a value is."""
        low, high, at = (math.log(v) if self.logarithmic else v for v in (self.low, self.high, value))
        return self.first + (at - low) / ((high - low) or 1.0) * (self.last - self.first)


def plot(
    title: str, across: str, up: str, lines: Lines, *, log_x: bool = False, log_y: bool = False, number: int = 0
) -> str:
    """A figure with a plot and its table; empty if there is nothing to show."""
    lines = {name: [p for p in places if _shown(p, log_x, log_y)] for name, places in lines.items()}
    points = [place for places in lines.values() for place in places]
    if not points:
        return ""
    x = _scale([p.x for p in points], LEFT, WIDTH - RIGHT, log_x)
    ends = [value for p in points for value in (p.y, p.low, p.high) if value is not None and _finite(value, log_y)]
    y = _scale(ends, HEIGHT - BOTTOM, TOP, log_y)
    drawn = "".join(_line(place, name, places, x, y) for place, (name, places) in enumerate(lines.items()))
    asked = sorted({p.x for p in points})
    marks = asked if log_x and len(asked) <= FEW else _ticks(x)  # levels that were asked for, or round values
    label = f"plot-{number}"
    return (
        f'<figure><figcaption id="{label}">{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{label}">'
        f"{_axes(x, y, marks, across, up)}{drawn}</svg>{_legend(list(lines))}{_table(across, up, lines)}</figure>"
    )


def _shown(place: Place, log_x: bool, log_y: bool) -> bool:
    return _finite(place.x, log_x) and _finite(place.y, log_y)


def _finite(value: float, logarithmic: bool) -> bool:
    return math.isfinite(value) and (value > 0 or not logarithmic)


def _scale(values: Sequence[float], first: float, last: float, logarithmic: bool) -> Scale:
    low, high = min(values), max(values)
    if logarithmic:
        return Scale(low / 1.05, high * 1.05, first, last, True)
    margin = (high - low) * 0.05 or 0.5
    return Scale(low - margin, high + margin, first, last)


def _line(number: int, name: str, places: Sequence[Place], x: Scale, y: Scale) -> str:
    path = " ".join(f"{x(p.x):.1f},{y(p.y):.1f}" for p in places)
    shape = SHAPES[number % len(SHAPES)]
    marks = "".join(
        f'<path class="mark" d="{shape}" transform="translate({x(p.x):.1f} {y(p.y):.1f})">'
        f"<title>{escape(name)}: {_number(p.x)}, {_number(p.y)}</title></path>"
        for p in places
    )
    return f'<g class="c{number % COLOURS}">{_band(places, x, y)}<polyline points="{path}"/>{marks}</g>'


def _band(places: Sequence[Place], x: Scale, y: Scale) -> str:
    """The intervals, from point to point."""
    known = [(p, p.low, p.high) for p in places if p.low is not None and p.high is not None]
    known = [(p, low, high) for p, low, high in known if math.isfinite(low + high)]
    if not known:
        return ""
    above = [f"{x(p.x):.1f},{y(min(high, y.high)):.1f}" for p, _, high in known]
    below = [f"{x(p.x):.1f},{y(max(low, y.low)):.1f}" for p, low, _ in known]
    return f'<polygon class="band" points="{" ".join(above + below[::-1])}"/>'


def _axes(x: Scale, y: Scale, marks: Sequence[float], across: str, up: str) -> str:
    parts = []
    for value in _ticks(y):
        at = y(value)
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{_number(value)}</text>')
    low = HEIGHT - BOTTOM + 16
    parts += [f'<text x="{x(v):.1f}" y="{low}" text-anchor="middle">{_number(v)}</text>' for v in marks]
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(across)}</text>')
    turned = f'transform="translate(14 {(HEIGHT - BOTTOM + TOP) / 2}) rotate(-90)"'
    parts.append(f'<text {turned} text-anchor="middle">{escape(up)}</text>')
    return "".join(parts)


def _ticks(scale: Scale) -> list[float]:
    """A few round values: powers of 2 or 10 on a logarithmic scale."""
    if scale.logarithmic:
        base = 2 if scale.high / scale.low < 500 else 10
        first, last = (math.log(v, base) for v in (scale.low, scale.high))
        step = max(1, math.ceil((last - first) / 7))
        return [float(base) ** power for power in range(math.ceil(first), math.floor(last) + 1, step)]
    rough = (scale.high - scale.low) / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next((power * m for m in (1, 2, 5) if power * m >= rough), 10 * power)
    return [step * n for n in range(math.ceil(scale.low / step), math.floor(scale.high / step) + 1)]


def _legend(names: Sequence[str]) -> str:
    items = "".join(
        f'<li class="c{n % COLOURS}"><svg viewBox="-7 -7 14 14" aria-hidden="true"><path class="mark" '
        f'd="{SHAPES[n % len(SHAPES)]}"/></svg>{escape(name)}</li>'
        for n, name in enumerate(names)
    )
    return f'<ul class="legend">{items}</ul>'


def _table(across: str, up: str, lines: Lines) -> str:
    xs = sorted({place.x for places in lines.values() for place in places})
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in lines)
    rows = []
    for at in xs:
        cells = []
        for places in lines.values():
            found = next((p for p in places if p.x == at), None)
            cells.append(f"<td>{_cell(found)}</td>")
        rows.append(f'<tr><th scope="row">{_number(at)}</th>{"".join(cells)}</tr>')
    return (
        f"<details><summary>In numbers</summary><div class='wide'><table><caption>{escape(up)}</caption>"
        f"<tr><th scope='col'>{escape(across)}</th>{head}</tr>{''.join(rows)}</table></div></details>"
    )


def _cell(place: Place | None) -> str:
    if place is None:
        return ""
    if place.low is None or place.high is None or not math.isfinite(place.low + place.high):
        return _number(place.y)
    return f"{_number(place.y)} [{_number(place.low)}, {_number(place.high)}]"


def _number(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e5 else f"{value:,.0f}"
