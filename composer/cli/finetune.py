"""`composer finetune`: further training of a model, with more music."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from composer.cli import completing
from composer.cli.choices import WithSettings
from composer.cli.listening import CallbackChoice
from composer.cli.train import RunChoices, add_run_options, carry_out

if TYPE_CHECKING:
    from composer.training.loop import Settings


class FinetuneCommand(WithSettings):
    """A command without options of tokenizers and architectures: these are the model's."""

    kinds = ("datasets",)

    def get_defaults(self) -> Settings:
        """Return the settings of finetuning: fewer steps, and smaller ones."""
        from composer.training.loop import FINETUNING

        return FINETUNING


@click.command(cls=FinetuneCommand)
@click.argument("model", shell_complete=completing.complete_names("models", or_files=True))
@click.argument("dataset", shell_complete=completing.complete_names("datasets", or_files=True))
@add_run_options
@click.pass_context
def finetune(
    ctx: click.Context,
    /,
    model: str,
    dataset: str,
    workers: int | None,
    print_recipe: bool,
    force: bool,
    **given: Any,
) -> None:
    """Train MODEL, a name of `composer models` or a .safetensors file, further on DATASET, such as folder:PATH.

    \b
    composer finetune chorales folder:~/mine --out mine.safetensors
    composer finetune tunes folder:~/tunes --out mine.safetensors --steps 200 --run run/

    Training starts from the model's tokenizer, architecture and weights. The learning rate is lower than that of
    `composer train`, and the steps are fewer. A few files are enough; there must be at least three. A run that is kept
    with --run is resumed by `composer train --resume`.
    """  # noqa: D301  (a \b keeps click from filling the lines)
    how = RunChoices(workers, CallbackChoice.take_from(given), force)
    places = {key: value for key, value in given.items() if value is not None}
    plain = {"begin_from": model, "dataset": dataset, **places}
    carry_out(ctx, plain, how, print_recipe)
