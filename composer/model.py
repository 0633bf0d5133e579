"""A trained model in one safetensors file: weights, architecture, tokenizer, card. It needs no torch.

The header holds one JSON text under `composer`. Nothing is ever unpickled. Plugins that a header names are imported
when the model is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from composer.errors import BadModelFile, ComposerError, UnknownName, printable, suggest
from composer.plugins.options import get_values
from composer.plugins.registry import registry
from composer.storage.atomic import write_whole_file
from composer.storage.inside import expand_home
from composer.storage.opening import check_regular, open_regular
from composer.tokens.conditions import Conditions, add_conditions, is_name, is_value
from composer.types import Architecture, Cell, HasCell, Tokenizer

if TYPE_CHECKING:
    from torch import nn

FORMAT = 1
"""Version of the file format; files of a later one are refused."""

LARGEST_HEADER = 16 * 2**20

LARGEST = 4 * 2**30
"""The most bytes of a file, far above any practical recurrent network."""

KINDS = ("F16", "F32")
"""Data types of weights, as safetensors names them."""


@dataclass(frozen=True)
class ComponentSpec:
    """A plugin's object as written in a file: name, options, and the plugin that offers it."""

    name: str
    options: Mapping[str, Any]
    plugin: str = ""
    version: str = ""

    @staticmethod
    def describe(kind: str, name: str, thing: Any) -> ComponentSpec:
        """Describe `thing`, a dataclass of its options, so that it can be made again."""
        plugin = registry().get_offer(kind, name).plugin
        return ComponentSpec(name, get_values(thing), plugin.distribution, plugin.version)

    @staticmethod
    def read(values: Mapping[str, Any]) -> ComponentSpec:
        """Read the result of `asdict`. Raises TypeError for values of other types."""
        made = ComponentSpec(**values)
        texts = (made.name, made.plugin, made.version)
        if not (isinstance(made.options, Mapping) and all(isinstance(text, str) for text in texts)):
            raise TypeError("expected a name, options, and a plugin with its version")
        return made


def _normalise(distribution: str) -> str:
    """Write the name of a package in the one way in which equal ones are equal (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


@dataclass(frozen=True, eq=False)
class Model:
    """The content of a model file. `card` describes its origin, and does not change its output."""

    architecture: ComponentSpec
    tokenizer: ComponentSpec
    vocabulary: tuple[str, ...]
    weights: Mapping[str, NDArray[Any]]
    card: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""  # its path, safe to print; error messages begin with it
    conditions: Conditions = ()  # which its tokenizer states before each piece, and their values

    @cached_property
    def hash(self) -> str:
        """SHA-256 over weights, architecture and tokenizer; the card is left out."""
        digest = hashlib.sha256()
        made: list[Any] = [
            self.architecture.name,
            self.architecture.options,
            self.tokenizer.name,
            self.tokenizer.options,
        ]
        made += [self.conditions] if self.conditions else []
        digest.update(json.dumps([*made, self.vocabulary], sort_keys=True).encode())
        for name, array in sorted(self.weights.items()):
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def make_tokenizer(self) -> Tokenizer:
        """Make the tokenizer. Raises BadModelFile if it is not installed, or has changed."""
        tokenizer = add_conditions(self._make("tokenizers", self.tokenizer), self.conditions)
        if tokenizer.vocabulary != self.vocabulary:
            raise self._make_error(
                f"the tokenizer '{printable(self.tokenizer.name)}' has changed since this model was trained; "
                f"install {printable(self.tokenizer.plugin)} {printable(self.tokenizer.version)}."
            )
        return tokenizer

    def make_architecture(self) -> Architecture:
        """Make the architecture. Raises BadModelFile if it is not installed."""
        architecture: Architecture = self._make("architectures", self.architecture)
        return architecture

    def make_cell(self) -> Cell:
        """Make the cell: the network as arrays, in fp32. Raises BadModelFile if there is none, or it does not fit."""
        from composer.fitting import UnfitWeights, check_cell, find_faults

        architecture = self.make_architecture()
        if not isinstance(architecture, HasCell):
            raise self._make_error(
                f"the architecture '{printable(self.architecture.name)}' does not describe its cell."
            )
        sizes = [column.size for column in self._make_fitting_tokenizer(architecture).grammar.columns]
        weights = {name: array.astype(np.float32) for name, array in self.weights.items()}
        try:
            with find_faults("build_cell", self.architecture.name):
                cell = architecture.build_cell(sizes, weights)
            check_cell(cell, sizes, len(self.vocabulary))
        except UnfitWeights as error:
            raise self._make_unfit_error(error) from error
        return cell

    def make_module(self) -> nn.Module:
        """Make the torch module with its weights in fp32, ready to use. Raises BadModelFile if they do not fit."""
        architecture = self.make_architecture()
        tokenizer = self._make_fitting_tokenizer(architecture)  # before torch is imported
        import torch

        from composer.building import build_network
        from composer.fitting import UnfitWeights

        try:
            with torch.random.fork_rng(devices=[]):  # initialising must not advance the caller's random numbers
                columns, words = tokenizer.grammar.columns, len(self.vocabulary)
                module = build_network(architecture, columns, words, self.weights, tokenizer.token_info)
        except UnfitWeights as error:
            raise self._make_unfit_error(error) from error
        return module.eval()

    def _make_fitting_tokenizer(self, architecture: Architecture) -> Tokenizer:
        """Make the tokenizer. Raises BadModelFile if the weights do not fit its features."""
        from composer.fitting import UnfitWeights, check_weights

        tokenizer = self.make_tokenizer()
        sizes = [column.size for column in tokenizer.grammar.columns]
        try:
            check_weights(architecture, sizes, len(self.vocabulary), self.weights)
        except UnfitWeights as error:
            raise self._make_unfit_error(error) from error
        return tokenizer

    def _make(self, kind: str, made: ComponentSpec) -> Any:
        try:
            self._check_origin(kind, made)
            return registry().make(kind, made.name, **made.options)
        except UnknownName as error:
            brings = f"{printable(made.plugin)} {printable(made.version)}"
            raise self._make_error(
                f"the model needs a plugin that is not here: {error} It came with {brings}."
            ) from error
        except ComposerError as error:
            raise self._make_error(f"the model was made with other options: {error}") from error

    def _check_origin(self, kind: str, made: ComponentSpec) -> None:
        """Check that a name means what it meant in training. Raises UnknownName, BadModelFile."""
        here = registry().get_offer(kind, made.name).plugin
        if made.plugin and _normalise(made.plugin) != _normalise(here.distribution):
            raise self._make_error(
                f"its {kind.removesuffix('s')} '{printable(made.name)}' is that of {printable(made.plugin)}"
                f" {printable(made.version)}, and the one here is that of {printable(here.distribution)}: install"
                f" {printable(made.plugin)}, and leave out the other with `--without {printable(here.name)}`."
            )

    def _make_unfit_error(self, error: Exception) -> BadModelFile:
        from composer.fitting import FaultyArchitecture

        if isinstance(error, FaultyArchitecture):
            return self._make_error(f"{printable(str(error), 400)}.")
        return self._make_error(f"its weights do not fit its architecture ({printable(str(error), 240)}).")

    def _make_error(self, sentence: str) -> BadModelFile:
        return BadModelFile(f"{self.file}: {sentence}" if self.file else sentence)


def save(model: Model, path: Path) -> None:
    """Write a model file, whole or not at all. Raises CannotWrite."""
    from safetensors.numpy import save_file

    header = {
        "format": FORMAT,
        "architecture": asdict(model.architecture),
        "tokenizer": asdict(model.tokenizer),
        "vocabulary": model.vocabulary,
        "card": model.card,
    }
    header |= {"conditions": model.conditions} if model.conditions else {}
    weights = {name: np.ascontiguousarray(array) for name, array in model.weights.items()}
    with write_whole_file(path) as scratch:
        save_file(weights, scratch, {"composer": json.dumps(header)})


def load(path: Path) -> Model:
    """Read a model file. Raises BadModelFile, in one sentence, for anything else."""
    from safetensors import SafetensorError, safe_open

    shown = printable(str(path))
    header = _read_header(path, shown)
    try:
        with safe_open(path, framework="numpy") as file:
            weights = {name: _read_weight(file, name, shown) for name in file.keys()}  # noqa: SIM118  (not a dict)
        model = Model(
            architecture=ComponentSpec.read(header["architecture"]),
            tokenizer=ComponentSpec.read(header["tokenizer"]),
            vocabulary=_read_vocabulary(header["vocabulary"]),
            weights=weights,
            card=dict(header["card"]),
            file=shown,
            conditions=_read_conditions(header.get("conditions", [])),
        )
    except MemoryError as error:
        raise BadModelFile(f"{shown}: is larger than there is memory for.") from error
    except (SafetensorError, OSError) as error:
        raise BadModelFile(f"{shown}: is damaged ({printable(str(error), 160)}).") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadModelFile(f"{shown}: its header is not one of a model.") from error
    if not all(np.isfinite(array).all() for array in weights.values()):
        raise BadModelFile(f"{shown}: contains weights that are NaN or infinite.")
    return model


def _read_weight(file: Any, name: str, shown: str) -> NDArray[Any]:
    kind = file.get_slice(name).get_dtype()
    if kind not in KINDS:
        raise BadModelFile(f"{shown}: '{printable(name)}' holds {printable(kind)}; weights are {' or '.join(KINDS)}.")
    array: NDArray[Any] = file.get_tensor(name)
    return array


def _read_vocabulary(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError("a vocabulary is a list")
    return tuple(map(str, values))


def _read_conditions(values: Any) -> Conditions:
    """Check the conditions of a header. Raises TypeError or ValueError for others than names and values."""
    found = tuple((name, tuple(of)) for name, of in values)
    if not all(is_name(name) and all(map(is_value, of)) for name, of in found):
        raise ValueError("a condition has an odd name or value")
    if len(dict(found)) < len(found) or any(len(set(of)) < len(of) for _, of in found):
        raise ValueError("a condition is there twice")
    return found


def read_conditions(path: Path) -> tuple[Conditions, Mapping[str, Any]]:
    """Read the conditions of a model, and the card, without its weights. Raises BadModelFile."""
    shown = printable(str(path))
    header = _read_header(path, shown)
    try:
        return _read_conditions(header.get("conditions", [])), dict(header["card"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadModelFile(f"{shown}: its header is not one of a model.") from error


def _read_header(path: Path, shown: str) -> Mapping[str, Any]:
    """Read the JSON under `composer`, without trusting any length in the file."""
    try:
        with open_regular(path, BadModelFile) as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, LARGEST_HEADER):
                raise BadModelFile(f"{shown}: is truncated, or not a model file.")
            if size > LARGEST:
                raise BadModelFile(f"{shown}: is larger than {LARGEST // 2**30} GiB, which no model is.")
            raw = file.read(length)
        header = json.loads(json.loads(raw)["__metadata__"]["composer"])
        version = header["format"]
    except OSError as error:
        raise BadModelFile(f"{shown}: cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadModelFile(f"{shown}: is not a model file of this program.") from error
    if version != FORMAT:
        raise BadModelFile(f"{shown}: is of format {printable(str(version), 20)}; this version reads {FORMAT}.")
    return header


def find_model(name: str) -> Path:
    """Find the file of a model by its registered name, or by a path that ends in `.safetensors`."""
    offers = registry().offers["models"]
    if name in offers:
        path = Path(offers[name].make())
        if not path.is_file():
            raise BadModelFile(f"the model '{name}' is offered by {offers[name].plugin.name}, but its file is missing.")
        return path
    if name.endswith(".safetensors"):
        path = expand_home(name)
        check_regular(path, BadModelFile)
        return path
    raise UnknownName(f"unknown model '{printable(name)}', and not a .safetensors file: {suggest(name, offers)}")
