"""Recipes: everything that makes a model file, from a corpus to its card; it knows no command line."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from composer import __version__
from composer.data.corpus import Corpus
from composer.errors import TrainingFailed, printable
from composer.model import Made, Model, save
from composer.training import loop
from composer.training.callbacks import Callbacks, Listener, Surroundings
from composer.training.distributed import ALONE, Team
from composer.training.evaluation import evaluate
from composer.training.model_card import reach
from composer.types import Architecture, Callback, Dataset, Tokenizer

if TYPE_CHECKING:
    from composer.training.loop import Settings, Trained, Weights

Plain = Mapping[str, Any]
"""A recipe in plain values: numbers, texts, booleans, lists, and tables of these."""


@dataclass(frozen=True)
class Beginning:
    """A trained model that a training starts from, under the name that the user calls it by."""

    name: str
    model: Model


@dataclass(frozen=True)
class Recipe:
    """What is trained on what, and how. `half` stores weights in fp16.

    With a `beginning`, tokenizer and architecture are its own.
    """

    dataset: Dataset
    tokenizer_name: str
    tokenizer: Tokenizer
    architecture_name: str
    architecture: Architecture
    settings: Settings
    half: bool = True
    beginning: Beginning | None = None

    @property
    def suggested(self) -> dict[str, Any]:
        """What to ask of the model: as the dataset says, and else as the model does that it began from."""
        before = self.beginning.model.card.get("suggested", {}) if self.beginning else {}
        return {**before, **self.dataset.suggested}

    @property
    def licence(self) -> str:
        """That of the music, and of the model that it began from."""
        before = self.beginning.model.card.get("licence", "not stated") if self.beginning else self.dataset.licence
        if before == self.dataset.licence:
            return self.dataset.licence
        return f"{self.dataset.licence}; begun from a model whose licence is: {before}"


def run(
    recipe: Recipe,
    corpus: Corpus,
    out: Path,
    *,
    command: str = "",
    listeners: Sequence[Listener] = (),
    callbacks: Mapping[str, Callback] = MappingProxyType({}),
    folder: Path | None = None,
    team: Team = ALONE,
) -> Model | None:
    """Train, measure the stored weights once on the test split, and write the model file.

    Raises TrainingFailed for a run that could not go on, after writing the best that it came to, if there is any. With
    `folder`, the run is kept there (see `composer.training.run_folder`), and gone on with if it was begun. All
    `listeners` and `callbacks`, these by name, are told of it. Of a `team`, the process that leads does all but the
    training alone; the others come back without a model.
    """
    from composer.training import run_folder

    seed, record = recipe.settings.seed, None if folder is None else run_folder.metrics(folder)
    around = Surroundings(partial(model_of, recipe), Corpus(corpus.folder), recipe.tokenizer, seed, folder)
    trained = loop.train(
        corpus,
        recipe.tokenizer,
        recipe.architecture,
        recipe.settings,
        beginning=recipe.beginning.model.weights if recipe.beginning else None,
        listeners=[*listeners, Callbacks(callbacks, around, record)] if team.leads else [],
        folder=folder,
        team=team,
    )
    if not team.leads:
        return None
    model = model_of(recipe, trained.weights)
    if not all(np.isfinite(array).all() for array in model.weights.values()):
        raise TrainingFailed("the weights are too large to be stored; try --full, or a lower --learning-rate.")
    module = model.make_module()
    card = {
        **_card(recipe, corpus, trained, command),
        **reach(module, corpus, recipe.tokenizer),
        "test": evaluate(module, corpus, recipe.tokenizer),
    }
    if recipe.beginning:
        card["finetuned_from"] = _origin(recipe.beginning, corpus, recipe.tokenizer)
    model = replace(model, card=card)
    if folder is not None:
        run_folder.note(folder, model)
    save(model, out)
    if trained.failure:
        kept = f"of step {trained.best.step}, is kept in {printable(str(out))}"
        raise TrainingFailed(f"{trained.failure} The best model up to then, {kept}.")
    return model


def model_of(recipe: Recipe, weights: Weights) -> Model:
    """The model with these weights, as it is stored; of its card, what it takes to write with it."""
    kind = np.float16 if recipe.half else np.float32
    return Model(
        architecture=Made.of("architectures", recipe.architecture_name, recipe.architecture),
        tokenizer=Made.of("tokenizers", recipe.tokenizer_name, recipe.tokenizer),
        vocabulary=recipe.tokenizer.vocabulary,
        weights={name: array.astype(kind) for name, array in weights.items()},
        card={"licence": recipe.licence, "suggested": recipe.suggested},
    )


def plain(recipe: Recipe, name: str) -> dict[str, Any]:
    """Everything that the recipe says, every option written out. `name` is how the user calls the dataset."""
    dataset = asdict(recipe.dataset)  # type: ignore[call-overload]
    things: dict[str, Any] = {
        "tokenizer": {"name": recipe.tokenizer_name, **asdict(recipe.tokenizer)},  # type: ignore[call-overload]
        "architecture": {"name": recipe.architecture_name, **asdict(recipe.architecture)},  # type: ignore[call-overload]
    }
    return {
        "dataset": name,
        "half": recipe.half,
        "dataset_options": dict(list(dataset.items())[1:]) if ":" in name else dataset,
        **({"begin_from": recipe.beginning.name} if recipe.beginning else things),
        "training": asdict(recipe.settings),
    }


def _origin(beginning: Beginning, corpus: Corpus, tokenizer: Tokenizer) -> dict[str, Any]:
    """What a model was made from, and how well that foretold the same test split."""
    model = beginning.model
    about = {"name": beginning.name, "hash": model.hash}
    about |= {name: model.card[name] for name in ("title", "licence") if name in model.card}
    return {**about, "test": evaluate(model.make_module(), corpus, tokenizer)}


def _card(recipe: Recipe, corpus: Corpus, trained: Trained, command: str) -> Mapping[str, Any]:
    dataset = recipe.dataset
    begun = f", begun from {recipe.beginning.name}" if recipe.beginning else ""
    return {
        "title": f"{recipe.architecture_name} on {dataset.title}{begun}",
        "licence": recipe.licence,
        "dataset": {
            "name": corpus.about["name"],
            "options": asdict(dataset),  # type: ignore[call-overload]
            "title": dataset.title,
            "source": dataset.source,
            "citation": dataset.citation,
            "kept": corpus.about["kept"],
            "refused": len(corpus.refused),
            "split": {side: len(corpus.split(side)) for side in ("train", "valid", "test")},
        },
        "command": command,
        "recipe": plain(recipe, corpus.about["name"]),
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
            "machine": f"{platform.machine()} {trained.device}, Python {platform.python_version()}",
            "composer": __version__,
        },
        "suggested": recipe.suggested,
    }
