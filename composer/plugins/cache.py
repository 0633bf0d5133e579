"""What each plugin offers, cached, so that it is imported only when something of it is needed.

Each plugin is cached for itself, a broken one with its fault. It is read again when its files, those that its classes
inherit from, its version, a package or Python itself has changed; `composer plugins doctor` reads all of them again.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
import typing
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from composer import __version__
from composer.errors import CannotWrite
from composer.plugins.discovery import Note, Plugin, find, get_plugin
from composer.plugins.hooks import EVENTS
from composer.plugins.offers import KINDS, Contribution, LazyThing, Offer
from composer.plugins.options import Option, list_choices, list_members
from composer.storage.atomic import write_whole_file
from composer.storage.cache import find_cache_folder, make_folder

PLAIN = {"int": int, "float": float, "bool": bool, "str": str, "path": Path, "None": type(None)}


def recall(points: Sequence[EntryPoint]) -> dict[EntryPoint, Contribution]:
    """Return what is cached of these plugins, broken ones too; without those that have changed, or are not cached."""
    entries, installed, found = _read_cache(), _describe_installed(), {}
    for point in points:
        entry = entries.get(_name_entry(point), {})
        with suppress(ValueError, LookupError, TypeError, AttributeError, ImportError, RecursionError):
            mark = _compute_plugin_mark(point, installed, entry["inherited"])
            if entry["mark"] == mark and entry["seal"] == _compute_checksum(entry["plugin"]):
                found[point] = _decode_plugin(point, entry["plugin"])
    return found


def keep(contributions: Mapping[EntryPoint, Contribution]) -> None:
    """Cache what plugins offer, or why they are broken, each for itself, where the cache is writable.

    A plugin with an option that JSON cannot hold is imported at every start; see `can_keep`.
    """
    entries, installed = _read_cache(), _describe_installed()
    for point, one in contributions.items():
        entries.pop(_name_entry(point), None)
        with suppress(TypeError, ValueError, RecursionError):
            plugin = json.loads(json.dumps(_describe_plugin(one)))
            inherited = _list_inherited(point, one)
            mark, seal = _compute_plugin_mark(point, installed, inherited), _compute_checksum(plugin)
            entries[_name_entry(point)] = {"mark": mark, "seal": seal, "inherited": inherited, "plugin": plugin}
    try:
        make_folder(_locate_cache().parent)
        with write_whole_file(_locate_cache()) as scratch:
            scratch.write_text(json.dumps({"entries": entries}), encoding="utf-8")
    except (OSError, CannotWrite, ValueError):
        return


def _name_entry(point: EntryPoint) -> str:
    return f"{point.name}={point.value}"


def _read_cache() -> dict[str, dict[str, Any]]:
    """Read the entries of the cache by name; none for those that are damaged."""
    try:
        entries = json.loads(_locate_cache().read_text(encoding="utf-8"))["entries"]
        return {name: entry for name, entry in entries.items() if isinstance(entry, dict)}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def _locate_cache() -> Path:
    return find_cache_folder() / "plugins.json"


def _compute_digest(values: object) -> str:
    return hashlib.blake2b(repr(values).encode(), digest_size=16).hexdigest()


def _compute_checksum(plugin: Any) -> str:
    """Compute the checksum of what is cached of a plugin."""
    return _compute_digest(json.dumps(plugin, sort_keys=True))


# --- what it depends on -----------------------------------------------------------------------------------------------


def _describe_installed() -> list[int]:
    """Describe the folders of packages, which change when anything is installed; that may mend or break a plugin."""
    return [_read_time(Path(path)) for path in sys.path if path.endswith(("site-packages", "dist-packages"))]


def _compute_plugin_mark(point: EntryPoint, installed: Sequence[int], inherited: Sequence[str]) -> str:
    """Compute a digest that changes with the files and the version of a plugin, and with what is installed.

    It also changes with the files of the modules that its classes are `inherited` from, which decide their options.
    """
    files = [_list_source_files(module) for module in inherited]
    return _compute_digest((compute_mark(point), get_plugin(point).version, installed, files))


def _list_inherited(point: EntryPoint, one: Contribution) -> list[str]:
    """List the top-level modules, other than its own and composer, of the classes that a plugin's classes inherit."""
    classes = [offer.make for offer in one.offers if inspect.isclass(offer.make)]
    modules = {base.__module__.partition(".")[0] for made in classes for base in inspect.getmro(made)}
    return sorted(modules - {point.module.partition(".")[0], "composer"} - sys.stdlib_module_names)


def compute_mark(point: EntryPoint) -> str:
    """Compute a digest that changes with the files of one plugin, and with the versions of Python and composer."""
    return _compute_digest((sys.version, __version__, _describe_files(point)))


def list_plugin_files() -> list[str]:
    """List the source files of all installed plugins, and the folders that they are in."""
    files = [Path(path) for point in find() for path, _ in _list_source_files(point.module.partition(".")[0])]
    return sorted({*map(str, files), *(str(path.parent) for path in files)})


def _describe_files(point: EntryPoint) -> tuple[object, ...]:
    return (point.name, point.value, *_list_source_files(point.module.partition(".")[0]))


def _list_source_files(module: str) -> list[tuple[str, int]]:
    """List the source files of a top-level module, each with its time of change."""
    spec = find_spec(module)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    paths = [path for folder in folders for path in sorted(Path(folder).rglob("*.py"))]
    return [(str(path), _read_time(path)) for path in paths or ([Path(spec.origin)] if spec and spec.origin else [])]


def _read_time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


# --- as JSON ----------------------------------------------------------------------------------------------------------


def _describe_plugin(one: Contribution) -> dict[str, Any]:
    described = [
        {
            "kind": offer.kind,
            "name": offer.name,
            "summary": offer.summary,
            "is_rule": offer.is_rule,
            "options": [_encode_option(option) for option in offer.options],
        }
        for offer in one.offers
    ]
    return {**asdict(one.plugin), "offers": described}


def can_keep(option: Option) -> bool:
    """Tell whether an option can be cached. Otherwise its plugin is imported at every start."""
    try:
        _encode_option(option)
    except (TypeError, ValueError):
        return False
    return True


def _encode_option(option: Option) -> dict[str, Any]:
    values = {"name": option.name, "type": _encode_type(option.type), "help": option.help, "example": option.example}
    values |= {"is_internal": True} if option.is_internal else {}
    if option.required:
        return values
    back = _decode_default(json.loads(json.dumps(option.default)))
    if back != option.default or type(back) is not type(option.default):
        raise TypeError("JSON cannot hold this default")
    return {**values, "default": option.default}


def _encode_type(annotation: Any) -> Any:
    """Spell a type as JSON: `int | None` as ["or", "int", "None"], `tuple[str, ...]` as ["tuple", "str", "..."].

    An `Enum` becomes its words. Raises TypeError for others.
    """
    members = list_members(annotation)
    if len(members) > 1:
        return ["or", *map(_encode_type, members)]
    (one,) = members
    for name, kind in PLAIN.items():
        if one is kind:
            return name
    if words := list_choices(one):
        return ["one of", *words]
    origin = typing.get_origin(one) or one
    if origin in (tuple, list):
        return [origin.__name__, *("..." if item is ... else _encode_type(item) for item in typing.get_args(one))]
    raise TypeError(f"JSON cannot hold {annotation}")


def _decode_type(spelled: Any) -> Any:
    if isinstance(spelled, str):
        return PLAIN[spelled]
    kind, *parts = spelled
    if kind == "one of":
        return typing.Literal[tuple(parts)]
    if kind == "or":
        return typing.Union[tuple(map(_decode_type, parts))]  # noqa: UP007  (of types known only at run time)
    items = tuple(... if part == "..." else _decode_type(part) for part in parts)
    origin = {"tuple": tuple, "list": list}[kind]
    return origin[items] if items else origin  # type: ignore[index]


def _decode_default(value: Any) -> Any:
    return tuple(map(_decode_default, value)) if isinstance(value, list) else value


def _decode_plugin(point: EntryPoint, kept: Mapping[str, Any]) -> Contribution:
    values = {name: kept[name] for name in ("name", "distribution", "version", "fault", "cause")}
    notes, events = tuple(Note(**note) for note in kept["notes"]), tuple(kept["events"])
    if unknown := set(events) - set(EVENTS):
        raise ValueError(unknown)
    plugin = Plugin(**values, notes=notes, events=events)
    offers = []
    for offer in kept["offers"]:
        kind, name = offer["kind"], offer["name"]
        if kind not in KINDS:
            raise ValueError(kind)
        options = tuple(map(_decode_option, offer["options"]))
        later = LazyThing(point, kind, name, options, offer["summary"], bool(offer["is_rule"]))
        offers.append(Offer(kind, name, later, plugin))
    return Contribution(plugin, tuple(offers), point)


def _decode_option(kept: Mapping[str, Any]) -> Option:
    default = _decode_default(kept["default"]) if "default" in kept else inspect.Parameter.empty
    is_internal = kept.get("is_internal", False)
    return Option(kept["name"], _decode_type(kept["type"]), default, kept["help"], kept["example"], is_internal)
