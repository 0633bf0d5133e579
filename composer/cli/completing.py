"""Shell completion: names that plugins offer, the plugins themselves, and suffixes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePath
from typing import TypeAlias

import click
from click.shell_completion import CompletionItem

from composer.plugins.options import Option, list_words

Complete: TypeAlias = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete_names(kind: str, *, or_files: bool = False) -> Complete:
    """Complete names of a kind, and files if the user may name one."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from composer.plugins.registry import registry

        found = _filter_matches(registry().list_names(kind), incomplete)
        return [*found, CompletionItem(incomplete, type="file")] if or_files and not found else found

    return complete


def complete_specs(kind: str) -> Complete:
    """Complete a thing with its options, as in `quantize:grid=8`: its name, the names of options, their words."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from composer.plugins.registry import registry

        name, colon, rest = incomplete.partition(":")
        offers = registry().offers[kind]
        if not colon or name not in offers:
            return _filter_matches(offers, incomplete)
        before = incomplete[: len(incomplete) - len(rest.rpartition(",")[2])]
        return _filter_matches([f"{before}{word}" for word in _list_option_words(offers[name].options)], incomplete)

    return complete


def _list_option_words(options: Iterable[Option]) -> Iterator[str]:
    for option in options:
        yield f"{option.name}="
        yield from (f"{option.name}={word}" for word in list_words(option.type))


def complete_words(words: Iterable[str]) -> Complete:
    """Complete some words."""
    return lambda _, __, incomplete: _filter_matches(words, incomplete)


def complete_outputs(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the suffix of a file name with those that can be written; complete files before that."""
    from composer.plugins.registry import registry

    path = PurePath(incomplete)
    stem, dot = path.name.partition(".")[:2]
    wanted = (
        [str(path.with_name(stem + suffix)) for suffix in registry().list_names("exporters")] if stem and dot else []
    )
    return _filter_matches(wanted, incomplete) or [CompletionItem(incomplete, type="file")]


def complete_kinds(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the kinds that have a scaffold."""
    from composer.plugins.scaffold import list_kinds

    return _filter_matches(list_kinds(), incomplete)


def complete_plugins(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the installed plugins."""
    from composer.plugins.discovery import find

    return _filter_matches((point.name for point in find()), incomplete)


def complete_anything(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete everything that plugins offer, and the plugins."""
    from composer.plugins.offers import KINDS
    from composer.plugins.registry import registry

    offered = {name for kind in KINDS for name in registry().list_names(kind)}
    return _filter_matches(offered | {plugin.name for plugin in registry().plugins}, incomplete)


def _filter_matches(found: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in sorted(found) if name.startswith(incomplete)]
