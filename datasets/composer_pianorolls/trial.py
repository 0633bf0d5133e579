"""Train several architectures by one recipe, with several seeds, for equal processor time.

    python -m composer_pianorolls.trial jsb.toml --dataset piano-rolls:JSB_Chorales.mat --results jsb.jsonl

Each finished run is a line of JSON in the file of results, and is not repeated. The number of steps is measured first,
in processor time, so that other work on the machine does not matter. The number of steps and the seed reproduce a run.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from composer.data.corpus import Corpus
    from composer.training.recipes import Recipe

ARCHITECTURES = "rnn,lstm,gru,mingru,minlstm"

TRIED = (20, 60)
"""Steps of the two short runs that measure the speed."""

Result = Mapping[str, Any]


@click.command()
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dataset", help="Follow the recipe with another dataset.")
@click.option("--results", type=click.Path(dir_okay=False, path_type=Path), required=True, help="A file of JSON lines.")
@click.option("--architectures", default=ARCHITECTURES, show_default=True, help="Names, with commas between.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Runs of each.")
@click.option("--minutes", type=float, default=5.0, show_default=True, help="Of a processor, for a run.")
def main(recipe: Path, dataset: str | None, results: Path, architectures: str, seeds: int, minutes: float) -> None:
    """Train every architecture after RECIPE in one thread, and print a table of what they reached."""
    import torch

    torch.set_num_threads(1)
    done = {(row["architecture"], row["seed"]) for row in read(results)}
    for seed in range(seeds):
        for name in architectures.split(","):
            if (name, seed) not in done:
                row = run(recipe, dataset, name, seed, minutes * 60)
                with results.open("a") as file:
                    file.write(json.dumps(row) + "\n")
    click.echo("\n".join(make_table(read(results))))


def run(path: Path, dataset: str | None, name: str, seed: int, seconds: float) -> Result:
    """Train for about `seconds`, and return figures of the model's card."""
    from composer.cli.progress import build_corpus
    from composer.training import recipe_file
    from composer.training.train import train_recipe

    plain = recipe_file.replace_value(recipe_file.read_recipe(path), "architecture", name)
    recipe = recipe_file.make_recipe({**plain, "dataset": dataset or plain["dataset"]})
    corpus = build_corpus(recipe.dataset, recipe.tokenizer, path.stem, None)
    settings = replace(recipe.settings, seed=seed, patience=recipe.settings.evaluations)
    recipe = replace(recipe, settings=settings)
    recipe = replace(recipe, settings=replace(settings, steps=_estimate_steps(recipe, corpus, seconds)))
    began = process_time()
    with tempfile.TemporaryDirectory() as folder:
        model = train_recipe(recipe, corpus, Path(folder) / "model.safetensors")
    assert model is not None  # noqa: S101  (only other processes of a group return none)
    card = model.card
    figures = {key: card[key] for key in ("seed", "parameters", "training", "test")}
    return {"recipe": path.name, "architecture": name, "seconds": round(process_time() - began, 1), **figures}


def _estimate_steps(recipe: Recipe, corpus: Corpus, seconds: float) -> int:
    """Estimate the number of steps in the time, validations included."""
    from composer.training.loop import train

    took = []
    for steps in TRIED:
        began = process_time()
        train(corpus, recipe.tokenizer, recipe.architecture, replace(recipe.settings, steps=steps, evaluations=1))
        took.append(process_time() - began)
    step = (took[1] - took[0]) / (TRIED[1] - TRIED[0])
    validation = max(took[0] - TRIED[0] * step, 0.0)
    return max(round((seconds - recipe.settings.evaluations * validation) / step), 1)


def read(path: Path) -> list[Result]:
    """Read the results in a file; without the file, none."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def make_table(results: Sequence[Result]) -> list[str]:
    """Return the lines of a Markdown table: one an architecture, means over seeds, best first."""
    rows = [(name, [row for row in results if row["architecture"] == name]) for name in _list_names(results)]
    rows.sort(key=lambda row: _compute_mean(row[1], "test", "nats_per_frame"))
    head = "| architecture | parameters | steps | minutes | nats per frame: mean | of each seed |"
    return [head, "|---|--:|--:|--:|--:|---|", *(_format_line(name, runs) for name, runs in rows)]


def _list_names(results: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(row["architecture"] for row in results))


def _format_line(name: str, runs: Sequence[Result]) -> str:
    each = ", ".join(f"{row['test']['nats_per_frame']:.3f}" for row in runs)
    minutes = statistics.mean(row["seconds"] for row in runs) / 60
    steps, nats = _compute_mean(runs, "training", "steps"), _compute_mean(runs, "test", "nats_per_frame")
    return f"| `{name}` | {runs[0]['parameters']:,} | {steps:,.0f} | {minutes:.1f} | {nats:.3f} | {each} |"


def _compute_mean(runs: Sequence[Result], group: str, figure: str) -> float:
    return statistics.mean(row[group][figure] for row in runs)


if __name__ == "__main__":
    main()
