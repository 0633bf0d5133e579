"""`composer combine`: several trained models as one."""

from __future__ import annotations

import shlex
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from composer.errors import BadOption, ComposerError, RunWarning, printable

if TYPE_CHECKING:
    from composer.model import Model


REACH = ("metres", "repetition", "ranking")
"""Entries of a card that are measured anew where the music is here, and else are those of the first model."""


@click.command(short_help="Make one model of several.")
@click.argument("models", nargs=-1, required=True, metavar="MODEL MODEL...")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The model file to write (.safetensors).")
@click.option("--force", is_flag=True, help="Replace an existing file.")
def combine(models: tuple[str, ...], out: Path, force: bool) -> None:
    """Make an ensemble of trained models, which mostly predicts better than each of them.

    They have the same tokenizer, with the same options and conditions. Each step runs them all. Networks of different
    kinds do most for one another. The card has the likelihood of the test split of the first model's dataset, if
    that is here.

    \b
    composer train chorales --architecture mingru --out one.safetensors
    composer train chorales --architecture convlstm --out two.safetensors
    composer combine one.safetensors two.safetensors --out both.safetensors
    """  # noqa: D301  (a \b keeps click from filling the lines)
    from composer.errors import CannotWrite
    from composer.io.outputs import guard
    from composer.model import find_model, load, save

    if out.suffix != ".safetensors":
        raise CannotWrite(f"{printable(str(out))}: a model file ends in .safetensors.")
    paths = [find_model(name) for name in models]
    with guard([out], reads=paths, force=force):
        found = [load(path) for path in paths]
        model = join_models(found, models, "composer " + shlex.join(sys.argv[1:]))
        save(model, out)
    test = model.card.get("test")
    figures = f" Test split: {test['nats_per_note']:.3f} nats per note over {test['pieces']} pieces." if test else ""
    click.echo(f"{printable(str(out))}: {model.card['parameters']:,} parameters.{figures}")


def join_models(models: Sequence[Model], names: Sequence[str], command: str) -> Model:
    """Join trained models in an ensemble, and measure it for its card. Raises BadOption for models that do not fit."""
    from composer.model import ComponentSpec
    from composer_ensemble.options import NAME, Ensemble

    _check_alike(models, names)
    architecture = Ensemble(tuple(_describe(model) for model in models))
    joined = replace(
        models[0],
        architecture=ComponentSpec.describe("architectures", NAME, architecture),
        weights=_join_weights(models),
        card=_make_card(models, names, command),
        file="",
    )
    return _measure(joined)


def _check_alike(models: Sequence[Model], names: Sequence[str]) -> None:
    """Raise BadOption for a single model, for one that is an ensemble, and for one with other tokens."""
    from composer_ensemble.options import NAME

    if len(models) < 2:
        raise BadOption("an ensemble needs two models at least.")
    tokenizer = models[0].make_tokenizer()
    for model, name in zip(models, names, strict=True):
        if model.architecture.name == NAME:
            raise BadOption(f"{printable(name)}: is an ensemble already; name its members.")
        if model.make_tokenizer() != tokenizer:
            raise BadOption(
                f"{printable(name)}: has another tokenizer than {printable(names[0])}, or other options or conditions "
                "of it; train both with the same."
            )


def _describe(model: Model) -> str:
    from composer.plugins.specs import format_spec
    from composer.request import Spec

    return format_spec(Spec(model.architecture.name, dict(model.architecture.options)))


def _join_weights(models: Sequence[Model]) -> dict[str, Any]:
    from composer_ensemble.options import name_array

    return {
        name_array(number, name): array for number, model in enumerate(models) for name, array in model.weights.items()
    }


def _make_card(models: Sequence[Model], names: Sequence[str], command: str) -> dict[str, Any]:
    """Make the card: that of the first model, without what is only its own, and what the others are."""
    licences = dict.fromkeys(str(model.card.get("licence", "not stated")) for model in models)
    kept = ("dataset", "suggested", "conditions", "programs", "seed", *REACH)
    first = models[0].card
    return {
        **{key: first[key] for key in kept if key in first},
        "title": f"{' and '.join(model.architecture.name for model in models)}{_name_music(first)}",
        "licence": "; ".join(licences),
        "command": command,
        "parameters": sum(int(model.card.get("parameters", 0)) for model in models),
        "members": [_describe_member(model, Path(name).name) for model, name in zip(models, names, strict=True)],
    }


def _name_music(card: Mapping[str, Any]) -> str:
    title = card.get("dataset", {}).get("title")
    return f" on {title}" if title else ""


def _describe_member(model: Model, name: str) -> dict[str, Any]:
    keys = ("title", "command", "parameters", "test", "training")
    return {"name": name, "hash": model.hash, **{key: model.card[key] for key in keys if key in model.card}}


def _measure(model: Model) -> Model:
    """Measure a model for its card on the music of its dataset; where that is not here, warn, and leave it out."""
    from composer.generation.generator import Generator
    from composer.training.evaluation import evaluate
    from composer.training.model_card import build_training_corpus, measure_reach

    tokenizer = model.make_tokenizer()
    try:
        corpus = build_training_corpus(Generator(model, ""))
    except (ComposerError, KeyError) as error:
        text = f"the card has no likelihood, since the music of the models is not here ({printable(str(error), 200)})"
        warnings.warn(text, RunWarning, stacklevel=2)
        return model
    module = model.make_module()
    reach: Mapping[str, Any] = measure_reach(module, corpus, tokenizer)
    return replace(model, card={**model.card, **reach, "test": evaluate(module, corpus, tokenizer)})
