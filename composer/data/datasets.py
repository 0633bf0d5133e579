"""Datasets by the name that a user types, `name` or `name:argument`, and what they suggest; it knows none of them."""

from __future__ import annotations

from typing import Any

from composer.errors import BadModelFile, BadOption
from composer.model import Model
from composer.plugins.registry import registry
from composer.types import Dataset


def make_dataset(name: str, /, **options: Any) -> Dataset:
    """The dataset; what stands after a colon is its first option. Raises UnknownName, BadOption."""
    kind, _, argument = name.partition(":")
    names = [option.name for option in registry().offer("datasets", kind).options]
    if argument and not names:
        raise BadOption(f"the dataset '{kind}' takes nothing after a colon.")
    first = {names[0]: argument} if argument else {}
    dataset: Dataset = registry().make("datasets", kind, **{**options, **first})
    return dataset


def dataset_of(model: Model) -> Dataset:
    """The dataset that a model was trained on. Raises BadModelFile if its card does not say."""
    try:
        about = model.card["dataset"]
        return make_dataset(about["name"].partition(":")[0], **about["options"])
    except (KeyError, TypeError, AttributeError) as error:
        raise BadModelFile("the card of this model does not say what it was trained on.") from error
