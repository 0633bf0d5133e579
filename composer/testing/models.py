"""The contract of a model in a package: it loads, writes music, and states its origin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from composer.errors import BadModelFile, ComposerError
from composer.model import Model, load
from composer.testing.rules import require
from composer.types import ModelFile

BARS = 2


def check_model(offered: ModelFile) -> None:
    """Check that the file loads, its plugins are installed, its card is complete, and it writes music."""
    path = offered()
    require(isinstance(path, Path) and path.is_file(), f"a model is offered as the path of its file; {path} is none")
    require(path.suffix == ".safetensors", f"a model file ends in .safetensors; not so {path.name}")
    model = _load(path)
    _check_card(model.card)
    _check_writes(model)


def _load(path: Path) -> Model:
    try:
        model = load(path)
        model.make_tokenizer()
        model.make_module()
    except BadModelFile as error:
        require(False, f"a model file loads, and what it needs is installed; {error}")
    return model


def _check_card(card: Mapping[str, Any]) -> None:
    missing = [name for name in ("title", "licence", "command", "seed") if card.get(name) in (None, "")]
    dataset, test = card.get("dataset", {}), card.get("test", {})
    missing += [f"dataset.{name}" for name in ("name", "source", "citation") if not dataset.get(name)]
    require(not missing, f"the card of a model is complete; it lacks {', '.join(missing)}")
    require(test.get("nats_per_note", 0) > 0, "the card of a model states its likelihood on the test split")
    json.dumps(card)


def _check_writes(model: Model) -> None:
    from composer.generation.generator import Generator, generate

    player = Generator(model)
    try:
        request = replace(player.suggested, bars=BARS, seed=1)
        first, again = (generate(player, [request])[0].score for _ in range(2))
    except ComposerError as error:
        require(False, f"a model can write its own suggested request; {error}")
    require(first.note_count, "a model writes notes")
    require(first == again, "the same request makes the same piece")
