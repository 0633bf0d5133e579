"""`composer train` and `composer finetune`: a dataset, a recipe or a model with more music, to a model file."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from composer.cli import callbacks, completing, writing
from composer.cli.callbacks import CallbackChoice
from composer.cli.options import Owner, list_arguments, list_taken
from composer.cli.settings import WithSettings, is_on_command_line, merge_options
from composer.devices import count_processors
from composer.errors import BadOption, CannotWrite, ComposerError, TrainingFailed, printable
from composer.storage.inside import expand_home, is_folder

if TYPE_CHECKING:
    from composer.model import Model
    from composer.training.loop import Settings
    from composer.training.recipes import Plain
    from composer.types import Callback


USUAL = {"architectures": "lstm", "objectives": "cross-entropy", "optimisers": "adamw", "schedules": "cosine"}
"""The thing of each kind, unless another is named."""

PARTS = tuple(kind for kind in USUAL if kind != "architectures")
"""The kinds of the parts of a training beside its network."""

ARCHITECTURE = USUAL["architectures"]

DATASET = "chorales"
"""The dataset of a recipe that is printed without naming one."""

_WITH_RESUME = ("resume", "workers", *callbacks.PARAMETERS, "force", "out")
"""Options that go with --resume."""


@dataclass(frozen=True)
class RunChoices:
    """Choices of the command line that change nothing in the model."""

    workers: int | None
    callbacks: CallbackChoice
    force: bool
    recipe: str | None = None  # a recipe file, or a dataset


def _make_part_option(kind: str) -> Any:
    part = kind.removesuffix("s")
    return click.option(
        f"--{part}",
        metavar="NAME[:…]",
        shell_complete=completing.complete_names(kind),
        help=f"Name of {'an' if part[0] in 'aeiou' else 'a'} {part}.  [{USUAL[kind]}]",
    )


_AUGMENTING = (
    click.option(
        "--augment",
        metavar="NAME[:…]",
        multiple=True,
        shell_complete=completing.complete_names("transforms"),
        help="Change training pieces at random by a transform; may be repeated.",
    ),
    click.option(
        "--transpose",
        type=click.IntRange(0),
        help="As --augment transpose:reach=…: move pieces by up to so many semitones; 0 for none.  [6]",
    ),
)


def add_run_options(command: Any) -> Any:
    """Add the options that `train` and `finetune` share: the parts of the training, what is written and kept where."""
    for option in (
        writing.force,
        click.option("--print-recipe", is_flag=True, help="Print the recipe, and train nothing."),
        callbacks.add_options,
        click.option(
            "--run",
            "--run-folder",
            "run",
            metavar="FOLDER",
            help="Keep the run here: checkpoints, metrics, a sample at each validation.",
        ),
        click.option("--half/--full", default=None, help="Store weights in fp16 or fp32.  [fp16]"),
        click.option("--workers", type=click.IntRange(1), help="Processes that read files.  [one for each core]"),
        click.option("--out", help="The model file to write (.safetensors)."),
        *reversed([*map(_make_part_option, PARTS), *_AUGMENTING]),
    ):
        command = option(command)
    return command


# --- train ------------------------------------------------------------------------------------------------------------


class TrainCommand(WithSettings):
    """A command whose things may also be named by a recipe."""

    kinds = ("architectures", "tokenizers", "datasets", *PARTS)
    usual: Mapping[str, str] = MappingProxyType(USUAL)

    def find_named(self, ctx: click.Context, kind: str) -> set[str]:
        """Find the things of a kind that the command line names, or else its recipe."""
        return super().find_named(ctx, kind) or self._find_in_recipe(ctx, kind)

    def _find_in_recipe(self, ctx: click.Context, kind: str) -> set[str]:
        from composer.training import recipe_file

        key, named = kind.removesuffix("s"), set()
        for word in list_arguments(ctx):
            with contextlib.suppress(ComposerError):  # which is reported when it is read
                plain = recipe_file.read_recipe(expand_home(word)) if word.endswith(".toml") else {}
                table = plain.get(key, {})
                named |= {table.partition(":")[0] if isinstance(table, str) else table.get("name", "")}
        return named - {""}


@click.command(cls=TrainCommand)
@click.argument(
    "source",
    metavar="DATASET|RECIPE.toml",
    required=False,
    shell_complete=completing.complete_names("datasets", or_files=True),
)
@click.option(
    "--dataset", shell_complete=completing.complete_names("datasets"), help="Follow the recipe with another dataset."
)
@click.option(
    "--architecture",
    shell_complete=completing.complete_names("architectures"),
    help=f"Name of an architecture.  [{ARCHITECTURE}]",
)
@click.option(
    "--tokenizer",
    shell_complete=completing.complete_names("tokenizers"),
    help="Name of a tokenizer.  [the dataset's choice]",
)
@click.option(
    "--condition",
    "conditions",
    multiple=True,
    metavar="LABEL",
    help="Tell the model this label of each piece, such as style, so that it can be asked for; may be repeated.",
)
@click.option("--resume", metavar="FOLDER", help="Resume the run that is kept in this folder; nothing else is needed.")
@add_run_options
@click.pass_context
def train(
    ctx: click.Context,
    /,
    source: str | None,
    workers: int | None,
    resume: str | None,
    print_recipe: bool,
    force: bool,
    **given: Any,
) -> None:
    """Train a model on DATASET: a name of `composer datasets`, or folder:PATH; or as RECIPE.toml says.

    A dataset may set defaults of options; the model's card states all values.

    \b
    composer train chorales --architecture gru --out my.safetensors
    composer train folder:~/midi --out mine.safetensors --hidden-size 384 --layers 2
    composer train chorales --print-recipe > recipe.toml
    composer train recipe.toml --out mine.safetensors --steps 200 --run run/
    composer train --resume run/

    A recipe holds every choice in one file; options on the command line override it.
    """  # noqa: D301  (a \b keeps click from filling the lines)
    how = RunChoices(workers, CallbackChoice.take_from(given), force)
    if resume is not None:
        _resume(ctx, resume, given.get("out"), how)
        return
    plain = _read_recipe(source, {key: value for key, value in given.items() if value not in (None, ())})
    if "dataset" not in plain and not print_recipe:
        raise click.MissingParameter(ctx=ctx, param_hint="'DATASET'", param_type="argument")
    carry_out(ctx, {"dataset": DATASET, **plain}, replace(how, recipe=source), print_recipe)


def _read_recipe(source: str | None, given: Mapping[str, Any]) -> Plain:
    """Read the recipe in a file or of a dataset, and merge other options into it."""
    from composer.training import recipe_file

    plain: Plain = {}
    if source is not None and source.endswith(".toml"):
        plain = recipe_file.read_recipe(expand_home(source))
    elif source is not None:
        if "dataset" in given:
            raise BadOption("two datasets are named; --dataset goes with a recipe.")
        plain = {"dataset": source}
    plain = _replace_values(plain, given)
    return plain if "begin_from" in plain else {"architecture": {"name": ARCHITECTURE}, **plain}


def _replace_values(plain: Plain, given: Mapping[str, Any]) -> Plain:
    """Merge options of the command line into a recipe, augmentations among them."""
    from composer.training import recipe_file

    values = dict(given)
    plain = recipe_file.add_augmentations(plain, values.pop("augment", ()), values.pop("transpose", None))
    for key, value in values.items():
        plain = recipe_file.replace_value(plain, key, list(value) if isinstance(value, tuple) else value)
    return plain


def carry_out(ctx: click.Context, plain: Plain, how: RunChoices, print_recipe: bool) -> None:
    """Train with a recipe and the options on the command line, or print the resulting recipe."""
    from composer.training import recipe_file, recipes

    plain = how.callbacks.apply_to(merge_options(ctx, plain))
    if print_recipe:
        places: dict[str, Any] = {key: plain[key] for key in ("out", "run", "callbacks") if key in plain}
        whole = recipes.convert_to_plain(recipe_file.make_recipe(plain), plain["dataset"])
        click.echo(recipe_file.format_recipe({**whole, **places}), nl=False)
        return
    if "out" not in plain:
        raise click.MissingParameter(ctx=ctx, param_hint="'--out'", param_type="option")
    check_and_train(plain, "composer " + shlex.join(sys.argv[1:]), how)


def _resume(ctx: click.Context, resume: str, out: str | None, how: RunChoices) -> None:
    """Resume the run in a folder, from the folder where it was started. Its model may go to another path.

    Raises BadOption if anything else is asked for.
    """
    from composer.training import run_folder

    given = [p for p in ctx.command.get_params(ctx) if p.name not in _WITH_RESUME]
    if others := [p for p in given if is_on_command_line(ctx, p)]:
        raise BadOption(f"--resume takes everything from the run that was begun; leave out {others[0].opts[0]}.")
    folder = expand_home(resume)
    plain, started = run_folder.reopen_run(folder)
    if not is_folder(Path(started.folder)):
        raise BadOption(f"the run was started in {printable(started.folder)}, which no longer exists.")
    if out is None:
        run_folder.check_out(folder, plain, started)
    plain = {**plain, "run": str(folder.absolute()), "out": str(expand_home(out).absolute()) if out else plain["out"]}
    with contextlib.chdir(started.folder):
        check_and_train(how.callbacks.apply_to(plain), started.command, how)


def check_and_train(plain: Plain, command: str, how: RunChoices) -> None:
    """Train with a recipe, after checks that no file is lost."""
    from composer.io.outputs import find_named, guard
    from composer.training import recipe_file, run_folder

    out = expand_home(plain["out"])
    folder = expand_home(plain["run"]) if "run" in plain else None
    if out.suffix != ".safetensors":
        raise CannotWrite(f"{printable(str(out))}: a model file ends in .safetensors.")
    callbacks = recipe_file.make_callbacks(plain)
    if folder is not None:
        run_folder.check_folder(folder, [name for callback in callbacks.values() for name in callback.writes])
    options = [value for value in plain.get("dataset_options", {}).values() if isinstance(value, str)]
    reads = find_named(how.recipe, plain["dataset"], _find_file(plain.get("begin_from")), *options)
    with guard([out], reads=reads, force=how.force or (folder is not None and run_folder.has_written(folder, out))):
        _train(plain, out, folder, command, how, callbacks)


def _find_file(model: str | None) -> Path | None:
    """Find the file of a model; None if it is missing, which is reported when it is read."""
    from composer.model import find_model

    with contextlib.suppress(ComposerError):
        return None if model is None else find_model(model)
    return None


def _train(
    plain: Plain, out: Path, folder: Path | None, command: str, how: RunChoices, callbacks: Mapping[str, Callback]
) -> None:
    """Train with a recipe. Of several processes, the main one shows progress and results."""
    from composer.cli.progress import build_corpus, prepare_tokenizer, show_training
    from composer.data.corpus import build
    from composer.training import recipe_file, recipes, run_folder
    from composer.training.distributed import join_process_group
    from composer.training.train import train_recipe

    workers = how.workers
    recipe = recipe_file.make_recipe(plain)
    name = plain["dataset"]
    _warn_of_conditions(recipe.conditions)
    with join_process_group(recipe.settings.device) as us:
        with us.let_local_main_first():
            shared = workers or (count_processors() if us.leads else 1)
            fitted = prepare_tokenizer(recipe.dataset, recipe.tokenizer, name, shared, recipe.conditions)
            recipe = replace(recipe, tokenizer=fitted)
            if us.leads:
                corpus = build_corpus(recipe.dataset, recipe.tokenizer, name, workers)
            else:
                corpus = build(recipe.dataset, recipe.tokenizer, name=name, workers=workers or 1)
        if not us.leads:
            with contextlib.suppress(TrainingFailed):  # the main process reports it
                train_recipe(recipe, corpus, out, folder=folder, processes=us)
            return
        if folder is not None:
            whole = recipes.convert_to_plain(recipe, name)
            whole |= {key: plain[key] for key in ("out", "run", "callbacks") if key in plain}
            begun = recipe.beginning.model.hash if recipe.beginning else ""
            run_folder.begin_run(folder, whole, run_folder.Started(str(Path.cwd()), command, corpus.folder.name, begun))
        with show_training() as listener:
            listeners: dict[str, Any] = {"listeners": [listener], "callbacks": callbacks}
            model = train_recipe(recipe, corpus, out, command=command, folder=folder, processes=us, **listeners)
    if model is not None:
        _print_result(model, out, folder)


def _warn_of_conditions(names: Sequence[str]) -> None:
    """Warn of conditions whose names are those of options of the commands that would ask for them."""
    if names:
        from composer.cli.fill import fill
        from composer.cli.generate import generate
        from composer.generation.options import warn_of_taken_names

        warn_of_taken_names(names, list_taken([*generate.params, *fill.params]))


def _print_result(model: Model, out: Path, folder: Path | None) -> None:
    """Print the result of a training, and how to resume one that was stopped."""
    if folder is not None and model.card["training"]["interrupted"]:
        click.echo(f"stopped; `composer train --resume {printable(str(folder))}` goes on.", err=True)
    test = model.card["test"]
    before = ""
    if origin := model.card.get("finetuned_from"):
        before = f", from {origin['test']['nats_per_note']:.3f} of {printable(origin['name'])}"
    click.echo(
        f"{out}: {model.card['parameters']:,} parameters, {out.stat().st_size / 1e6:.1f} MB. Test split: "
        f"{test['nats_per_note']:.3f} nats per note over {test['pieces']} pieces "
        f"({test['masked']['nats_per_note']:.3f} within the grammar){before}."
    )


# --- finetune ---------------------------------------------------------------------------------------------------------


class FinetuneCommand(WithSettings):
    """A command without options of tokenizers and architectures: these are the model's."""

    kinds = ("datasets", *PARTS)
    usual: Mapping[str, str] = MappingProxyType(USUAL)

    def get_defaults(self) -> Settings:
        """Return the settings of finetuning: fewer steps, and smaller ones."""
        from composer.training.loop import FINETUNING

        return FINETUNING

    def find_owners(self, ctx: click.Context) -> dict[str, list[Owner]]:
        """Find the flags of plugins, with the defaults of finetuning."""
        from composer.training.methods import FINETUNING, PARTS

        usual = {(kind, getattr(FINETUNING, key).name): getattr(FINETUNING, key).options for key, kind in PARTS.items()}
        return {
            flag: [_replace_default(owner, usual.get((owner.kind, owner.name), {})) for owner in owners]
            for flag, owners in super().find_owners(ctx).items()
        }


def _replace_default(owner: Owner, defaults: Mapping[str, Any]) -> Owner:
    name = owner.option.name
    return replace(owner, option=replace(owner.option, default=defaults[name])) if name in defaults else owner


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
    plain = _replace_values({"begin_from": model, "dataset": dataset}, places)
    carry_out(ctx, plain, how, print_recipe)
