"""Shell completion: names that plugins offer, the plugins themselves, and suffixes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import PurePath
from typing import TypeAlias

import click
from click.shell_completion import CompletionItem

Complete: TypeAlias = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def names(kind: str, *, or_files: bool = False) -> Complete:
    """Complete names of a kind, and files if the user may name one."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from composer.plugins.registry import registry

        found = _matching(registry().names(kind), incomplete)
        return [*found, CompletionItem(incomplete, type="file")] if or_files and not found else found

    return complete


def files_to_write(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the suffix of a file name with those that can be written; complete files before that."""
    from composer.plugins.registry import registry

    path = PurePath(incomplete)
    stem, dot = path.name.partition(".")[:2]
    wanted = [str(path.with_name(stem + suffix)) for suffix in registry().names("exporters")] if stem and dot else []
    return _matching(wanted, incomplete) or [CompletionItem(incomplete, type="file")]


def kinds(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the kinds that have a scaffold."""
    from composer.plugins.scaffold import kinds

    return _matching(kinds(), incomplete)


def plugins(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the installed plugins."""
    from composer.plugins.discovery import find

    return _matching((point.name for point in find()), incomplete)


def everything(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete everything that plugins offer, and the plugins."""
    from composer.plugins.offers import KINDS
    from composer.plugins.registry import registry

    offered = {name for kind in KINDS for name in registry().names(kind)}
    return _matching(offered | {plugin.name for plugin in registry().plugins}, incomplete)


def _matching(found: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in sorted(found) if name.startswith(incomplete)]
