"""The commands that plugins offer: their help lines are kept, so that `composer --help` imports no plugin."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from composer import __version__
from composer.plugins import DISABLED
from composer.storage.cache import cache_folder, make

if TYPE_CHECKING:
    import click

    from composer.plugins.registry import Registry

BUILT_IN = (
    *("generate", "fill", "harmonize", "vary", "regenerate", "export", "check", "train", "evaluate"),
    *("metrics", "originality", "finetune", "datasets", "models", "plugins", "cache"),
)
"""The names of composer's own commands, which no plugin may take."""

_SEPARATOR = "\n\n\n"


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


def keep(registry: Registry) -> None:
    """Keep the help lines, if there is a place; of a plugin that is mended elsewhere, until plugins are read again."""
    from composer.errors import CannotWrite
    from composer.plugins.cache import files_of_plugins
    from composer.storage.atomic import whole_file

    files = files_of_plugins()
    lines = (f"{name}\t{line}" for name, line in _lines(registry).items())
    try:
        make(_place().parent)
        with whole_file(_place()) as scratch:
            scratch.write_text(_SEPARATOR.join(["\n".join(lines), "\n".join(files), _state(files)]), encoding="utf-8")
    except (OSError, CannotWrite, UnicodeError):
        return


def _recall() -> dict[str, str] | None:
    try:
        lines, files, state = _place().read_text(encoding="utf-8").split(_SEPARATOR)
        fits = state == _state(files.split("\n"))
        return dict(line.split("\t", 1) for line in lines.split("\n") if line) if fits else None
    except (OSError, ValueError):
        return None


def _lines(registry: Registry) -> dict[str, str]:
    return {name: " ".join(offer.summary.split()) for name, offer in registry.offers["commands"].items()}


def _place() -> Path:
    return cache_folder() / "commands.txt"


def _state(files: Iterable[str]) -> str:
    """Describe what the help lines depend on; `files` are those of the plugins, and their folders."""
    where = (sys.version, __version__, os.environ.get(DISABLED, ""), *sys.path)
    return "\n".join((*map(repr, where), *map(_changed, (*sys.path, *files))))


def _changed(path: str) -> str:
    """When a file changed, or a folder, which does when something is installed in it."""
    try:
        return str(os.stat(path).st_mtime_ns)  # noqa: PTH116  (hundreds at each start)
    except OSError:
        return "never"
