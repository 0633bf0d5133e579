"""The training of a recipe: the run, the test figures, the card and the model file."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from composer import __version__
from composer.data.corpus import Corpus
from composer.data.labels import describe_conditions, warn_of_labels
from composer.data.splits import SPLITS
from composer.devices import describe_machine
from composer.errors import RunWarning, TrainingFailed, printable
from composer.fitting import Weights
from composer.model import ComponentSpec, Model, save
from composer.plugins.options import get_values
from composer.tokens.conditions import split_conditions
from composer.training import loop, recipes, run_folder
from composer.training.callbacks import Callbacks, Events, Listener, RunContext
from composer.training.distributed import ALONE, ProcessGroup
from composer.training.evaluation import evaluate
from composer.training.methods import TRANSPOSE
from composer.training.model_card import measure_reach
from composer.training.recipes import Beginning, Recipe
from composer.training.state import Trained
from composer.types import Callback, Tokenizer

FEW_PIECES = 20
"""Training pieces; of fewer the user is warned."""


def train_recipe(
    recipe: Recipe,
    corpus: Corpus,
    out: Path,
    *,
    command: str = "",
    listeners: Sequence[Listener] = (),
    callbacks: Mapping[str, Callback] = MappingProxyType({}),
    folder: Path | None = None,
    processes: ProcessGroup = ALONE,
) -> Model | None:
    """Train, evaluate the stored weights once on the test split, and write the model file.

    Raises TrainingFailed for a run that could not go on, after writing its best weights, if there are any. With
    `folder`, the run is stored there (see `composer.training.run_folder`), and resumed if it was begun. All `listeners`
    and `callbacks`, these by name, are notified. In a process group, the main process does everything except the shared
    training; the others return no model.
    """
    seed, record = recipe.settings.seed, None if folder is None else run_folder.record_metrics(folder)
    context = RunContext(partial(make_model, recipe), Corpus(corpus.folder), recipe.tokenizer, seed, folder)
    ours: list[Listener] = [*listeners, Callbacks(callbacks, context, record), Events(context)]
    if processes.leads:
        warn_of_labels(recipe.tokenizer, corpus)
        _warn_of_few(corpus)
        _warn_of_unused(recipe)
    trained = loop.train(
        corpus,
        recipe.tokenizer,
        recipe.architecture,
        recipe.settings,
        recipe.method,
        beginning=recipe.beginning.model.weights if recipe.beginning else None,
        listeners=ours if processes.leads else [],
        folder=folder,
        processes=processes,
    )
    if not processes.leads:
        return None
    model = make_model(recipe, trained.weights)
    if not all(np.isfinite(array).all() for array in model.weights.values()):
        raise TrainingFailed("the weights are too large to be stored; try --full, or a lower --learning-rate.")
    module = model.make_module()
    card = {
        **_make_card(recipe, corpus, trained, command),
        **measure_reach(module, corpus, recipe.tokenizer),
        **({"conditions": told} if (told := describe_conditions(recipe.tokenizer, corpus)) else {}),
        **_describe_programs(recipe, corpus),
        "test": evaluate(module, corpus, recipe.tokenizer),
    }
    if recipe.beginning:
        card["finetuned_from"] = _describe_origin(recipe.beginning, corpus, recipe.tokenizer)
    model = replace(model, card=card)
    if folder is not None:
        run_folder.record_model(folder, model)
    save(model, out)
    if trained.failure:
        kept = f"of step {trained.best.step}, is kept in {printable(str(out))}"
        raise TrainingFailed(f"{trained.failure} The best model up to then, {kept}.")
    return model


def _warn_of_few(corpus: Corpus) -> None:
    """Warn with RunWarning of a few pieces, which a model learns by heart."""
    train, valid, test = (len(corpus.split(split)) for split in SPLITS)
    if train < FEW_PIECES:
        text = f"{train} {'pieces are' if train > 1 else 'piece is'} little to learn from: the model may copy, which "
        text += f"`composer originality` shows, and its figures are of {valid} and {test} held-out pieces alone."
        warnings.warn(text, RunWarning, stacklevel=3)


def _warn_of_unused(recipe: Recipe) -> None:
    """Warn with RunWarning of settings that were chosen, and that nothing in the recipe uses."""
    settings, usual = recipe.settings, loop.Settings()
    others = [one for one in recipe.method.augmentations if one.name != TRANSPOSE.name]
    if settings.augment_share != usual.augment_share and not others:
        text = "'augment_share' changes nothing: all pieces are transposed, and no other augmentation is named."
        warnings.warn(text, RunWarning, stacklevel=3)
    if settings.forget_labels != usual.forget_labels and not split_conditions(recipe.tokenizer)[1]:
        warnings.warn("'forget_labels' changes nothing: the model has no conditions.", RunWarning, stacklevel=3)


def make_model(recipe: Recipe, weights: Weights) -> Model:
    """Make the model with these weights, as it is stored. Its card holds only what generation needs."""
    kind = np.float16 if recipe.half else np.float32
    tokenizer, conditions = split_conditions(recipe.tokenizer)
    return Model(
        architecture=ComponentSpec.describe("architectures", recipe.architecture_name, recipe.architecture),
        tokenizer=ComponentSpec.describe("tokenizers", recipe.tokenizer_name, tokenizer),
        vocabulary=recipe.tokenizer.vocabulary,
        weights={name: array.astype(kind) for name, array in weights.items()},
        card={"licence": recipe.licence, "suggested": recipe.suggested},
        conditions=conditions,
    )


def _describe_origin(beginning: Beginning, corpus: Corpus, tokenizer: Tokenizer) -> dict[str, Any]:
    """Describe the model that a training began from, with its figures on the same test split."""
    model = beginning.model
    about = {"name": beginning.name, "hash": model.hash}
    about |= {name: model.card[name] for name in ("title", "licence") if name in model.card}
    return {**about, "test": evaluate(model.make_module(), corpus, tokenizer)}


def _describe_programs(recipe: Recipe, corpus: Corpus) -> dict[str, list[str]]:
    """List for a card the programs that the model has learnt, if they are tokens; none for one begun from unknown ones.

    A generator writes no others.
    """
    info = recipe.tokenizer.token_info
    before = recipe.beginning.model.card.get("programs") if recipe.beginning else []
    if not info.programs or not isinstance(before, list):
        return {}
    counts = np.zeros(len(info.kind), dtype=np.int64)
    for number in corpus.split("train").tolist():
        counts += np.bincount(corpus.read_piece(number), minlength=len(counts))
    found = zip(info.programs, counts[info.kind == "Program"].tolist(), strict=True)
    return {"programs": [program for program, count in found if count or program in before]}


def _make_card(recipe: Recipe, corpus: Corpus, trained: Trained, command: str) -> Mapping[str, Any]:
    dataset = recipe.dataset
    begun = f", begun from {recipe.beginning.name}" if recipe.beginning else ""
    return {
        "title": f"{recipe.architecture_name} on {dataset.title}{begun}",
        "licence": recipe.licence,
        "dataset": {
            "name": corpus.about["name"],
            "options": get_values(dataset),
            "title": dataset.title,
            "source": dataset.source,
            "citation": dataset.citation,
            "kept": corpus.about["kept"],
            "refused": len(corpus.refused),
            "split": {side: len(corpus.split(side)) for side in ("train", "valid", "test")},
        },
        "command": command,
        "recipe": recipes.convert_to_plain(recipe, corpus.about["name"]),
        "seed": recipe.settings.seed,
        "parameters": trained.parameters,
        "training": {
            "steps": trained.history[-1].step,
            "epochs": round(trained.history[-1].epoch, 1),
            "best_step": trained.best.step,
            "seconds": round(trained.history[-1].seconds, 1),
            "valid_nats_per_note": round(trained.best.valid, 5),
            "interrupted": trained.interrupted,
            "failure": trained.failure,
            "precision": trained.precision,
            "machine": describe_machine(trained.device),
            "composer": __version__,
        },
        "suggested": recipe.suggested,
    }
