"""The music and the recipe of a run."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from composer.data.corpus import Corpus, build
from composer.data.datasets import make_dataset
from composer.errors import TrainingFailed
from composer.plugins.registry import registry
from composer.training import recipe_file
from composer.training.recipes import Recipe
from composer.types import Tokenizer
from composer_compare import perturbed_data
from composer_compare.plan import ExperimentRun


@lru_cache(maxsize=8)
def _load_corpus(text: str) -> tuple[Corpus, Tokenizer]:
    """Load the music of a recipe; whoever planned the run has built it already."""
    plain = json.loads(text)
    dataset = make_dataset(plain["dataset"], **plain["dataset_options"])
    options = dict(plain["tokenizer"])
    tokenizer = registry().make("tokenizers", options.pop("name"), **options)
    return build(dataset, tokenizer, name=plain["dataset"]), tokenizer


def load_music(run: ExperimentRun) -> tuple[Corpus, Tokenizer]:
    """Load the music that the run was planned for. Raises TrainingFailed if it has changed since."""
    keys = ("dataset", "dataset_options", "tokenizer")
    corpus, tokenizer = _load_corpus(json.dumps({key: run.recipe[key] for key in keys}))
    if corpus.folder.name != run.music:
        raise TrainingFailed("the music has changed since this was planned.")
    return corpus, tokenizer


def alter_music(run: ExperimentRun, corpus: Corpus, tokenizer: Tokenizer, scratch: Path) -> Corpus:
    """Apply the run's reduction or noise to the corpus; a new corpus is built under `scratch`."""
    seed = run.recipe["training"]["seed"]
    if run.noise:
        corpus = perturbed_data.build_perturbed(corpus, tokenizer, scratch, noise=run.noise, seed=seed)
    return perturbed_data.ReducedCorpus(corpus.folder, run.share, seed) if run.share < 1 else corpus


def make_recipe(run: ExperimentRun) -> Recipe:
    """Build the recipe of a run that trains on a dataset."""
    return recipe_file.make_recipe(run.recipe)
