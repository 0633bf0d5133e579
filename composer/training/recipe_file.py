"""Recipes as files: every choice of a training in TOML, and back.

A recipe is read as plain values; options of the command line replace some of them; then its objects are made.
"""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from composer.data.datasets import make_dataset
from composer.data.labels import check_name
from composer.errors import BadOption, BadRecipe, ComposerError, RunWarning, printable, suggest
from composer.model import find_model, load
from composer.plugins.offers import Offer
from composer.plugins.options import convert, make_plain, read_options
from composer.plugins.registry import registry
from composer.plugins.specs import parse_spec
from composer.storage.opening import read_bytes
from composer.storage.toml import parse
from composer.training.loop import FINETUNING, Settings
from composer.training.methods import FINETUNING as FINETUNING_METHOD
from composer.training.methods import PARTS, TRANSPOSE, USUAL, Method, make_transposition, move_old_keys, read_method
from composer.training.recipes import Beginning, Plain, Recipe
from composer.training.suggestions import find_unknown_suggestions
from composer.types import Callback, Dataset

LARGEST = 2**20
"""The most bytes of a recipe."""

WIDEST = 64
"""The most bits of an integer."""

KEYS: Mapping[str, tuple[type, str]] = {
    "dataset": (str, "a name of `composer datasets`, or folder:PATH"),
    "out": (str, "the model file to write (.safetensors)"),
    "half": (bool, "store weights in fp16, else in fp32"),
    "run": (str, "the folder in which the run is kept, to be watched and gone on with"),
    "conditions": (list, "labels of pieces that the model is told, such as style"),
    "begin_from": (str, "a trained model to begin from: its name, or a .safetensors file"),
    "dataset_options": (dict, ""),
    "tokenizer": (dict, ""),
    "architecture": (dict, ""),
    "objective": (dict, ""),
    "optimiser": (dict, ""),
    "schedule": (dict, ""),
    "augmentations": (dict, ""),
    "training": (dict, ""),
    "callbacks": (dict, ""),
    "started": (dict, ""),
}
"""The keys of a recipe, in the order of writing: type and comment of each value."""

CALLBACKS = ("samples",)
"""Default callbacks of a run with a folder, if installed, and unless the recipe has `samples = false`."""

COMPONENTS = ("tokenizer", "architecture")
"""Keys whose tables hold the `name` of a plugin's object and its options."""

OF_SEVERAL: Mapping[str, str] = {"augmentations": "transforms", "callbacks": "callbacks"}
"""Keys whose tables hold things of a kind by name, each with a table of options, or true or false."""

_TYPES = {str: "a text", bool: "true or false", dict: "a table", list: "a list"}


def read_recipe(path: Path) -> Plain:
    """Read the recipe in a file. Raises BadRecipe, with file and key, for anything else."""
    shown = printable(str(path))
    try:
        plain: Plain = parse(read_bytes(path, LARGEST, BadRecipe).decode())
    except ValueError as error:
        raise BadRecipe(f"{shown}: is not TOML ({printable(str(error), 160)}).") from error
    try:
        plain = move_old_keys(plain)
        check_recipe(plain)
    except ComposerError as error:
        raise BadRecipe(f"{shown}: {error}") from error
    return plain


def check_recipe(plain: Plain) -> None:
    """Raise BadRecipe, BadOption or UnknownName for an invalid key, name or value."""
    for key, value in plain.items():
        if key not in KEYS:
            raise BadRecipe(f"a recipe has no '{printable(key)}': {suggest(key, KEYS)}")
        _check_numbers(key, value)
        if not isinstance(value, KEYS[key][0]):
            raise BadRecipe(f"'{key}' is {printable(repr(value))}, which is not {_TYPES[KEYS[key][0]]}.")
    _make_settings(plain)
    _check_conditions(plain)
    read_method(plain, _get_usual_method(plain))
    for kind in COMPONENTS:
        if kind in plain:
            if "begin_from" in plain:
                raise BadRecipe(f"'begin_from' brings its own {kind}; leave out [{kind}].")
            if not isinstance(plain[kind].get("name"), str):
                raise BadRecipe(f"[{kind}] needs the 'name' of {'an' if kind[0] in 'aeiou' else 'a'} {kind}.")
            _make_component(kind, plain[kind])
    _check_callbacks(plain.get("callbacks", {}))
    if "dataset" in plain:
        make_dataset(plain["dataset"], **plain.get("dataset_options", {}))


def _check_conditions(plain: Plain) -> None:
    """Raise BadRecipe or BadOption unless conditions are names of labels; a model to begin from brings its own."""
    if "conditions" in plain and "begin_from" in plain:
        raise BadRecipe("'begin_from' brings its own conditions; leave out 'conditions'.")
    for name in plain.get("conditions", ()):
        if not isinstance(name, str):
            raise BadRecipe(f"'conditions' holds {printable(repr(name))}, which is not a text.")
        check_name(name)


def _check_callbacks(callbacks: Plain) -> None:
    """Raise BadRecipe or UnknownName unless each callback has a table of options, or true or false."""
    for name, options in callbacks.items():
        registry().get_offer("callbacks", name)
        if not isinstance(options, dict | bool):
            raise BadRecipe(f"[callbacks] has a '{printable(name)}' that is no table of options, nor true or false.")


def make_callbacks(plain: Plain) -> dict[str, Callback]:
    """Make the callbacks of a recipe, by their names.

    Raises BadOption for a callback that writes into the folder of a run, if there is no folder.
    """
    _check_callbacks(plain.get("callbacks", {}))
    usual = {name: True for name in CALLBACKS if "run" in plain and name in registry().offers["callbacks"]}
    chosen: Plain = {**usual, **plain.get("callbacks", {})}
    made: dict[str, Callback] = {}
    for name, options in chosen.items():
        if options is not False:
            made[name] = registry().make("callbacks", name, **({} if options is True else options))
            if made[name].writes and "run" not in plain:
                raise BadOption(f"the callback {printable(name)} writes into the folder of a run; give --run as well.")
    return made


def _check_numbers(key: str, value: Any) -> None:
    """Raise BadRecipe for an integer of more than `WIDEST` bits."""
    if isinstance(value, int) and value.bit_length() > WIDEST:
        raise BadRecipe(f"'{printable(key)}' is a number of {value.bit_length():,} bits; {WIDEST} are the most.")
    listed = [(key, one) for one in value] if isinstance(value, list) else []
    for name, one in value.items() if isinstance(value, dict) else listed:
        _check_numbers(name, one)


def replace_value(plain: Plain, key: str, value: Any) -> dict[str, Any]:
    """Set a value of a recipe. A new dataset, or thing of a plugin, keeps the options that it knows.

    An objective, an optimiser or a schedule is typed as a spec, perhaps with options. Raises UnknownName, BadOption.
    """
    if key in PARTS:
        spec = parse_spec(value, PARTS[key])
        kept = _keep_known(plain.get(key, {}), registry().get_offer(PARTS[key], spec.name))
        return {**plain, key: {**kept, **spec.options, "name": spec.name}}
    if key != "dataset" and key not in COMPONENTS:
        return {**plain, key: value}
    table = "dataset_options" if key == "dataset" else key
    options = _keep_known(plain.get(table, {}), registry().get_offer(f"{key}s", value.partition(":")[0]))
    return {**plain, table: options, key: value} if key == "dataset" else {**plain, key: {**options, "name": value}}


def add_augmentations(
    plain: Plain, chosen: str | Sequence[str] | Mapping[str, Any], semitones: int | None = None
) -> dict[str, Any]:
    """Add augmentations to a recipe, as they are typed, or as options by name; `semitones` are those of `transpose`.

    Raises UnknownName, BadOption.
    """
    if isinstance(chosen, Mapping):
        added = dict(chosen)
    else:
        specs = [parse_spec(one, "transforms") for one in ([chosen] if isinstance(chosen, str) else chosen)]
        added = {spec.name: dict(spec.options) or True for spec in specs}
        if twice := next((one for one, times in Counter(one.name for one in specs).items() if times > 1), ""):
            raise BadOption(f"the augmentation '{twice}' is given twice; give it once.")
    if semitones is not None:
        if TRANSPOSE.name in added:
            raise BadOption("'transpose' is given twice, as an augmentation and by itself; leave out one of them.")
        added[TRANSPOSE.name] = make_transposition(semitones)
    return {**plain, "augmentations": {**plain.get("augmentations", {}), **added}} if added else dict(plain)


def _keep_known(table: Plain, offer: Offer) -> dict[str, Any]:
    known = {option.name for option in offer.options}
    return {name: option for name, option in table.items() if name in known}


def make_recipe(plain: Plain) -> Recipe:
    """Make the recipe, with its dataset, tokenizer and architecture.

    It must name a dataset, and an architecture or a model to begin from; the dataset suggests a tokenizer.
    """
    plain = move_old_keys(plain)
    check_recipe(plain)
    for key in ("dataset",) if "begin_from" in plain else ("dataset", "architecture"):
        if key not in plain:
            raise BadRecipe(f"a recipe needs '{key}'.")
    dataset = make_dataset(plain["dataset"], **plain.get("dataset_options", {}))
    if "begin_from" in plain:
        return _make_finetuning(plain, dataset)
    tokenizer = plain.get("tokenizer", {"name": dataset.tokenizer})
    if tokenizer["name"] == dataset.tokenizer:
        tokenizer = {**dataset.tokenizer_options, **tokenizer}
    architecture = plain["architecture"]
    for text in find_unknown_suggestions(dataset):
        warnings.warn(f"{printable(plain['dataset'])}: {text}", RunWarning, stacklevel=2)
    settings, options = _suggest_options(dataset, architecture["name"])
    method = _suggest_method(plain, dataset)
    return Recipe(
        dataset,
        tokenizer["name"],
        _make_component("tokenizer", tokenizer),
        architecture["name"],
        _make_component("architecture", {**options, **architecture}),
        _make_settings(plain, settings),
        plain.get("half", True),
        conditions=tuple(plain.get("conditions", ())),
        method=method,
    )


def _make_finetuning(plain: Plain, dataset: Dataset) -> Recipe:
    model = load(find_model(plain["begin_from"]))
    return Recipe(
        dataset,
        model.tokenizer.name,
        model.make_tokenizer(),
        model.architecture.name,
        model.make_architecture(),
        _make_settings(plain),
        plain.get("half", True),
        Beginning(plain["begin_from"], model),
        method=read_method(plain, FINETUNING_METHOD),
    )


def _get_usual_method(plain: Plain) -> Method:
    return FINETUNING_METHOD if "begin_from" in plain else USUAL


def _suggest_method(plain: Plain, dataset: Dataset) -> Method:
    """Read the method of a recipe; a dataset suggests options of its parts, and `transpose`."""
    wanted = move_old_keys({"training": dataset.training_options})
    tables = {}
    for key, kind in PARTS.items():
        table = {"name": getattr(USUAL, key).name, **plain.get(key, {})}
        own = {**dataset.training_options, **wanted.get(key, {})}
        tables[key] = {**_keep_known(own, registry().get_offer(kind, table["name"])), **table}
    augmentations = {**wanted.get("augmentations", {}), **plain.get("augmentations", {})}
    return read_method({**plain, **tables, "augmentations": augmentations})


def _suggest_options(dataset: Dataset, architecture: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split a dataset's training options into fields of `Settings` and options of the architecture."""
    in_training = {field.name for field in fields(Settings)}
    in_architecture = {option.name for option in registry().get_offer("architectures", architecture).options}
    wanted = dataset.training_options
    return (
        {name: value for name, value in wanted.items() if name in in_training},
        {name: value for name, value in wanted.items() if name in in_architecture},
    )


def _make_component(kind: str, table: Plain) -> Any:
    options = dict(table)
    return registry().make(f"{kind}s", options.pop("name"), **options)


def _make_settings(plain: Plain, suggested: Plain = MappingProxyType({})) -> Settings:
    """Make the settings: those of the recipe over `suggested` ones.

    Raises BadOption for an unknown key and for an invalid value.
    """
    known = {option.name: option for option in read_options(Settings)}
    chosen = plain.get("training", {})
    for name in chosen:
        if name not in known:
            raise BadOption(f"[training] has no '{printable(name)}': {suggest(name, known)}")
    usual = FINETUNING if "begin_from" in plain else replace(Settings(), **suggested)
    return replace(usual, **{name: convert(value, known[name], "[training]") for name, value in chosen.items()})


def format_recipe(plain: Plain) -> str:
    """Write a recipe as TOML, with a comment on each option. Raises BadRecipe for a value that TOML cannot hold."""
    lines = [_format_line(key, plain.get(key), about) for key, (kind, about) in KEYS.items() if kind is not dict]
    for key, (kind, _) in KEYS.items():
        if key in OF_SEVERAL:
            lines += _format_several(key, plain.get(key, {}))
        elif kind is dict and plain.get(key):
            lines += ["", f"[{key}]", *_format_lines(plain[key], _find_help(plain, key))]
    return "\n".join(lines) + "\n"


def _format_lines(table: Plain, about: Mapping[str, str]) -> list[str]:
    return [_format_line(name, value, about.get(name, "")) for name, value in table.items()]


def _format_several(key: str, chosen: Plain) -> list[str]:
    """Write one table for all things without options, and one for each of the others."""
    keys = {name: name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _format_value(name) for name in chosen}
    bare = {keys[name]: value for name, value in chosen.items() if isinstance(value, bool)}
    lines = ["", f"[{key}]", *_format_lines(bare, {})] if bare else []
    for name, options in chosen.items():
        if not isinstance(options, bool):
            about = {option.name: option.help for option in registry().get_offer(OF_SEVERAL[key], name).options}
            lines += ["", f"[{key}.{keys[name]}]", *_format_lines(options, about)]
    return lines


def _find_help(plain: Plain, key: str) -> Mapping[str, str]:
    """Look up the help text of each option of a table."""
    if key == "training":
        options = read_options(Settings)
    elif key in PARTS:
        options = registry().get_offer(PARTS[key], plain[key].get("name", getattr(USUAL, key).name)).options
    elif key == "started" or (key == "dataset_options" and "dataset" not in plain):
        options = ()
    elif key == "dataset_options":
        options = registry().get_offer("datasets", plain["dataset"].partition(":")[0]).options
    else:
        options = registry().get_offer(f"{key}s", plain[key]["name"]).options
    return {option.name: option.help for option in options}


def _format_line(name: str, value: Any, about: str) -> str:
    """Write one assignment. TOML has no null: an option without a value becomes a comment."""
    assignment = f"# {name} =" if value is None else f"{name} = {_format_value(value)}"
    return f"{assignment:<28}  # {about}" if about else assignment


def _format_value(value: Any) -> str:
    value = make_plain(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_format_value, value))}]"
    raise BadRecipe(f"{printable(repr(value))} cannot be written in a recipe.")
