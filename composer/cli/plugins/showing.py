"""Describes what a plugin offers under a name, in lines of text."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any

from composer.errors import UnknownName, printable, suggest
from composer.generation.options import name_flags
from composer.plugins.offers import KINDS, Offer
from composer.plugins.options import Option, list_choices
from composer.plugins.registry import registry
from composer.plugins.scaffold.usage import show_command


def describe(name: str) -> Iterator[str]:
    """Describe everything offered under a name, of any kind, or by the plugin of that name. Raises UnknownName."""
    found = registry()
    offers = [found.offers[kind][name] for kind in KINDS if name in found.offers[kind]]
    if not offers:
        offers = [one for kind in KINDS for one in found.offers[kind].values() if one.plugin.is_called(name)]
    if not offers:
        names = {one for kind in KINDS for one in found.offers[kind]} | {plugin.name for plugin in found.plugins}
        raise UnknownName(f"no plugin offers '{printable(name)}', or has this name: {suggest(name, names)}")
    for index, offer in enumerate(offers):
        yield from ([""] if index else [])
        yield from _describe_offer(offer)


def _describe_offer(offer: Offer) -> Iterator[str]:
    plugin, kind = offer.plugin, offer.kind.removesuffix("s")
    yield f"{kind} {offer.name}, of the plugin {plugin.name} ({plugin.distribution} {plugin.version})"
    yield ""
    yield from (f"    {line}".rstrip() for line in offer.text.splitlines())
    if offer.options:
        yield ""
    flags = _list_flags(offer)
    for option in offer.options:
        default = "needed" if option.required else f"default {_format_value(option.default)}"
        yield f"    {flags[option.name]:<28} {name_type(option.type)}, {default}"
        if option.help:
            yield f"        {option.help}"
    if typed := show_command(offer.kind, offer.name, _format_options(offer, flags)):
        yield ""
        yield f"    {typed}"


def _list_flags(offer: Offer) -> dict[str, str]:
    """Map each option to its name on the command line."""
    if offer.kind == "samplers":
        return name_flags(offer)
    if offer.kind == "exporters":
        return {option.name: f"--export-option {offer.name[1:]}.{option.name}=" for option in offer.options}
    if offer.kind == "executors":
        return {option.name: f"--executor-option {option.name}=" for option in offer.options}
    if offer.kind == "callbacks":
        return {option.name: f"--callback-option {offer.name}.{option.name}=" for option in offer.options}
    return {option.name: f"--{option.name.replace('_', '-')}" for option in offer.options}


def _format_options(offer: Offer, flags: dict[str, str]) -> str:
    """Format the options with their examples, as they are typed."""
    typed = [(flags[option.name], option) for option in offer.options if option.example]
    if offer.kind == "samplers" and not typed:
        typed = [(flags[option.name], option) for option in offer.options[:1]]
    return "".join(f" {flag}{_format_argument(option)}" for flag, option in typed)


def _format_argument(option: Option) -> str:
    if option.type is bool:
        return ""
    text = option.example or _format_value(option.default)
    return f' "{text}"' if set(text) & set(" |") else f" {text}"


def _format_value(value: Any) -> str:
    if value in (None, "", ()):
        return "none"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def name_type(annotation: Any) -> str:
    """Name a type, as in `int`, `float or none`, `several of str`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        return " or ".join("none" if one is type(None) else name_type(one) for one in arguments)
    if origin is tuple:
        return f"several of {name_type(arguments[0])}"
    if words := list_choices(annotation):
        return " or ".join(words)
    return str(getattr(annotation, "__name__", annotation))
