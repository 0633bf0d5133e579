"""The common style of all plots, drawn by matplotlib. Equal plots are equal files, whatever the user's settings.

Text stays text in SVG, so that it can be searched and needs no glyph outlines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from composer.errors import printable

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

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


def clean_label(text: str) -> str:
    """Make a name safe to draw: matplotlib reads `$` as mathematics, and hides legend entries that begin with `_`."""
    return printable(text, 40).replace("$", r"\$").lstrip("_")


def save_figure(figure: Figure, target: Path | IO[bytes], kind: str, *, transparent: bool = False) -> None:
    """Save a figure as `svg`, `png` or `pdf`, the same bytes each time."""
    figure.savefig(target, format=kind, dpi=150, metadata=_METADATA[kind], transparent=transparent)
