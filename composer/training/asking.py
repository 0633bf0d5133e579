"""Training and evaluation in Python, each in one call; options are named as on the command line.

import composer

model = composer.train("folder:~/midi", architecture="gru", steps=2000, out="mine.safetensors")
model.generate(bars=8).write("first.mid")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from composer.data.corpus import Corpus, build, fit_tokenizer
from composer.data.datasets import make_dataset
from composer.data.labels import fit_conditions
from composer.devices import choose_device, count_processors
from composer.errors import BadOption, CannotWrite, printable, suggest
from composer.generation.composer import Composer, open_model
from composer.generation.generator import Generator
from composer.generation.options import make_flag, warn_of_taken_names
from composer.io.outputs import find_named, guard
from composer.plugins.options import read_options
from composer.plugins.registry import registry
from composer.storage.inside import expand_home
from composer.training import evaluation, recipe_file, recipes, run_folder
from composer.training.loop import Settings
from composer.training.methods import PARTS, USUAL
from composer.training.train import train_recipe
from composer.types import Tokenizer

if TYPE_CHECKING:
    from composer.training.callbacks import Listener
    from composer.training.recipes import Plain, Recipe

ARCHITECTURE = "lstm"
"""The default architecture."""

SPLITS = ("test", "valid", "train")


def train(
    source: str | Path,
    *,
    out: str | Path,
    dataset: str | None = None,
    architecture: str | None = None,
    tokenizer: str | None = None,
    objective: str | None = None,
    optimiser: str | None = None,
    schedule: str | None = None,
    augment: str | Sequence[str] | Mapping[str, Mapping[str, Any]] = (),
    transpose: int | None = None,
    begin_from: str | None = None,
    run: str | Path | None = None,
    conditions: Sequence[str] | None = None,
    half: bool | None = None,
    workers: int | None = None,
    callbacks: Sequence[str] | Mapping[str, Mapping[str, Any]] = (),
    listeners: Sequence[Listener] = (),
    force: bool = False,
    **options: Any,
) -> Composer:
    """Train a model on a dataset, or by a recipe (.toml), write it to `out`, and open it.

    It corresponds to `composer train`, or with a model to `begin_from`, to `composer finetune`. Options are those of
    the training loop, the dataset, the tokenizer, the architecture and the parts of the training: `steps=2000`,
    `hidden_size=256`. An objective, an optimiser, a schedule and transforms to `augment` with are named as they are
    typed: `"sgd:momentum=0.8"`; augmentations may be options by name. `transpose` is the most semitones of a
    transposition. `conditions` are labels of the pieces that the model is told, and that can then be asked for:
    `["style"]`. With `run`, the run is stored in that folder, and resumed if it is there already. `callbacks` are
    names, or options by name; `listeners` are notified of each moment. Raises BadOption, BadRecipe, CannotWrite,
    EmptyDataset, TrainingFailed, UnknownName.
    """
    places = {"out": str(out), "run": None if run is None else str(run)}
    things = {"dataset": dataset, "architecture": architecture, "tokenizer": tokenizer}
    things |= {"objective": objective, "optimiser": optimiser, "schedule": schedule, "begin_from": begin_from}
    told = None if conditions is None else list(conditions)
    plain = _read_recipe(str(source), {**things, "conditions": told, "half": half, **places})
    plain = _add_options(recipe_file.add_augmentations(plain, augment, transpose), options)
    path = expand_home(plain["out"])
    if path.suffix != ".safetensors":
        raise CannotWrite(f"{printable(str(path))}: a model file ends in .safetensors.")
    folder = expand_home(plain["run"]) if "run" in plain else None
    named = callbacks if isinstance(callbacks, Mapping) else dict.fromkeys(callbacks, True)
    plain = {**plain, "callbacks": {**plain.get("callbacks", {}), **named}} if named else plain
    made = recipe_file.make_callbacks(plain)
    if folder is not None:
        run_folder.check_folder(folder, [name for callback in made.values() for name in callback.writes])
    ours = force or (folder is not None and run_folder.has_written(folder, path))
    with guard([path], reads=find_named(str(source), plain["dataset"], begin_from), force=ours):
        _train_recipe(plain, path, folder, workers or count_processors(), {"listeners": listeners, "callbacks": made})
    return open_model(path)


def _read_recipe(source: str, arguments: Mapping[str, Any]) -> Plain:
    """Read the recipe in a file or of a dataset, and put the arguments over it."""
    stated = {key: value for key, value in arguments.items() if value is not None}
    plain: Plain = {"dataset": source}
    if source.endswith(".toml"):
        plain = recipe_file.read_recipe(expand_home(source))
    elif "dataset" in stated:
        raise BadOption("two datasets are named; 'dataset' goes with a recipe.")
    for key, value in stated.items():
        plain = recipe_file.replace_value(plain, key, value)
    if "dataset" not in plain:
        raise BadOption("the recipe names no dataset; give 'dataset' as well.")
    return plain if "begin_from" in plain else {"architecture": {"name": ARCHITECTURE}, **plain}


def _add_options(plain: Plain, options: Mapping[str, Any]) -> Plain:
    """Put options into the tables that know them. Raises BadOption for one that no table knows."""
    kind = plain["dataset"].partition(":")[0]
    offer = registry().get_offer("datasets", kind)
    tables = {"training": dict(plain.get("training", {})), "dataset_options": dict(plain.get("dataset_options", {}))}
    known = {"training": _list_names(read_options(Settings)), "dataset_options": _list_names(offer.options)}
    if "begin_from" not in plain:
        suggested = offer.make.tokenizer  # type: ignore[attr-defined]
        for key in ("tokenizer", "architecture"):
            tables[key] = dict(plain.get(key, {"name": suggested}))
            known[key] = _list_names(registry().get_offer(f"{key}s", tables[key]["name"]).options)
    for key, part in PARTS.items():
        tables[key] = {"name": getattr(USUAL, key).name, **plain.get(key, {})}
        known[key] = _list_names(registry().get_offer(part, tables[key]["name"]).options)
    for name, value in options.items():
        plainly = {key: name for key, names in known.items() if name in names}
        having = plainly or {key: own for key, names in known.items() if (own := _strip_kind(name, key)) in names}
        if not having:
            every = {one for names in known.values() for one in names}
            raise BadOption(f"train has no option '{printable(name)}': {suggest(name, every)}")
        for key in ["training"] if "training" in having else having:
            tables[key][having[key]] = value
    return {**plain, **tables}


def _strip_kind(name: str, key: str) -> str:
    """Strip the kind from an option such as `architecture_seed`, whose short name the training loop has too."""
    return name.removeprefix(f"{key.removesuffix('_options')}_")


def _list_names(options: Sequence[Any]) -> list[str]:
    return [option.name for option in options]


def _train_recipe(plain: Plain, out: Path, folder: Path | None, workers: int, hooks: dict[str, Any]) -> None:
    """Train by a recipe; `hooks` are its listeners and callbacks."""
    recipe, name = recipe_file.make_recipe(plain), plain["dataset"]
    warn_of_taken_names(recipe.conditions, map(make_flag, signature(Composer.generate).parameters))
    recipe = replace(recipe, tokenizer=_fit_tokenizer(recipe, name, workers))
    corpus = build(recipe.dataset, recipe.tokenizer, name=name, workers=workers)
    if folder is not None:
        whole = recipes.convert_to_plain(recipe, name) | {
            key: plain[key] for key in ("out", "run", "callbacks") if key in plain
        }
        begun = recipe.beginning.model.hash if recipe.beginning else ""
        run_folder.begin_run(folder, whole, run_folder.Started(str(Path.cwd()), "", corpus.folder.name, begun))
    train_recipe(recipe, corpus, out, folder=folder, **hooks)


def _fit_tokenizer(recipe: Recipe, name: str, workers: int) -> Tokenizer:
    untrained = recipe.tokenizer
    tokenizer = fit_tokenizer(untrained, lambda: build(recipe.dataset, untrained, name=name, workers=workers))
    corpus = partial(build, recipe.dataset, tokenizer, name=name, workers=workers)
    return fit_conditions(tokenizer, recipe.conditions, corpus)


# --- evaluation -------------------------------------------------------------------------------------------------------


def evaluate(
    model: Generator | str | Path,
    dataset: str,
    *,
    split: str = "test",
    metrics: str | Sequence[str] | None = None,
    against: str | None = None,
    count: int | None = None,
    seed: int = 0,
    device: str = "auto",
    workers: int | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Measure how well a model predicts the pieces of a dataset, in nats, as `composer evaluate --json` does.

    With `metrics`, `"all"` or names, the model also generates `count` pieces, which are compared with the real pieces
    of the dataset, or of the dataset named by `against`. Options are those of the dataset. Raises BadOption,
    UnknownName.
    """
    if split not in SPLITS:
        raise BadOption(f"there is no split '{printable(split)}'; {suggest(split, SPLITS)}")
    if against is not None and metrics is None:
        raise BadOption("'against' needs 'metrics'; try metrics=\"all\".")
    generator = model if isinstance(model, Generator) else open_model(model)
    corpus = _build_corpus(generator, dataset, options, workers)
    module = generator.model.make_module().to(choose_device(device))
    found = evaluation.evaluate(module, corpus, generator.tokenizer, split, kinds=True)
    if metrics is None:
        return found
    from composer.plugins.specs import split_specs
    from composer.training.model_card import compare_with_real

    names = split_specs(metrics, "metrics") if isinstance(metrics, str) else list(metrics)
    corpus = corpus if against is None else _build_corpus(generator, against, {}, workers)
    measured = compare_with_real(generator, corpus, split, names=names, count=count or 0, seed=seed)
    return {**found, "metrics": {"seed": seed, "against": against or dataset, **measured.to_json()}}


def _build_corpus(generator: Generator, name: str, options: Mapping[str, Any], workers: int | None) -> Corpus:
    """Build the corpus of a dataset, with the options of the model's own training as defaults."""
    recipe = generator.model.card.get("recipe", {})
    same_kind = recipe.get("dataset", "").partition(":")[0] == name.partition(":")[0]
    trained = recipe.get("dataset_options", {}) if same_kind else {}
    dataset = make_dataset(name, **{**trained, **options})
    return build(dataset, generator.tokenizer, name=name, workers=workers or count_processors())
