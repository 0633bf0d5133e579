"""The installed plugins, by package metadata alone, and which of them are disabled. None is imported here."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from composer.errors import UnknownName, printable, suggest
from composer.plugins import DISABLED

if TYPE_CHECKING:  # a fast `--help` does without it
    from importlib.metadata import Distribution, EntryPoint
    from types import CodeType

GROUP = "composer"

_OUR_DISTRIBUTION = "composer-midi"

Cause: TypeAlias = Literal["", "raises", "missing", "version", "malformed", "clash", "hangs"]
"""What kind of fault something has: it raises at import, misses a library, was made for other hooks…"""


@dataclass(frozen=True)
class Note:
    """Why one thing of a plugin is left out, in a sentence without its end. The rest of the plugin works."""

    cause: Cause
    text: str


@dataclass(frozen=True)
class Plugin:
    """An installed plugin, its package, and its fault if it was left out, whole; notes on what else was; its events."""

    name: str
    distribution: str
    version: str
    fault: str = ""
    cause: Cause = ""
    notes: tuple[Note, ...] = ()
    events: tuple[str, ...] = ()  # that it answers

    def is_called(self, name: str) -> bool:
        """Tell whether a name is the plugin's, or that of its package."""
        return name in (self.name, self.distribution)

    @property
    def ours(self) -> bool:
        """Whether it came with composer itself."""
        return self.distribution == _OUR_DISTRIBUTION


def find_culprit(error: BaseException) -> tuple[Plugin, str] | None:
    """Find the plugin of another package whose code raised an error, or was called last on the way to it.

    With it comes the place in its code, as of `describe_place`.
    """
    from traceback import walk_tb

    theirs = {point.module.partition(".")[0]: get_plugin(point) for point in find() if not get_plugin(point).ours}
    for frame, line in reversed(list(walk_tb(error.__traceback__))):
        if plugin := theirs.get(str(frame.f_globals.get("__name__", "")).partition(".")[0]):
            return plugin, describe_place(frame.f_code, line)
    return None


def describe_place(code: CodeType, line: int) -> str:
    """Describe a place in code in a few words: `SingleGate.build_cell, line 12 of single_gate/__init__.py`."""
    path = Path(code.co_filename)
    shown = f"{code.co_qualname}, line {line} of {path.parent.name}/{path.name}"
    return printable(shown, 200)


def find() -> list[EntryPoint]:
    """Find the installed plugins by metadata alone: our own first, then by name."""
    from importlib.metadata import entry_points

    unique = {(point.name, point.value): point for point in entry_points(group=GROUP)}
    return sorted(unique.values(), key=lambda point: (not get_plugin(point).ours, point.name))


def get_plugin(point: EntryPoint) -> Plugin:
    """Return the plugin of an entry point."""
    return Plugin(point.name, *(_read_metadata(point.dist) if point.dist else ("?", "?")))


@lru_cache(maxsize=256)
def _read_metadata(distribution: Distribution) -> tuple[str, str]:
    """Return the name and version of a package; each reading of metadata parses the whole file."""
    metadata = distribution.metadata
    return metadata["Name"], metadata["Version"]


def list_disabled() -> tuple[str, ...]:
    """Return the names in the environment variable, sorted."""
    return tuple(sorted({name for part in os.environ.get(DISABLED, "").split(",") if (name := part.strip())}))


def disable(names: Iterable[str]) -> None:
    """Disable plugins, here and in processes started from here. Raises UnknownName for one that is not installed."""
    installed = [get_plugin(point) for point in find()]
    for name in names:
        if name != "all" and not any(plugin.is_called(name) for plugin in installed):
            raise UnknownName(
                f"unknown plugin '{printable(name)}' to leave out: {suggest(name, (p.name for p in installed))}"
            )
    os.environ[DISABLED] = ",".join([*list_disabled(), *names])


def is_disabled(plugin: Plugin, names: Sequence[str]) -> bool:
    """Tell whether one of these names disables the plugin."""
    return any(plugin.is_called(name) for name in names) or ("all" in names and not plugin.ours)
