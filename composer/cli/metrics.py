"""`composer metrics`: figures of music files; also tables of figures for `composer evaluate`."""

from __future__ import annotations

import json
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import click

from composer.cli import writing
from composer.cli.tables import print_table
from composer.errors import ComposerError, EmptyDataset, printable

if TYPE_CHECKING:
    from composer.metrics import Contrast, Estimate, Measurements
    from composer.music.score import Score


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option(
    "--metrics",
    "names",
    default="all",
    show_default=True,
    help="Names, separated by commas; with options, NAME:OPTION=VALUE.",
)
@click.option("--json", "as_json", is_flag=True, help="Print figures of all files, of each and of every bar as JSON.")
@click.option("--plot", type=click.Path(path_type=Path), help="Plot the figures of every bar (.svg, .png, .pdf).")
@writing.force
def metrics(paths: tuple[Path, ...], names: str, as_json: bool, plot: Path | None, force: bool) -> None:
    """Measure FILEs, and those in folders: each metric over all of them, with its definition.

    Metrics that are distances from real pieces are shown as histograms; `composer evaluate MODEL DATASET --metrics all`
    compares a model with real pieces.

    \b
    composer metrics chorale.mid --plot chorale.svg
    composer metrics ~/midi --metrics polyphony,pitch-range --json
    """  # noqa: D301  (a \b keeps click from filling the lines)
    from composer import metrics as listening
    from composer.io.lint import list_music
    from composer.metrics import plain_values, plots
    from composer.plugins.specs import split_specs

    chosen = listening.make_metrics(split_specs(names, "metrics"))
    with writing.guard_plot(plot, reads=paths, force=force):
        found = listening.measure(_read_scores(list_music(paths)), chosen)
        if plot:
            plots.plot_bars(found, plot)
    if as_json:
        shown = {"files": list(found.titles), "metrics": plain_values.describe_values(found)}
        click.echo(json.dumps(shown, indent=1))
    else:
        _show(found)


def _read_scores(paths: list[Path]) -> list[Score]:
    """Read all pieces of the files, titled by their names. Print a line on stderr for each unreadable one."""
    from composer.io.formats import read_each
    from composer.music.score import Score

    scores = []
    for path in paths:
        try:
            for name, piece in read_each(path):
                if isinstance(piece, Score):
                    scores.append(replace(piece, title=Path(name).name))
                else:
                    click.echo(f"composer: {piece}", err=True)
        except ComposerError as error:
            click.echo(f"composer: {error}", err=True)
    if not scores:
        raise EmptyDataset("none of these files can be measured.")
    return scores


def _show(found: Measurements) -> None:
    from composer.metrics import get_definition

    what = printable(found.titles[0]) if len(found) == 1 else f"{len(found):,} files together"
    rows = [
        [
            printable(name),
            format_number(value),
            printable(found.metrics[name].unit),
            printable(get_definition(name), 400),
        ]
        for name, value in found.compute_figures().items()
        if isfinite(value)
    ]
    print_table(f"Metrics of {what}", ["metric", "figure", "unit", "definition"], rows)


def show_contrast(found: Contrast, title: str) -> None:
    """Print a row for each metric that either set has, and the distance between the sets."""
    rows = [
        [
            f.name,
            f.unit,
            format_number(f.model),
            format_number(f.real),
            *_format_estimate(f.overlap),
            *_format_estimate(f.divergence),
        ]
        for f in found.features
        if isfinite(f.model) or isfinite(f.real)
    ]
    headings = ["mean over pieces", "unit", "model", "real", "overlap", "halves", "KL, bits", "halves"]
    print_table(title, headings, [list(map(printable, row)) for row in rows])
    whole, halves = _format_estimate(found.distance)
    click.echo(
        f"Fréchet feature distance, {found.dimensions} features: {whole}; of halves of the real pieces {halves}."
    )


def _format_estimate(estimate: Estimate) -> tuple[str, str]:
    """Format a figure with its interval, and that of halves of the real pieces."""
    value, halves = (f"{x:.2f}" if isfinite(x) else "-" for x in (estimate.value, estimate.halves))
    interval = f" [{estimate.low:.2f}, {estimate.high:.2f}]" if isfinite(estimate.low) else ""
    return value + interval, halves


def format_number(value: float) -> str:
    """Format a figure."""
    if not isfinite(value):
        return "-"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
