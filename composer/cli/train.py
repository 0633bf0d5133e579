"""`composer train`: a dataset to a model file."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from composer.cli.options import WithThings, options_for
from composer.errors import CannotWrite, printable
from composer.plugins import registry, schema

if TYPE_CHECKING:
    from composer.corpus import Corpus
    from composer.types import Dataset


class TrainCommand(WithThings):
    """Adds the options of the training loop, from its own settings."""

    def own_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's parameters and the loop's."""
        from composer.training import Settings

        params = super().own_params(ctx)
        loop = [
            click.Option(
                [f"--{option.name.replace('_', '-')}"],
                type=option.type,
                expose_value=False,
                callback=_collect_setting,
                help=f"{option.help}, {option.default} unless given",
            )
            for option in schema(Settings)
        ]
        return [*params[:-1], *loop, params[-1]]


def _collect_setting(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None:
        ctx.meta.setdefault("composer.settings", {})[parameter.name] = value


@click.command(cls=TrainCommand)
@click.argument("dataset_name", metavar="DATASET")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The model file to write (.safetensors).")
@click.option("--architecture", default="lstm", show_default=True, help="Name of an architecture.")
@click.option("--tokenizer", "tokenizer_name", help="Name of a tokenizer; the dataset's own choice unless given.")
@click.option("--workers", type=click.IntRange(1), help="Processes that read files; as many as cores unless given.")
@click.option("--half/--full", default=True, help="Store weights in fp16 or fp32.  [fp16]")
@click.option("--checkpoint", type=click.Path(path_type=Path), help="Save the run here, or take it up from here.")
@click.pass_context
def train(
    ctx: click.Context,
    dataset_name: str,
    out: Path,
    architecture: str,
    tokenizer_name: str | None,
    workers: int | None,
    half: bool,
    checkpoint: Path | None,
) -> None:
    """Train a model on DATASET: a name of `composer datasets`, or folder:PATH.

    A dataset may bring values of its own for options that are not given; the model's card states them all.

    \b
    composer train chorales --architecture gru --out my.safetensors
    composer train folder:~/midi --out mine.safetensors --hidden-size 384 --layers 2
    """  # noqa: D301  (a \b keeps click from filling the lines)
    _check_out(out, checkpoint)
    kind = dataset_name.partition(":")[0]
    registry().offer("architectures", architecture)
    suggested = registry().offer("datasets", kind).make.tokenizer  # type: ignore[attr-defined]
    tokenizer_kind = tokenizer_name or suggested
    things = [("datasets", kind), ("tokenizers", tokenizer_kind), ("architectures", architecture)]
    dataset_options, tokenizer_options, architecture_options = options_for(ctx, things)
    from composer.datasets import make_dataset, suggested_training
    from composer.training import Settings

    dataset = make_dataset(dataset_name, **dataset_options)
    suits, suits_architecture = suggested_training(dataset, architecture)
    settings = Settings(**{**suits, **ctx.meta.get("composer.settings", {})})
    if tokenizer_kind == suggested:
        tokenizer_options = {**dataset.tokenizer_options, **tokenizer_options}
    tokenizer = registry().make("tokenizers", tokenizer_kind, **tokenizer_options)
    thing = registry().make("architectures", architecture, **{**suits_architecture, **architecture_options})
    corpus = build_corpus(dataset, tokenizer, dataset_name, workers)
    from composer.cli.watching import Watch
    from composer.recipes import Recipe, run

    with Watch() as watch:
        recipe = Recipe(dataset, tokenizer_kind, tokenizer, architecture, thing, settings, half)
        command = "composer " + shlex.join(sys.argv[1:])
        model = run(recipe, corpus, out, command=command, report=watch.report, checkpoint=checkpoint)
    test = model.card["test"]
    click.echo(
        f"{out}: {model.card['parameters']:,} parameters, {out.stat().st_size / 1e6:.1f} MB. Test split: "
        f"{test['nats_per_note']:.3f} nats per note over {test['pieces']} pieces "
        f"({test['masked']['nats_per_note']:.3f} within the grammar)."
    )


def _check_out(out: Path, checkpoint: Path | None) -> None:
    """Refuse, before the work, places that cannot be written to."""
    from composer.files import check_place

    if out.suffix != ".safetensors":
        raise CannotWrite(f"{printable(str(out))}: a model file ends in .safetensors.")
    check_place(out)
    if checkpoint is not None:
        check_place(checkpoint)


def build_corpus(dataset: Dataset, tokenizer: Any, name: str, workers: int | None) -> Corpus:
    """The corpus, built under a progress bar, and what became of its pieces on stderr."""
    from composer.cli.watching import reading
    from composer.corpus import build

    with reading() as report:
        corpus = build(dataset, tokenizer, name=name, workers=workers or os.cpu_count() or 1, report=report)
    refused, shown = corpus.refused, 20
    sides = ", ".join(f"{len(corpus.split(side))} {side}" for side in ("train", "valid", "test"))
    click.echo(f"{corpus.about['kept']} pieces kept ({sides}), {len(refused)} refused.", err=True)
    for row in refused[:shown]:
        click.echo(f"  {printable(row.name, 60)}: {row.reason}", err=True)
    if len(refused) > shown:
        click.echo(f"  … all {len(refused)} are listed in {corpus.folder / 'corpus.json'}", err=True)
    return corpus
