"""`composer evaluate`: how well a model predicts the pieces of a dataset, and how close its own music is to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from composer.cli import completing, writing
from composer.cli.metrics import show_contrast
from composer.cli.options import WithPlugins, get_options
from composer.cli.tables import print_table
from composer.errors import BadOption
from composer.plugins.registry import registry

if TYPE_CHECKING:
    from composer.training.model_card import Comparison


class EvaluateCommand(WithPlugins):
    """A command with the options of datasets. Tokenizer and architecture are the model's."""

    kinds = ("datasets",)


@click.command(cls=EvaluateCommand)
@click.argument("model_name", metavar="MODEL", shell_complete=completing.complete_names("models", or_files=True))
@click.argument("dataset_name", metavar="DATASET", shell_complete=completing.complete_names("datasets", or_files=True))
@click.option(
    "--split", type=click.Choice(["test", "valid", "train"]), default="test", show_default=True, help="Which pieces."
)
@click.option("--metrics", "names", help="Generate pieces and compare them with real ones: all, or names with commas.")
@click.option("--against", metavar="DATASET", help="Dataset of the real pieces.  [DATASET]")
@click.option("--count", type=click.IntRange(1), help="Pieces to generate.  [as many as real ones, at most 50]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the generated pieces.")
@click.option("--plot", type=click.Path(path_type=Path), help="Plot the distributions of metrics (.svg, .png, .pdf).")
@writing.force
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, …")
@click.option("--workers", type=click.IntRange(1), help="Processes that read files.  [one for each core]")
@click.pass_context
def evaluate(
    ctx: click.Context,
    model_name: str,
    dataset_name: str,
    split: str,
    names: str | None,
    against: str | None,
    count: int | None,
    seed: int,
    plot: Path | None,
    force: bool,
    as_json: bool,
    device: str,
    workers: int | None,
) -> None:
    """Evaluate MODEL, a name or a .safetensors file, on the pieces of DATASET, in nats (less is better).

    A dataset of the kind that the model was trained on is read with the options of the training. With --metrics, MODEL
    also generates pieces as its card suggests, and these are compared with the real ones of the split.

    \b
    composer evaluate chorales chorales
    composer evaluate mine.safetensors folder:~/midi --split valid --json
    composer evaluate chorales chorales --metrics all --plot chorales.svg
    """  # noqa: D301  (a \b keeps click from filling the lines)
    kind = dataset_name.partition(":")[0]
    registry().get_offer("datasets", kind)
    wanted = _choose_metrics(names, against, plot)
    ctx.with_resource(writing.guard_plot(plot, reads=[model_name, dataset_name, against], force=force))
    [options] = get_options(ctx, [("datasets", kind)])
    from composer.cli.progress import build_corpus
    from composer.data.datasets import make_dataset
    from composer.devices import choose_device
    from composer.generation.composer import open_model
    from composer.training import evaluation

    generator = open_model(model_name)
    model, tokenizer = generator.model, generator.tokenizer
    module = model.make_module().to(choose_device(device))
    options = {**_find_trained_options(model.card, kind), **options}
    corpus = build_corpus(make_dataset(dataset_name, **options), tokenizer, dataset_name, workers)
    found = evaluation.evaluate(module, corpus, tokenizer, split)
    beside = None
    if wanted:
        from composer.training.model_card import compare_with_real as measured

        if against:
            other = make_dataset(against, **_find_trained_options(model.card, against.partition(":")[0]))
            corpus = build_corpus(other, tokenizer, against, workers)
        beside = measured(generator, corpus, split, names=wanted, count=count or 0, seed=seed)
        if plot:
            _plot(beside, plot, (model_name, f"{against or dataset_name}, {split}"))
    if as_json:
        more = {"metrics": {"seed": seed, "against": against or dataset_name, **beside.to_json()}} if beside else {}
        click.echo(json.dumps({**found, **more}, indent=1))
        return
    _show(split, found)
    if beside:
        sets = f"{len(beside.model)} pieces of {model_name} beside {len(beside.real)} of {against or dataset_name}"
        show_contrast(beside.contrast, f"{sets} ({split} split)")


def _choose_metrics(names: str | None, against: str | None, plot: Path | None) -> list[str]:
    """List the chosen metrics; none without `--metrics`. Raises BadOption before the work."""
    if names is None:
        if against or plot:
            raise BadOption(f"{'--against' if against else '--plot'} needs --metrics; try --metrics all.")
        return []
    from composer.metrics import make_metrics
    from composer.plugins.specs import split_specs

    if against:
        registry().get_offer("datasets", against.partition(":")[0])
    wanted = split_specs(names, "metrics")
    make_metrics(wanted)
    return wanted


def _plot(beside: Comparison, plot: Path, names: tuple[str, str]) -> None:
    from composer.metrics.plots import plot_contrast

    plot_contrast(beside.contrast, beside.model, beside.real, plot, names)


def _find_trained_options(card: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return the dataset options of the model's training, if that dataset was of this kind."""
    recipe = card.get("recipe", {})
    return recipe.get("dataset_options", {}) if recipe.get("dataset", "").partition(":")[0] == kind else {}


def _show(split: str, found: Mapping[str, Any]) -> None:
    """Print a row for each count, and one for each unit of likelihood; that of the dataset by its name."""
    both = (found, found["masked"])
    counts = [name for name in ("pieces", "notes", "frames", "units") if name in found]
    nats = [name for name in ("nats_per_note", "nats_per_beat", "nats_per_frame", "nats_per_unit") if name in found]
    rows = [[name, *(f"{those[name]:,}" for those in both)] for name in counts]
    rows += [[_name_likelihood(name, found), *(f"{those[name]:.3f}" for those in both)] for name in nats]
    print_table(f"Likelihood of the {split} split", ["", "plain", "within the grammar"], rows)


def _name_likelihood(figure: str, found: Mapping[str, Any]) -> str:
    """Name a figure for people: nats per the dataset's own unit where that is meant."""
    return f"nats per {found['unit']}" if figure == "nats_per_unit" else figure.replace("_", " ")
