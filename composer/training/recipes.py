"""Recipes: every choice of a training as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from composer.plugins.options import get_values
from composer.tokens.conditions import split_conditions
from composer.training.methods import USUAL, Method
from composer.types import Architecture, Dataset, Tokenizer

if TYPE_CHECKING:
    from composer.model import Model
    from composer.training.loop import Settings

Plain = Mapping[str, Any]
"""A recipe in plain values: numbers, texts, booleans, lists, and tables of these."""


@dataclass(frozen=True)
class Beginning:
    """A trained model to begin from, with the user's name for it."""

    name: str
    model: Model


@dataclass(frozen=True)
class Recipe:
    """The dataset, tokenizer, architecture, settings and method of a training. `half` stores weights in fp16.

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
    conditions: tuple[str, ...] = ()  # labels that the model is told, once its tokenizer knows their values
    method: Method = USUAL

    @property
    def suggested(self) -> dict[str, Any]:
        """The suggested request: that of the dataset, over that of the model it began from."""
        before = self.beginning.model.card.get("suggested", {}) if self.beginning else {}
        return {**before, **self.dataset.suggested}

    @property
    def licence(self) -> str:
        """The licence of the music, and of the model that it began from."""
        before = self.beginning.model.card.get("licence", "not stated") if self.beginning else self.dataset.licence
        if before == self.dataset.licence:
            return self.dataset.licence
        return f"{self.dataset.licence}; begun from a model whose licence is: {before}"


def convert_to_plain(recipe: Recipe, name: str) -> dict[str, Any]:
    """Write a recipe as plain values, with every option. `name` is the user's name for the dataset."""
    dataset = get_values(recipe.dataset)
    things: dict[str, Any] = {
        "tokenizer": {"name": recipe.tokenizer_name, **get_values(split_conditions(recipe.tokenizer)[0])},
        "architecture": {"name": recipe.architecture_name, **get_values(recipe.architecture)},
    }
    told = {"conditions": list(recipe.conditions)} if recipe.conditions else {}
    return {
        "dataset": name,
        "half": recipe.half,
        **told,
        "dataset_options": dict(list(dataset.items())[1:]) if ":" in name else dataset,
        **({"begin_from": recipe.beginning.name} if recipe.beginning else things),
        **recipe.method.to_plain(),
        "training": asdict(recipe.settings),
    }
