"""Recipes: everything that makes a model file, from a corpus to its card; it knows no command line."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from composer import __version__, training
from composer.corpus import Corpus
from composer.errors import TrainingFailed, printable
from composer.evaluation import Likelihood, likelihood
from composer.model import Made, Model, save
from composer.types import Architecture, Dataset, Tokenizer

if TYPE_CHECKING:
    from composer.training import Progress, Report, Settings, Trained, Weights

Plain = Mapping[str, Any]
"""A recipe in plain values: numbers, texts, booleans, lists, and tables of these."""


@dataclass(frozen=True)
class Recipe:
    """What is trained on what, and how. `half` stores weights in fp16."""

    dataset: Dataset
    tokenizer_name: str
    tokenizer: Tokenizer
    architecture_name: str
    architecture: Architecture
    settings: Settings
    half: bool = True


def run(
    recipe: Recipe,
    corpus: Corpus,
    out: Path,
    *,
    command: str = "",
    report: Report,
    folder: Path | None = None,
) -> Model:
    """Train, measure the stored weights once on the test split, and write the model file.

    Raises TrainingFailed for a run that could not go on, after writing the best that it came to, if there is any.
    With `folder`, the run is kept there (see `composer.runs`), and gone on with if it was begun.
    """
    from composer import runs

    reports = [report]
    if folder is not None:
        reports += [runs.metrics(folder), runs.samples(folder, partial(model_of, recipe), recipe.settings.seed)]
    trained = training.train(
        corpus,
        recipe.tokenizer,
        recipe.architecture,
        recipe.settings,
        report=_all(reports),
        folder=folder,
    )
    model = model_of(recipe, trained.weights)
    if not all(np.isfinite(array).all() for array in model.weights.values()):
        raise TrainingFailed("the weights are too large to be stored; try --full, or a lower --learning-rate.")
    test = measured(model, corpus, recipe.tokenizer)
    model = replace(model, card={**_card(recipe, corpus, trained, command), "test": test})
    save(model, out)
    if trained.failure:
        kept = f"of step {trained.best.step}, is kept in {printable(str(out))}"
        raise TrainingFailed(f"{trained.failure} The best model up to then, {kept}.")
    return model


def _all(reports: Sequence[Report]) -> Report:
    def tell(progress: Progress) -> None:
        for report in reports:
            report(progress)

    return tell


def model_of(recipe: Recipe, weights: Weights) -> Model:
    """The model with these weights, as it is stored; of its card, what it takes to write with it."""
    kind = np.float16 if recipe.half else np.float32
    return Model(
        architecture=Made.of("architectures", recipe.architecture_name, recipe.architecture),
        tokenizer=Made.of("tokenizers", recipe.tokenizer_name, recipe.tokenizer),
        vocabulary=recipe.tokenizer.vocabulary,
        weights={name: array.astype(kind) for name, array in weights.items()},
        card={"licence": recipe.dataset.licence, "suggested": dict(recipe.dataset.suggested)},
    )


def plain(recipe: Recipe, name: str) -> dict[str, Any]:
    """Everything that the recipe says, every option written out. `name` is how the user calls the dataset."""
    dataset = asdict(recipe.dataset)  # type: ignore[call-overload]
    return {
        "dataset": name,
        "half": recipe.half,
        "dataset_options": dict(list(dataset.items())[1:]) if ":" in name else dataset,
        "tokenizer": {"name": recipe.tokenizer_name, **asdict(recipe.tokenizer)},  # type: ignore[call-overload]
        "architecture": {"name": recipe.architecture_name, **asdict(recipe.architecture)},  # type: ignore[call-overload]
        "training": asdict(recipe.settings),
    }


def measured(model: Model, corpus: Corpus, tokenizer: Tokenizer) -> dict[str, Any]:
    """The likelihood of the test split, without and within the grammar."""
    module, pieces = model.make_module(), corpus.split("test")
    plain = likelihood(module, corpus, tokenizer, pieces)
    return {**_figures(plain), "masked": _figures(likelihood(module, corpus, tokenizer, pieces, masked=True))}


def _figures(found: Likelihood) -> dict[str, Any]:
    return {
        "nats_per_note": round(found.nats_per_note, 5),
        "nats_per_beat": round(found.nats_per_beat, 5),
        "pieces": found.pieces,
        "notes": found.notes,
        "tokens": found.tokens,
    }


def _card(recipe: Recipe, corpus: Corpus, trained: Trained, command: str) -> Mapping[str, Any]:
    dataset = recipe.dataset
    return {
        "title": f"{recipe.architecture_name} on {dataset.title}",
        "licence": dataset.licence,
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
        "suggested": dict(dataset.suggested),
    }
