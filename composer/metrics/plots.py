"""Plots of measured scores: distributions of two sets, and figures bar by bar."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from composer.errors import CannotWrite, printable
from composer.metrics.contrasting import Contrast
from composer.metrics.densities import Densities
from composer.metrics.measured import Measured
from composer.storage.atomic import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".svg", ".png", ".pdf")

_ACROSS, _WIDTH, _HEIGHT = 4, 3.0, 2.0  # panels in a row, and inches of each
_COLOURS = ("#0072b2", "#d55e00", "#00875f", "#b8588f")  # distinct for colour-blind readers too
_STYLES = ("-", "--", "-.", ":")
_MOST = 4  # pieces drawn in one panel


def check_plot(path: Path) -> None:
    """Raise CannotWrite, before any work, for an unknown suffix."""
    if path.suffix.lower() not in SUFFIXES:
        raise CannotWrite(f"{printable(str(path))}: a plot is written as {', '.join(SUFFIXES)}.")


def plot_contrast(found: Contrast, ours: Measured, real: Measured, path: Path, names: tuple[str, str]) -> None:
    """Write the densities of the figures of single pieces in both sets, a panel for each metric.

    `names` are the names of the sets, ours first. Raises CannotWrite.
    """
    mine, theirs = ours.pieces(real), real.pieces(real)
    features = [f for f in found.features if np.isfinite([f.model, f.real]).all()]
    figure, panels = _panels(len(features))
    for panel, feature in zip(panels, features, strict=True):
        sets = (values[feature.name] for values in (mine, theirs))
        both = Densities(*(values[np.isfinite(values)] for values in sets))
        for number, density in enumerate((both.of_ours(), both.of_real())):
            panel.plot(both.grid, density[0], _STYLES[number], color=_COLOURS[number], label=_text(names[number]))
        panel.set_yticks([])
        panel.set_title(f"{feature.name}\noverlap {feature.overlap.value:.2f}", fontsize=8)
        panel.set_xlabel(feature.unit, fontsize=7)
    _write(figure, panels, path)


def plot_bars(measured: Measured, path: Path) -> None:
    """Write the figures of each bar: a panel for each metric, and a line for each of the first pieces.

    A pickup is bar 0. Metrics without values for bars are left out. Raises CannotWrite.
    """
    from matplotlib.ticker import MaxNLocator

    pieces = range(min(len(measured), _MOST))
    bars = [measured.bars(piece) for piece in pieces]
    names = [n for n in measured.metrics if sum(np.isfinite(found[n]).sum() for found in bars) > len(pieces)]
    figure, panels = _panels(len(names))
    for panel, name in zip(panels, names, strict=True):
        for piece in pieces:
            places = np.arange(len(bars[piece][name])) + 1 - measured.upbeats[piece]
            style, title = _STYLES[piece], _text(measured.titles[piece]) or f"piece {piece + 1}"
            panel.plot(places, bars[piece][name], style, color=_COLOURS[piece], marker=".", markersize=3, label=title)
        panel.set_title(name, fontsize=8)
        panel.set_ylabel(measured.metrics[name].unit, fontsize=7)
        panel.set_xlabel("bar", fontsize=7)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    _write(figure, panels, path)


def _panels(count: int) -> tuple[Figure, Sequence[Axes]]:
    from matplotlib.figure import Figure

    down = max(ceil(count / _ACROSS), 1)
    figure = Figure(figsize=(_ACROSS * _WIDTH, down * _HEIGHT + 0.6), layout="constrained")
    panels = [figure.add_subplot(down, _ACROSS, place + 1) for place in range(count)]
    for panel in panels:
        panel.tick_params(labelsize=7)
    return figure, panels


def _write(figure: Figure, panels: Sequence[Axes], path: Path) -> None:
    import matplotlib

    if panels:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=_MOST, fontsize=8)
    kind = path.suffix.lower()[1:]
    dated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)  # the same plot gives the same file
    with matplotlib.rc_context({"svg.hashsalt": "composer"}), whole_file(path) as scratch:
        figure.savefig(scratch, format=kind, dpi=150, metadata=dated)


def _text(text: str) -> str:
    """Make a name safe to draw: matplotlib reads `$` as mathematics, and hides legend entries that begin with `_`."""
    return printable(text, 40).replace("$", r"\$").lstrip("_")
