"""The commands that plugins offer: their help lines are kept, so that `composer --help` imports no plugin."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from composer import __version__
from composer.io.cache import cache_folder, make
from composer.plugins.discovery import disabled

if TYPE_CHECKING:
    import click

    from composer.plugins.registry import Registry

BUILT_IN = (
    *("generate", "fill", "harmonize", "vary", "regenerate", "export", "check", "train", "evaluate"),
    *("metrics", "originality", "finetune", "datasets", "models", "plugins", "cache"),
)
"""The names of composer's own commands, which no plugin may take."""


def offered() -> dict[str, str]:
    """Return the help line of each command that plugins offer, by name; from an earlier run, where it still fits."""
    if (kept := _recall()) is not None:
        return kept
    from composer.plugins.registry import registry

    keep(registry())
    return _lines(registry())


def load(name: str) -> click.Command | None:
    """Import the command of that name; None where no plugin offers it. Raises UnknownName for a plugin broken now."""
    from composer.plugins.registry import registry

    offer = registry().offers["commands"].get(name)
    command: click.Command | None = offer.thing() if offer else None
    return command


def _place() -> Path:
    return cache_folder() / "commands.json"


def _recall() -> dict[str, str] | None:
    try:
        kept = json.loads(_place().read_text(encoding="utf-8"))
        fits = kept["fingerprint"] == _fingerprint(kept["files"])
        return {str(name): str(line) for name, line in kept["commands"].items()} if fits else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def keep(registry: Registry) -> None:
    """Keep the help lines, if there is a place; of a plugin that is mended elsewhere, until plugins are read again."""
    from composer.errors import CannotWrite
    from composer.io.formats import whole_file
    from composer.plugins.cache import files_of_plugins

    files = files_of_plugins()
    text = json.dumps({"fingerprint": _fingerprint(files), "files": files, "commands": _lines(registry)})
    try:
        make(_place().parent)
        with whole_file(_place()) as scratch:
            scratch.write_text(text, encoding="utf-8")
    except (OSError, CannotWrite):
        return


def _lines(registry: Registry) -> dict[str, str]:
    return {name: offer.summary for name, offer in registry.offers["commands"].items()}


def _fingerprint(files: Sequence[str]) -> list[Any]:
    """Describe what the help lines depend on; `files` and folders are those of the plugins."""
    return [sys.version, __version__, list(disabled()), list(_times(sys.path)), list(_times(files))]


def _times(paths: Iterable[str]) -> Iterable[list[Any]]:
    """Each path, and when it changed: a folder does when something is installed in it."""
    for path in paths:
        try:
            yield [path, os.stat(path).st_mtime_ns]  # noqa: PTH116  (many, at each start)
        except OSError:
            yield [path, 0]
