"""Plots of measured scores: distributions of two sets, and figures bar by bar.

All plots of the engine and its plugins have one style, drawn by matplotlib. Equal plots are equal files, whatever the
user's settings. Text stays text in SVG, so that it can be searched and needs no glyph outlines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from composer.errors import CannotWrite, printable
from composer.metrics.distances import Contrast, Densities
from composer.metrics.measurements import Measurements
from composer.storage.atomic import write_whole_file

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# --- style ------------------------------------------------------------------------------------------------------------


COLOURS = ("#0b62c4", "#b8420f", "#18794e", "#8e3bb0", "#8a6500", "#b3245c", "#0f7785", "#555555")
"""Of lines, distinct for colour-blind readers together with dashes and markers."""

INK, GRID = "#5b5f66", "#d9dce1"
"""Of text and axes, and of the lines between."""

_DASHES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D", "v")

_STYLE: Mapping[str, Any] = {
    "svg.hashsalt": "composer",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    "grid.color": GRID,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.markersize": 4,
}

_METADATA: Mapping[str, Mapping[str, None]] = {
    "svg": dict.fromkeys(("Date", "Creator", "Format", "Type")),
    "pdf": dict.fromkeys(("CreationDate", "Creator", "Producer")),
    "png": {"Software": None},
}
"""Left out: dates and versions would make equal plots differ."""


@contextmanager
def use_style() -> Iterator[None]:
    """Draw and save figures in the common style within this context."""
    from matplotlib import style

    with style.context(["default", dict(_STYLE)]):
        yield


def make_line_style(number: int) -> dict[str, Any]:
    """Return colour, dashes and marker of a line by its number; lines are distinct without colour, too."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": _DASHES[number % len(_DASHES)],
        "marker": _MARKERS[number % len(_MARKERS)],
    }


def clean_label(text: str, limit: int = 40) -> str:
    """Make a name safe to draw: matplotlib reads `$` as mathematics, and hides legend entries that begin with `_`."""
    return printable(text, limit).replace("$", r"\$").lstrip("_")


def save_figure(figure: Figure, target: Path | IO[bytes], kind: str, *, transparent: bool = False) -> None:
    """Save a figure as `svg`, `png` or `pdf`, the same bytes each time."""
    figure.savefig(target, format=kind, dpi=150, metadata=_METADATA[kind], transparent=transparent)


# --- plots ------------------------------------------------------------------------------------------------------------


SUFFIXES = (".svg", ".png", ".pdf")

_ACROSS, _WIDTH, _HEIGHT = 4, 3.0, 2.0  # panels in a row, and inches of each
_MOST = 4  # pieces drawn in one panel


def check_plot(path: Path) -> None:
    """Raise CannotWrite, before any work, for an unknown suffix."""
    if path.suffix.lower() not in SUFFIXES:
        raise CannotWrite(f"{printable(str(path))}: a plot is written as {', '.join(SUFFIXES)}.")


def plot_contrast(found: Contrast, ours: Measurements, real: Measurements, path: Path, names: tuple[str, str]) -> None:
    """Write the densities of the figures of single pieces in both sets, a panel for each metric.

    `names` are the names of the sets, ours first. Raises CannotWrite.
    """
    mine, theirs = ours.compute_by_piece(real), real.compute_by_piece(real)
    features = [f for f in found.features if np.isfinite([f.model, f.real]).all()]
    with _draw_panels(len(features), path) as panels:
        for panel, feature in zip(panels, features, strict=True):
            sets = (values[feature.name] for values in (mine, theirs))
            both = Densities(*(values[np.isfinite(values)] for values in sets))
            for number, density in enumerate((both.estimate_ours(), both.estimate_real())):
                line = make_line_style(number) | {"marker": ""}
                panel.plot(both.grid, density[0], label=clean_label(names[number]), **line)
            panel.set_yticks([])
            panel.set_title(f"{feature.name}\noverlap {feature.overlap.value:.2f}")
            panel.set_xlabel(feature.unit)


def plot_bars(measured: Measurements, path: Path) -> None:
    """Write the figures of each bar: a panel for each metric, and a line for each of the first pieces.

    A pickup is bar 0. Metrics without values for bars are left out. Raises CannotWrite.
    """
    from matplotlib.ticker import MaxNLocator

    pieces = range(min(len(measured), _MOST))
    bars = [measured.compute_by_bar(piece) for piece in pieces]
    names = [n for n in measured.metrics if sum(np.isfinite(found[n]).sum() for found in bars) > len(pieces)]
    with _draw_panels(len(names), path) as panels:
        for panel, name in zip(panels, names, strict=True):
            for piece in pieces:
                places = np.arange(len(bars[piece][name])) + 1 - measured.pickups[piece]
                title = clean_label(measured.titles[piece]) or f"piece {piece + 1}"
                panel.plot(places, bars[piece][name], markersize=2.5, label=title, **make_line_style(piece))
            panel.set_title(name)
            panel.set_ylabel(measured.metrics[name].unit)
            panel.set_xlabel("bar")
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))


@contextmanager
def _draw_panels(count: int, path: Path) -> Iterator[Sequence[Axes]]:
    """Yield so many empty panels; write the figure when they are drawn."""
    from matplotlib.figure import Figure

    down = max(ceil(count / _ACROSS), 1)
    with use_style():
        figure = Figure(figsize=(_ACROSS * _WIDTH, down * _HEIGHT + 0.6), layout="constrained")
        panels = [figure.add_subplot(down, _ACROSS, place + 1) for place in range(count)]
        yield panels
        if panels:
            figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=_MOST)
        with write_whole_file(path) as scratch:
            save_figure(figure, scratch, path.suffix.lower()[1:])
