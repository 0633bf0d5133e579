"""`composer evaluate`: how well a model foretells the pieces of a dataset."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from composer.cli import completing
from composer.cli.options import WithThings, options_for
from composer.cli.tables import table
from composer.plugins import registry


class EvaluateCommand(WithThings):
    """Takes the options of datasets; the tokenizer and the architecture are the model's."""

    kinds = ("datasets",)


@click.command(cls=EvaluateCommand)
@click.argument("model_name", metavar="MODEL", shell_complete=completing.names("models", or_files=True))
@click.argument("dataset_name", metavar="DATASET", shell_complete=completing.names("datasets", or_files=True))
@click.option(
    "--split", type=click.Choice(["test", "valid", "train"]), default="test", show_default=True, help="Which pieces."
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, …")
@click.option("--workers", type=click.IntRange(1), help="Processes that read files; as many as cores unless given.")
@click.pass_context
def evaluate(
    ctx: click.Context,
    model_name: str,
    dataset_name: str,
    split: str,
    as_json: bool,
    device: str,
    workers: int | None,
) -> None:
    """Say how likely MODEL, a name or a .safetensors file, finds the pieces of DATASET, in nats (less is better).

    A dataset of the kind that the model was trained on is read as it was then, unless options say otherwise.

    \b
    composer evaluate chorales chorales
    composer evaluate mine.safetensors folder:~/midi --split valid --json
    """  # noqa: D301  (a \b keeps click from filling the lines)
    kind = dataset_name.partition(":")[0]
    registry().offer("datasets", kind)
    [options] = options_for(ctx, [("datasets", kind)])
    from composer import evaluation
    from composer.cli.train import build_corpus
    from composer.datasets import make_dataset
    from composer.devices import choose_device
    from composer.model import find, load

    model = load(find(model_name))
    tokenizer, module = model.make_tokenizer(), model.make_module().to(choose_device(device))
    options = {**_as_trained(model.card, kind), **options}
    corpus = build_corpus(make_dataset(dataset_name, **options), tokenizer, dataset_name, workers)
    found = evaluation.evaluate(module, corpus, tokenizer, split)
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        _show(split, found)


def _as_trained(card: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """The options that the dataset had which the model was trained on, if it was of that kind."""
    recipe = card.get("recipe", {})
    return recipe.get("dataset_options", {}) if recipe.get("dataset", "").partition(":")[0] == kind else {}


def _show(split: str, found: Mapping[str, Any]) -> None:
    """A row for what was counted, and one for each unit in which nats are told."""
    both = (found, found["masked"])
    counts = [name for name in ("pieces", "notes", "frames") if name in found]
    nats = [name for name in ("nats_per_note", "nats_per_beat", "nats_per_frame") if name in found]
    rows = [[name, *(f"{those[name]:,}" for those in both)] for name in counts]
    rows += [[name.replace("_", " "), *(f"{those[name]:.3f}" for those in both)] for name in nats]
    table(f"Likelihood of the {split} split", ["", "plain", "within the grammar"], rows)
