"""`composer datasets`, and tables for all commands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

import click

from composer.errors import printable
from composer.plugins.registry import registry

LONGEST_CELL = 10_000
"""Characters of a cell; cells may come from files."""

SHORT = 20
"""Characters of a column that stays whole."""

RULE = 80
"""Characters of the rule below the headings on a pipe, where lines may be of any length."""


def print_table(title: str, headings: list[str], rows: list[list[str]]) -> None:
    """Print a table. On a pipe each line is as long as its content."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=max(80, 4 + sum(max(map(len, c)) + 3 for c in zip(headings, *rows))))  # noqa: B905
    shown = Table(title=Text(printable(title, LONGEST_CELL)), title_justify="left", box=box.SIMPLE_HEAD)
    columns = list(zip_longest(headings, *rows, fillvalue=""))
    whole = _choose_whole_columns(columns, console.width)
    for (heading, *cells), is_whole in zip(columns, whole, strict=True):
        least = min(max(_measure_words((heading, *cells))), SHORT)  # no word is cut
        shown.add_column(heading, overflow="fold", no_wrap=is_whole, min_width=least)
    for row in rows:
        shown.add_row(*(Text(printable(cell, LONGEST_CELL)) for cell in row))
    if console.is_terminal:
        console.print(shown)
        return
    with console.capture() as captured:
        console.print(shown)
    for line in captured.get().splitlines():
        click.echo(line.rstrip() if line.strip(" ─") else line[:RULE].rstrip())


def _choose_whole_columns(columns: Sequence[Sequence[str]], width: int) -> list[bool]:
    """Choose the columns that a narrow terminal does not break: those with short cells, where all fit."""
    lengths = [max(map(len, cells)) for cells in columns]
    is_short = [length <= SHORT for length in lengths]
    words = [min(max(_measure_words(cells)), SHORT) for cells in columns]
    least = [a if short else b for a, b, short in zip(lengths, words, is_short, strict=True)]
    return is_short if sum(least) + 3 * len(columns) + 1 <= width else [False] * len(columns)


def _measure_words(cells: Iterable[str]) -> list[int]:
    """Measure the longest word of each cell, in characters."""
    return [max(map(len, cell.split()), default=0) for cell in cells]


@click.command()
def datasets() -> None:
    """List the datasets: names that `composer train` takes."""
    rows, licences = [], []
    for name, offer in sorted(registry().offers["datasets"].items()):
        required = _list_required(name)
        # A dataset without required options is created: its title may depend on its options.
        thing: Any = offer.make if required else offer.make()
        shown = f"{name}:{required[0].upper()}" if required else name
        rows.append([shown, printable(str(thing.title)), offer.plugin.name])
        licences.append(f"{name}: {printable(str(thing.licence), 1_000)}")
    print_table("Datasets", ["name", "title", "plugin"], rows)
    click.echo("Licences")
    for licence in licences:
        click.echo(f"  {licence}.")


def _list_required(name: str) -> list[str]:

    return [option.name for option in registry().get_offer("datasets", name).options if option.required]
