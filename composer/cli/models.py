"""`composer models`: the installed models, and the card of one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from composer.cli import completing
from composer.cli.tables import print_table
from composer.errors import BadModelFile, printable
from composer.plugins.registry import registry


@click.group(invoke_without_command=True)
@click.pass_context
def models(ctx: click.Context) -> None:
    """List the models, or look at one: `composer models show NAME`."""
    if ctx.invoked_subcommand is not None:
        return
    from composer.model import find_model, load

    rows = []
    for name, offer in sorted(registry().offers["models"].items()):
        try:
            card = load(find_model(name)).card
            test = card.get("test", {})
            rows.append([name, str(card.get("title", "")), f"{test.get('nats_per_note', float('nan')):.3f}"])
        except Exception as error:  # a broken model of one plugin must not end the list
            rows.append([name, f"{error} ({offer.plugin.name})", ""])
    print_table("Models", ["name", "title", "nats per note"], rows)
    click.echo("`composer models show NAME` shows all of one, and its licence.")


@models.command()
@click.argument("name", shell_complete=completing.complete_names("models", or_files=True))
@click.option("--json", "as_json", is_flag=True, help="Print the card as JSON.")
def show(name: str, as_json: bool) -> None:
    """Show the card of a model: architecture, tokenizer, data, licence, likelihood, and how its music measures up."""
    from composer.io.pieces import SELLING
    from composer.model import find_model, load

    path = find_model(name)
    model = load(path)
    about = {
        "file": f"{path.stat().st_size / 1e6:.2f} MB, hash {model.hash[:16]}",
        "architecture": {model.architecture.name: dict(model.architecture.options)},
        "tokenizer": {model.tokenizer.name: dict(model.tokenizer.options), "vocabulary": len(model.vocabulary)},
    }
    card = {**about, **model.card}
    if as_json:
        click.echo(json.dumps(card, indent=1))
        return
    card = {key: value for name in card for key, value in _add_answer(name, card[name], SELLING)}
    tables = {key: card.pop(key) for key in TABLES if card.get(key)}
    for line in _format_lines(card):
        click.echo(line)
    try:
        for key, values in tables.items():
            TABLES[key](values)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise BadModelFile(f"{printable(name)}: its card contains an invalid table of figures.") from None


def _add_answer(name: str, value: Any, answer: str) -> list[tuple[str, Any]]:
    """Return an entry of a card; below the licence, whether a piece may be sold."""
    return [(name, value), ("May I sell it?", answer)] if name == "licence" else [(name, value)]


def _show_listening(listening: Mapping[str, Any]) -> None:
    from composer.metrics import HEADINGS, Figure, format_rows

    figures = [Figure.from_json(row) for row in listening["figures"]]
    test = [f"{row['test']:.3g}" for row in listening["figures"]]
    headings = [*HEADINGS, "test split"]
    print_table(listening["title"], headings, [[*row, t] for row, t in zip(format_rows(figures), test, strict=True)])


def _show_originality(originality: Mapping[str, Any]) -> None:
    from composer.cli.originality import show_beside

    title = f"What it copies from its training split, in passages of {originality['least']} notes or more"
    show_beside(originality, originality["held_out"], title)


TABLES: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
    "listening": _show_listening,
    "originality": _show_originality,
}
"""Parts of a card that are shown as tables, below the rest."""


def _format_lines(values: Mapping[str, Any], indent: int = 0) -> list[str]:
    lines = []
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            lines.append(f"{' ' * indent}{printable(name)}")
            lines.extend(_format_lines(value, indent + 2))
        elif value not in (None, "", {}, []):
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            lines.append(f"{' ' * indent}{printable(name):<{22 - indent}} {printable(shown, 400)}")
    return lines


@models.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the generated pieces.")
def measure(path: Path, seed: int) -> None:
    """Measure a model: compare its pieces with those of its dataset, and add the table to its card."""
    from composer.model import load, save
    from composer.training.model_card import measure_model

    model = measure_model(load(path), seed=seed)
    save(model, path)
    click.echo(f"{path}: measured.")
