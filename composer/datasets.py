"""Datasets by the name that a user types, `name` or `name:argument`; it knows none of them."""

from __future__ import annotations

from typing import Any

from composer.errors import BadOption
from composer.plugins import registry, schema
from composer.types import Dataset


def make_dataset(name: str, /, **options: Any) -> Dataset:
    """The dataset; what stands after a colon is its first option. Raises UnknownName, BadOption."""
    kind, _, argument = name.partition(":")
    names = [option.name for option in schema(registry().offer("datasets", kind).make)]
    if argument and not names:
        raise BadOption(f"the dataset '{kind}' takes nothing after a colon.")
    first = {names[0]: argument} if argument else {}
    dataset: Dataset = registry().make("datasets", kind, **{**options, **first})
    return dataset
