"""Describes what a plugin offers under a name, in lines of text."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Iterator
from typing import Any

import click

from composer.cli.options import list_taken
from composer.errors import UnknownName, printable, suggest
from composer.generation.options import list_sampler_options
from composer.plugins.discovery import Plugin, find, get_plugin
from composer.plugins.hooks import describe_event
from composer.plugins.offers import KINDS, Offer
from composer.plugins.options import NO, NONE, Option, is_switch, name_type
from composer.plugins.registry import registry
from composer.plugins.scaffold.usage import SPECS, show_command


def describe(name: str) -> Iterator[str]:
    """Describe everything offered under a name, of any kind, or by the plugin of that name. Raises UnknownName."""
    found = registry()
    offers = [found.offers[kind][name] for kind in KINDS if name in found.offers[kind]]
    if not offers:
        offers = [one for kind in KINDS for one in found.offers[kind].values() if one.plugin.is_called(name)]
    answering = [plugin for plugin in found.plugins if plugin.is_called(name) and plugin.events]
    if not (offers or answering):
        names = {one for kind in KINDS for one in found.offers[kind]} | {plugin.name for plugin in found.plugins}
        raise UnknownName(f"no plugin offers '{printable(name)}', or has this name: {suggest(name, names)}")
    for index, offer in enumerate(offers):
        yield from ([""] if index else [])
        yield from _describe_offer(offer)
    for plugin in answering:
        yield from ([""] if offers else [])
        yield from _describe_events(plugin)


def _describe_events(plugin: Plugin) -> Iterator[str]:
    """Describe the events that a plugin answers, and what its module says of itself."""
    point = next(
        point
        for point in find()
        if (it := get_plugin(point)).name == plugin.name and it.distribution == plugin.distribution
    )
    yield f"events, of the plugin {plugin.name} ({plugin.distribution} {plugin.version})"
    yield ""
    yield from (f"    {line}".rstrip() for line in (inspect.getdoc(point.load()) or "").splitlines())
    yield ""
    yield from (f"    {event:<16} {describe_event(event)}" for event in plugin.events)
    yield ""
    yield f"    `composer --without {plugin.name} …` disables it."


def _describe_offer(offer: Offer) -> Iterator[str]:
    plugin, kind = offer.plugin, offer.kind.removesuffix("s")
    yield f"{kind} {offer.name}, of the plugin {plugin.name} ({plugin.distribution} {plugin.version})"
    yield ""
    yield from (f"    {line}".rstrip() for line in offer.text.splitlines())
    shown = [option for option in offer.options if not option.is_internal]
    if shown:
        yield ""
    flags = _list_flags(offer)
    for option in shown:
        default = "needed" if option.required else f"default {_format_value(option.default)}"
        yield f"    {_show_flag(flags[option.name], option):<28} {name_type(option.type)}, {default}"
        if option.help:
            yield f"        {option.help}"
    if typed := show_command(offer.kind, offer.name, _format_options(offer, flags)):
        yield ""
        yield f"    {typed}"


def _list_flags(offer: Offer) -> dict[str, str]:
    """Map each option to how it is typed on the command line, or to its name where no command takes it."""
    before = {
        "exporters": f"--export-option {offer.name[1:]}.",
        "executors": "--executor-option ",
        "callbacks": f"--callback-option {offer.name}.",
        "backends": f"--backend {offer.name}:",
        "metrics": f"--metrics {offer.name}:",
        "transforms": f"--transform {offer.name}:",
        "rules": f"--rule {offer.name}:",
    }
    if offer.kind in before:
        return {option.name: f"{before[offer.kind]}{option.name}=" for option in offer.options}
    plain = {option.name: option.name for option in offer.options}
    return plain | (_list_sampler_flags(offer) if offer.kind == "samplers" else _list_plugin_flags(offer))


def _list_sampler_flags(offer: Offer) -> dict[str, str]:
    from composer.cli.generate import generate

    own = click.Command.get_params(generate, click.Context(generate))
    found = list_sampler_options(list_taken(own)).items()
    return {option.name: flag for flag, (one, option) in found if one.name == offer.name}


def _list_plugin_flags(offer: Offer) -> dict[str, str]:
    from composer.cli.export import export
    from composer.cli.train import train

    command = {"readers": export}.get(offer.kind, train)
    owners = command.find_owners(click.Context(command)).items()
    return {
        owner.option.name: flag for flag, of in owners for owner in of if (owner.kind, owner.name) == _identify(offer)
    }


def _identify(offer: Offer) -> tuple[str, str]:
    return offer.kind, offer.name


def _show_flag(flag: str, option: Option) -> str:
    return f"{flag} / --no-{flag[2:]}" if _is_flag(flag) and is_switch(option.type) else flag


def _is_flag(typed: str) -> bool:
    return typed.startswith("--") and not typed.endswith("=")


def _format_options(offer: Offer, flags: dict[str, str]) -> str:
    """Format the options with their examples, as they are typed."""
    if offer.kind in SPECS:
        chosen = [option for option in offer.options if option.example]
        chosen = chosen or [option for option in offer.options[:1] if not option.required]
        texts = [f"{option.name}={option.example or _format_value(option.default)}" for option in chosen]
        return shlex.quote(f":{','.join(texts)}") if texts else ""
    typed = [option for option in offer.options if option.example and flags[option.name].startswith("--")]
    if offer.kind == "samplers" and not typed:
        typed = list(offer.options[:1])
    return "".join(f" {_format_argument(flags[option.name], option)}" for option in typed)


def _format_argument(flag: str, option: Option) -> str:
    """Format an option with its example, or else its default, as a shell takes it."""
    text = option.example or _format_value(option.default)
    if flag.endswith("="):
        name, _, key = flag.partition(" ")
        return f"{name} {shlex.quote(key + text)}"
    if is_switch(option.type):
        return flag if text.lower() not in NO else f"--no-{flag[2:]}"
    return f"{flag} {shlex.quote(text)}"


def _format_value(value: Any) -> str:
    if value in (None, "", ()):
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
