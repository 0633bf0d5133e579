"""What datasets suggest and nothing knows: options of training and of tokenizers, and fields of requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

from composer.errors import ComposerError, printable, suggest
from composer.plugins.discovery import Plugin
from composer.plugins.options import read_options
from composer.plugins.registry import registry
from composer.request import list_keys
from composer.training.loop import Settings
from composer.training.methods import PARTS


def find_unknown_suggestions(dataset: object) -> Iterator[str]:
    """Yield a sentence for each option that a dataset, or its class, suggests and nothing has.

    Training options are those of the training loop, of any architecture and of any part of a method.
    """
    offers = [one for kind in ("architectures", *PARTS.values()) for one in registry().offers[kind].values()]
    of_training = {"transpose", *(option.name for one in offers for option in one.options)}
    tokenizer = registry().offers["tokenizers"].get(str(getattr(dataset, "tokenizer", "")))
    known = {
        "training_options": of_training | {option.name for option in read_options(Settings)},
        "suggested": list_keys(),
    }
    if tokenizer:
        known["tokenizer_options"] = {option.name for option in tokenizer.options}
    for table, names in known.items():
        given = getattr(dataset, table, None)
        for name in given if isinstance(given, Mapping) else ():
            if name not in names:
                yield f"nothing has the option '{printable(str(name))}' of its {table}: {suggest(str(name), names)}"


def find_mistaken_datasets() -> Iterator[tuple[Plugin, str]]:
    """Yield plugins beside ours whose datasets suggest what nothing has, with a sentence; the datasets are imported."""
    for name, offer in registry().offers["datasets"].items():
        if not offer.plugin.ours:
            with suppress(ComposerError):  # it is broken now
                for text in find_unknown_suggestions(offer.load_thing()):
                    yield offer.plugin, f"of the dataset '{printable(name)}', {text}"
