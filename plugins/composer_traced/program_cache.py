"""Traced steps kept in the cache, so that a later process neither traces a network nor imports torch.

A step is kept after the trial that holds it to its network. It is found again only for the same weights, architecture
and options, with the same Python, torch, compiler and processor, the same folders of modules, and with every module
unchanged that was loaded when it was traced: those of the plugin, and whatever these had imported.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import sysconfig
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from composer.errors import CannotWrite
from composer.plugins.registry import registry
from composer.storage.atomic import write_whole_file
from composer.storage.cache import find_cache_folder, make_folder
from composer.tokens.jit.c_compiler import describe_compiler, describe_processor
from composer_traced.graph import Graph, Value

if TYPE_CHECKING:
    from composer.model import Model

MOST_FILES = 16
"""Steps that are kept; each is about as large as the model's weights."""

Shapes = list[tuple[int, ...]]
"""The shapes of a row's state."""


def recall(model: Model) -> tuple[dict[str, Graph], Shapes] | None:
    """Return the graphs that were kept of a model, and the shapes of a row's state; None if there are none."""
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, BadZipFile):
        path = _locate(model)
        arrays = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
        about = json.loads(arrays["about"].tobytes())
        if any(_describe_file(file) != tuple(mark) for file, mark in about["files"].items()):
            return None
        graphs = {name: _read_graph(name, one, arrays) for name, one in about["graphs"].items()}
        os.utime(path)  # it was used lately
        return graphs, [tuple(shape) for shape in about["shapes"]]
    return None


def keep(model: Model, graphs: Mapping[str, Graph], shapes: Shapes) -> None:
    """Keep the graphs of a model, where the cache is writable; the least recently used ones give way."""
    with suppress(OSError, CannotWrite, ValueError, TypeError, AttributeError, LookupError):
        path = _locate(model)
        make_folder(path.parent)
        files = {file: mark for file in _list_module_files() if (mark := _describe_file(file))}
        about = {"files": files, "graphs": {name: _describe_graph(one) for name, one in graphs.items()}}
        text = json.dumps({**about, "shapes": shapes}).encode()
        arrays: dict[str, Any] = {"about": np.frombuffer(text, dtype=np.uint8)}
        arrays |= {f"{name} {key}": a for name, one in graphs.items() for key, a in one.constants.items()}
        made = io.BytesIO()
        np.savez(made, **arrays)
        with write_whole_file(path) as scratch:
            scratch.write_bytes(made.getvalue())
        kept = sorted(path.parent.glob("*.npz"), key=lambda one: one.stat().st_mtime_ns)
        for old in kept[:-MOST_FILES]:
            old.unlink(missing_ok=True)


def _locate(model: Model) -> Path:
    """Return the path for a model, which is another one wherever its step may be."""
    plugin = registry().get_offer("architectures", model.architecture.name).plugin
    folders = [(path, _read_time(path)) for path in sys.path]
    tools = [sys.version, version("torch"), version("numpy"), describe_compiler(), describe_processor()]
    made_of = [model.hash, asdict(model.architecture), asdict(plugin), tools, folders, os.environ.get("PYTHONPATH", "")]
    digest = hashlib.blake2b(json.dumps(made_of, sort_keys=True, default=str).encode(), digest_size=16)
    return find_cache_folder() / "traced" / f"{digest.hexdigest()}.npz"


def _read_time(path: str) -> int:
    try:
        return Path(path or ".").stat().st_mtime_ns
    except OSError:
        return 0


def _list_module_files() -> list[str]:
    """List the files of all modules, but those of Python and torch, which have a version."""
    import torch

    outside = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), str(Path(torch.__file__).parent)]
    packages = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    found = {str(getattr(module, "__file__", None) or "") for module in [*sys.modules.values()]}

    def is_versioned(file: str) -> bool:
        inside = any(file.startswith(f"{folder}{os.sep}") for folder in outside)
        of_torch = file.startswith(f"{outside[-1]}{os.sep}")
        return of_torch or (inside and not file.startswith(packages))

    return sorted({file for file in found if file and not is_versioned(file)})


def _describe_file(path: str) -> tuple[int, int] | None:
    """Return the size of a file, and when it changed; None if it is not there."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _describe_graph(graph: Graph) -> dict[str, Any]:
    return {
        "lines": graph.lines,
        "sizes": graph.sizes,
        "constants": list(graph.constants),
        "matrices": sorted(graph.matrices),
        "inputs": graph.inputs,
        "states": [asdict(value) for value in graph.states],
        "results": [asdict(value) for value in graph.results],
    }


def _read_graph(name: str, about: Mapping[str, Any], arrays: Mapping[str, Any]) -> Graph:
    states, results = (tuple(_read_value(value) for value in about[key]) for key in ("states", "results"))
    constants = {key: arrays[f"{name} {key}"] for key in about["constants"]}
    return Graph(about["lines"], about["sizes"], constants, set(about["matrices"]), about["inputs"], states, results)


def _read_value(about: Mapping[str, Any]) -> Value:
    return Value(**{**about, "shape": tuple(about["shape"]), "strides": tuple(about["strides"])})
