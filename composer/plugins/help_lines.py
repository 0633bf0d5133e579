"""The help lines of commands that plugins offer, cached in a file, so that `composer --help` imports no plugin."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from composer import __version__
from composer.plugins import DISABLED
from composer.storage.cache import find_cache_folder, make_folder

if TYPE_CHECKING:
    from composer.plugins.offers import Registry

_SEPARATOR = "\n\n\n"


def keep(registry: Registry) -> None:
    """Cache the help lines, where the cache is writable; `registry` calls it each time that plugins are read again."""
    from composer.errors import CannotWrite
    from composer.plugins.cache import list_plugin_files
    from composer.storage.atomic import write_whole_file

    files = list_plugin_files()
    entries = (f"{name}\t{line}" for name, line in make_lines(registry).items())
    try:
        make_folder(_locate_cache().parent)
        with write_whole_file(_locate_cache()) as scratch:
            scratch.write_text(
                _SEPARATOR.join(["\n".join(entries), "\n".join(files), _describe_state(files)]), encoding="utf-8"
            )
    except (OSError, CannotWrite, UnicodeError):
        return


def recall() -> dict[str, str] | None:
    """Return the cached help lines by name of command; None where plugins or packages have changed since."""
    try:
        entries, files, state = _locate_cache().read_text(encoding="utf-8").split(_SEPARATOR)
        fits = state == _describe_state(files.split("\n"))
        return dict(line.split("\t", 1) for line in entries.split("\n") if line) if fits else None
    except (OSError, ValueError):
        return None


def make_lines(registry: Registry) -> dict[str, str]:
    """Return the help line of each command of a registry, by name."""
    return {name: " ".join(offer.summary.split()) for name, offer in registry.offers["commands"].items()}


def _locate_cache() -> Path:
    return find_cache_folder() / "commands.txt"


def _describe_state(files: Iterable[str]) -> str:
    """Describe what the help lines depend on; `files` are those of the plugins, and their folders."""
    where = (sys.version, __version__, os.environ.get(DISABLED, ""), *sys.path)
    return "\n".join((*map(repr, where), *map(_read_time, (*sys.path, *files))))


def _read_time(path: str) -> str:
    """Return the time of change of a file, or of a folder, which changes when something is installed in it."""
    try:
        return str(os.stat(path).st_mtime_ns)  # noqa: PTH116  (hundreds at each start)
    except OSError:
        return "never"
