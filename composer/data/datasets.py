"""Datasets by the name that a user types: `name` or `name:argument`."""

from __future__ import annotations

from typing import Any

from composer.errors import BadModelFile, BadOption
from composer.model import Model
from composer.plugins.registry import registry
from composer.types import Dataset


def make_dataset(name: str, /, **options: Any) -> Dataset:
    """Make a dataset; its first option stands after the colon. Raises UnknownName, BadOption."""
    kind, _, argument = name.partition(":")
    names = [option.name for option in registry().get_offer("datasets", kind).options]
    if argument and not names:
        raise BadOption(f"the dataset '{kind}' takes nothing after a colon.")
    first = {names[0]: argument} if argument else {}
    dataset: Dataset = registry().make("datasets", kind, **{**options, **first})
    return dataset


def make_training_dataset(model: Model) -> Dataset:
    """Make the dataset that a model was trained on. Raises BadModelFile if its card names none."""
    try:
        about = model.card["dataset"]
        return make_dataset(about["name"].partition(":")[0], **about["options"])
    except (KeyError, TypeError, AttributeError) as error:
        raise BadModelFile("the card of this model does not say what it was trained on.") from error
