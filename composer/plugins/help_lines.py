"""The help lines of commands that plugins offer, cached in a file, so that `composer --help` imports no plugin."""

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
    from composer.plugins.offers import Registry

_SEPARATOR = "\n\n\n"


def keep(registry: Registry) -> None:
    """Cache the help lines, where the cache is writable; `registry` calls it each time that plugins are read again."""
    from composer.errors import CannotWrite
    from composer.plugins.cache import files_of_plugins
    from composer.storage.atomic import whole_file

    files = files_of_plugins()
    entries = (f"{name}\t{line}" for name, line in lines(registry).items())
    try:
        make(_place().parent)
        with whole_file(_place()) as scratch:
            scratch.write_text(_SEPARATOR.join(["\n".join(entries), "\n".join(files), _state(files)]), encoding="utf-8")
    except (OSError, CannotWrite, UnicodeError):
        return


def recall() -> dict[str, str] | None:
    """Return the cached help lines by name of command; None where plugins or packages have changed since."""
    try:
        entries, files, state = _place().read_text(encoding="utf-8").split(_SEPARATOR)
        fits = state == _state(files.split("\n"))
        return dict(line.split("\t", 1) for line in entries.split("\n") if line) if fits else None
    except (OSError, ValueError):
        return None


def lines(registry: Registry) -> dict[str, str]:
    """Return the help line of each command of a registry, by name."""
    return {name: " ".join(offer.summary.split()) for name, offer in registry.offers["commands"].items()}


def _place() -> Path:
    return cache_folder() / "commands.txt"


def _state(files: Iterable[str]) -> str:
    """Describe what the help lines depend on; `files` are those of the plugins, and their folders."""
    where = (sys.version, __version__, os.environ.get(DISABLED, ""), *sys.path)
    return "\n".join((*map(repr, where), *map(_changed, (*sys.path, *files))))


def _changed(path: str) -> str:
    """Return the time of change of a file, or of a folder, which changes when something is installed in it."""
    try:
        return str(os.stat(path).st_mtime_ns)  # noqa: PTH116  (hundreds at each start)
    except OSError:
        return "never"
