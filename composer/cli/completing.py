"""Names that a shell completes: what plugins offer, the plugins themselves, and suffixes; it knows no command."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import PurePath
from typing import TypeAlias

import click
from click.shell_completion import CompletionItem

Complete: TypeAlias = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def names(kind: str, *, or_files: bool = False) -> Complete:
    """What is offered of a kind, and files where the user may name one."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from composer.plugins.registry import registry

        found = _matching(registry().names(kind), incomplete)
        return [*found, CompletionItem(incomplete, type="file")] if or_files and not found else found

    return complete


def files_to_write(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """A name that has got as far as its suffix, with each suffix that can be written; or else files."""
    from composer.plugins.registry import registry

    path = PurePath(incomplete)
    stem, dot = path.name.partition(".")[:2]
    wanted = [str(path.with_name(stem + suffix)) for suffix in registry().names("exporters")] if stem and dot else []
    return _matching(wanted, incomplete) or [CompletionItem(incomplete, type="file")]


def kinds(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Kinds that there is a beginning of."""
    from composer.plugins.scaffold import kinds

    return _matching(kinds(), incomplete)


def plugins(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The plugins that are installed."""
    from composer.plugins.discovery import find

    return _matching((point.name for point in find()), incomplete)


def everything(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Whatever any plugin offers, and the plugins."""
    from composer.plugins.offers import KINDS
    from composer.plugins.registry import registry

    offered = {name for kind in KINDS for name in registry().names(kind)}
    return _matching(offered | {plugin.name for plugin in registry().plugins}, incomplete)


def _matching(found: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in sorted(found) if name.startswith(incomplete)]
