"""The contract of a callback: it follows a small run, which reaches the same weights."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from composer.data.corpus import Corpus, build
from composer.errors import RunWarning, suggest
from composer.music.score import Score
from composer.plugins.registry import registry
from composer.testing.rules import require
from composer.testing.sequences import make_part
from composer.training.callbacks import Callbacks, Event, Moment, RunContext
from composer.training.loop import Settings, train
from composer.training.methods import Method
from composer.training.recipes import Recipe
from composer.training.state import Trained
from composer.training.train import make_model
from composer.types import Callback

SETTINGS = Settings(steps=6, evaluations=3, batch_size=4, chunk=16, device="cpu", precision="float32")
ENGINE = ("metrics.jsonl", "*.checkpoint")
"""The files in the folder of a run without callbacks."""


@dataclass(frozen=True)
class Scales:
    """A few scales, each with other steps."""

    title: str = "Scales"
    licence: str = "CC0-1.0"
    source: str = "made here"
    citation: str = "none"
    tokenizer: str = ""
    tokenizer_options: Mapping[str, Any] = field(default_factory=dict)
    training_options: Mapping[str, Any] = field(default_factory=dict)
    suggested: Mapping[str, Any] = field(default_factory=dict)

    def list_sources(self) -> list[str]:
        """List a number for each scale."""
        return [str(number) for number in range(12)]

    def fingerprint(self, source: str) -> str:
        """Return its number."""
        return source

    def read(self, source: str) -> Iterator[tuple[str, Score | Exception]]:
        """Make sixteen notes that go up and down by steps of their own."""
        steps = np.random.Generator(np.random.PCG64(int(source))).integers(-2, 3, 16)
        yield source, Score((make_part([(int(pitch), 1) for pitch in 67 + np.cumsum(steps) % 12]),))


def check_callback(callback: Callback, folder: Path) -> None:
    """Check a callback on two runs in a folder, the second a resumed one, and without a folder if it needs none.

    It must raise nothing, write only its declared files, and leave the weights unchanged. Files are made in `folder`,
    which is empty.
    """
    require(isinstance(callback, Callback), "a callback is a Callback")
    require(all(isinstance(name, str) for name in callback.writes), "a callback's `writes` are names")
    known = [name for name in dir(Callback) if name.startswith("on_")]
    for name in (name for name in dir(callback) if name.startswith("on_") and name not in known):
        require(False, f"what begins with on_ is a method of callbacks, or is never called; {suggest(name, known)}")
    recipe = make_recipe()
    corpus = build(recipe.dataset, recipe.tokenizer, name="scales", cache=folder / "cache")
    run, elsewhere = folder / "run", folder / "elsewhere"
    run.mkdir()
    elsewhere.mkdir()
    with contextlib.chdir(elsewhere), warnings.catch_warnings():
        warnings.simplefilter("ignore", RunWarning)
        alone = _train(recipe, corpus, [], None)
        for place in (run, run, *([] if callback.writes else [None])):
            listener = _make_listener(callback, recipe, corpus, place)
            found = _train(recipe, corpus, [listener], place)
            faults = "".join(listener.dropped.values())
            require(not faults, f"a callback raises nothing; here it raised {faults}")
            same = all(np.array_equal(found.weights[name], array) for name, array in alone.weights.items())
            require(same, "a run with a callback reaches the same weights")
    require(not any(elsewhere.iterdir()), "a callback writes into the folder of the run, and not where it is called")
    more = [path.name for path in run.iterdir() if not any(path.match(name) for name in (*ENGINE, *callback.writes))]
    require(
        not more, f"the `writes` of a callback list all that it makes in the folder of a run; not so {', '.join(more)}"
    )


def make_recipe() -> Recipe:
    """Make the smallest recipe of things without required options."""
    names = {
        kind: [name for name, offer in sorted(registry().offers[kind].items()) if not _has_required(offer)]
        for kind in ("architectures", "tokenizers")
    }
    architecture, tokenizer = names["architectures"][0], names["tokenizers"][-1]
    things = registry().make("tokenizers", tokenizer), registry().make("architectures", architecture)
    scales: Any = Scales()
    return Recipe(scales, tokenizer, things[0], architecture, things[1], SETTINGS, method=Method(augmentations=()))


def _has_required(offer: Any) -> bool:
    return any(option.required for option in offer.options)


def _make_listener(callback: Callback, recipe: Recipe, corpus: Corpus, folder: Path | None) -> Callbacks:
    around = RunContext(lambda weights: make_model(recipe, weights), corpus, recipe.tokenizer, 0, folder)
    return _Thorough({"it": callback}, around)


class _Thorough(Callbacks):
    """Callbacks that receive a step before each validation, whatever the time."""

    def __call__(self, moment: Moment) -> None:
        """Report a step, too."""
        events: tuple[Event, ...] = ("step", "validation") if moment.event == "validation" else (moment.event,)
        for event in events:
            progress = replace(moment.progress, valid=None, best=None) if event == "step" else moment.progress
            super().__call__(Moment(event, progress, moment.weights))


def _train(recipe: Recipe, corpus: Corpus, listeners: list[Callbacks], folder: Path | None) -> Trained:
    things = recipe.tokenizer, recipe.architecture, recipe.settings, recipe.method
    return train(corpus, *things, listeners=listeners, folder=folder)
