"""The cached registry, so that each plugin is imported only when something of it is needed.

It is rebuilt when a plugin's files, a package or Python itself has changed. A missing library is cached as a fault,
until something is installed. With any other fault nothing is cached: a change elsewhere may mend it.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from composer import __version__
from composer.errors import CannotWrite
from composer.plugins.discovery import Plugin, find, list_disabled
from composer.plugins.offers import KINDS, LazyThing, Offer, Registry
from composer.plugins.options import Option, list_choices
from composer.storage.atomic import write_whole_file
from composer.storage.cache import find_cache_folder, make_folder

PLAIN = {"int": int, "float": float, "bool": bool, "str": str, "None": type(None)}


def recall(points: Sequence[EntryPoint]) -> Registry | None:
    """Return the cached registry of these entry points; None where there is none, or where it no longer fits."""
    try:
        kept = json.loads(_locate_cache().read_text(encoding="utf-8"))
        if kept["fingerprint"] != compute_fingerprint(points) or kept["seal"] != _compute_checksum(kept["plugins"]):
            return None
        return _decode_registry(points, kept["plugins"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def keep(points: Sequence[EntryPoint], registry: Registry) -> None:
    """Cache a registry for later runs, unless a plugin has a fault other than a missing library."""
    if any(plugin.fault and plugin.cause != "missing" for plugin in registry.plugins):
        return
    try:
        plugins = [_describe_plugin(registry, plugin) for plugin in registry.plugins]
        text = json.dumps(
            {"fingerprint": compute_fingerprint(points), "seal": _compute_checksum(plugins), "plugins": plugins}
        )
        make_folder(_locate_cache().parent)
        with write_whole_file(_locate_cache()) as scratch:
            scratch.write_text(text, encoding="utf-8")
    except (OSError, CannotWrite, TypeError, ValueError):
        return  # types or defaults that JSON cannot hold, or no writable cache


def _locate_cache() -> Path:
    """Return the path of the cache: a file for each set of disabled plugins."""
    names = list_disabled()
    return find_cache_folder() / (f"plugins-{_compute_digest(names)}.json" if names else "plugins.json")


def _compute_digest(values: object) -> str:
    return hashlib.blake2b(repr(values).encode(), digest_size=16).hexdigest()


def _compute_checksum(plugins: Any) -> str:
    """Compute the checksum of the cached registry."""
    return _compute_digest(json.dumps(plugins, sort_keys=True))


# --- what it depends on -----------------------------------------------------------------------------------------------


def compute_fingerprint(points: Sequence[EntryPoint]) -> str:
    """Compute a digest that changes with plugins, their files, packages and versions."""
    installed = [_read_time(Path(path)) for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    return _compute_digest((sys.version, __version__, installed, [_describe_files(point) for point in points]))


def compute_mark(point: EntryPoint) -> str:
    """Compute a digest that changes with the files of one plugin, and with the versions of Python and composer."""
    return _compute_digest((sys.version, __version__, _describe_files(point)))


def list_plugin_files() -> list[str]:
    """List the source files of all installed plugins, and the folders that they are in."""
    files = [Path(path) for point in find() for path, _ in _list_files(point.module.partition(".")[0])]
    return sorted({*map(str, files), *(str(path.parent) for path in files)})


def _describe_files(point: EntryPoint) -> tuple[object, ...]:
    return (point.name, point.value, *_list_files(point.module.partition(".")[0]))


def _list_files(module: str) -> Iterator[tuple[str, int]]:
    """Yield the source files of a top-level module, each with its time of change."""
    spec = find_spec(module)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    paths = [path for folder in folders for path in sorted(Path(folder).rglob("*.py"))]
    for path in paths or ([Path(spec.origin)] if spec and spec.origin else []):
        yield str(path), _read_time(path)


def _read_time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


# --- as JSON ----------------------------------------------------------------------------------------------------------


def _describe_plugin(registry: Registry, plugin: Plugin) -> dict[str, Any]:
    offers = [offer for kind in KINDS for offer in registry.offers[kind].values() if offer.plugin is plugin]
    described = [
        {
            "kind": offer.kind,
            "name": offer.name,
            "summary": offer.summary,
            "options": [_encode_option(option) for option in offer.options],
        }
        for offer in offers
    ]
    return {**asdict(plugin), "offers": described}


def can_keep(option: Option) -> bool:
    """Tell whether an option can be cached. Otherwise its plugin, and all others, are imported at every start."""
    try:
        _encode_option(option)
    except (TypeError, ValueError):
        return False
    return True


def _encode_option(option: Option) -> dict[str, Any]:
    values = {"name": option.name, "type": _encode_type(option.type), "help": option.help, "example": option.example}
    if option.required:
        return values
    back = _decode_default(json.loads(json.dumps(option.default)))
    if back != option.default or type(back) is not type(option.default):
        raise TypeError("JSON cannot hold this default")
    return {**values, "default": option.default}


def _encode_type(annotation: Any) -> Any:
    """Spell a type as JSON: `int | None` as ["or", "int", "None"], `tuple[str, ...]` as ["tuple", "str"].

    Raises TypeError for others.
    """
    for name, kind in PLAIN.items():
        if annotation is kind:
            return name
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        return ["or", *map(_encode_type, arguments)]
    if words := list_choices(annotation):
        return ["one of", *words]
    if origin is tuple and len(arguments) == 2 and arguments[1] is ...:
        return ["tuple", _encode_type(arguments[0])]
    raise TypeError(f"JSON cannot hold {annotation}")


def _decode_type(spelled: Any) -> Any:
    if isinstance(spelled, str):
        return PLAIN[spelled]
    kind, *parts = spelled
    if kind == "tuple":
        return tuple[_decode_type(parts[0]), ...]  # type: ignore[misc]
    if kind == "one of":
        return typing.Literal[tuple(parts)]
    return typing.Union[tuple(map(_decode_type, parts))]  # noqa: UP007  (of types known only at run time)


def _decode_default(value: Any) -> Any:
    return tuple(map(_decode_default, value)) if isinstance(value, list) else value


def _decode_registry(points: Sequence[EntryPoint], plugins: Sequence[Mapping[str, Any]]) -> Registry:
    offers: dict[str, dict[str, Offer]] = {kind: {} for kind in KINDS}
    found = []
    for point, kept in zip(points, plugins, strict=True):
        plugin = Plugin(*(kept[name] for name in ("name", "distribution", "version", "fault", "cause")))
        found.append(plugin)
        for offer in kept["offers"]:
            kind, name = offer["kind"], offer["name"]
            later = LazyThing(point, kind, name, tuple(map(_decode_option, offer["options"])), offer["summary"])
            offers[kind][name] = Offer(kind, name, later, plugin)
    return Registry(offers, tuple(found))


def _decode_option(kept: Mapping[str, Any]) -> Option:
    default = _decode_default(kept["default"]) if "default" in kept else inspect.Parameter.empty
    return Option(kept["name"], _decode_type(kept["type"]), default, kept["help"], kept["example"])
