"""What plugins offer, by kind and name: imported, checked against the hooks, and made from options.

A plugin with a fault is left out, whole. Cached offers import their plugin on first use. No plugin is named here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.metadata import EntryPoint
from types import MappingProxyType
from typing import Any

import pluggy

from composer import hookspecs
from composer.errors import BadOption, UnknownName, printable, suggest
from composer.plugins import BUILT_IN
from composer.plugins.discovery import Cause, Plugin, get_plugin
from composer.plugins.options import Option, convert, read_options

KINDS = (
    "architectures",
    "tokenizers",
    "samplers",
    "backends",
    "readers",
    "exporters",
    "callbacks",
    "datasets",
    "models",
    "executors",
    "metrics",
    "commands",
)

NAMED = ("architectures", "tokenizers")
"""Kinds whose recipe table holds a name beside the options: no option may be called `name`."""


@dataclass(frozen=True)
class LazyThing:
    """An offer of the cached registry. Its plugin is imported on the first call, or for an attribute."""

    point: EntryPoint
    kind: str
    name: str
    options: tuple[Option, ...]
    summary: str

    def load_thing(self) -> Any:
        """Import the thing itself. Raises UnknownName for a plugin that is broken now."""
        found = _load_kind(self.point, self.kind)
        if self.name not in found.offers[self.kind]:
            fault = found.plugins[0].fault or "it offers this no more"
            raise UnknownName(f"the plugin '{self.point.name}', which offered '{self.name}', is left out: {fault}")
        return found.offers[self.kind][self.name].make

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the thing."""
        return self.load_thing()(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the thing."""
        if name in LazyThing.__dataclass_fields__:  # during its construction
            raise AttributeError(name)
        return getattr(self.load_thing(), name)


@dataclass(frozen=True)
class Offer:
    """One thing that a plugin offers under a name."""

    kind: str
    name: str
    make: Callable[..., Any]
    plugin: Plugin

    @property
    def options(self) -> tuple[Option, ...]:
        """Its options, from its signature; those of a command are click's own matter."""
        if self.kind == "commands":
            return ()
        return self.make.options if isinstance(self.make, LazyThing) else read_options(self.make)

    @property
    def summary(self) -> str:
        """The first line of its docstring, or what a command says in a list of commands."""
        if isinstance(self.make, LazyThing):
            return self.make.summary
        if self.kind == "commands":
            return str(self.load_thing().get_short_help_str(100))
        return self.text.partition("\n")[0]

    @property
    def text(self) -> str:
        """Its docstring, whole, as lines without indentation; for one of an unread plugin, that is read now."""
        thing = self.load_thing()
        return inspect.cleandoc(thing.help or "") if self.kind == "commands" else inspect.getdoc(thing) or ""

    def load_thing(self) -> Any:
        """Return the thing itself, imported now. Raises UnknownName for a plugin that is broken now."""
        return self.make.load_thing() if isinstance(self.make, LazyThing) else self.make


@dataclass(frozen=True)
class Registry:
    """The offers of all plugins, by kind and name, and the plugins themselves."""

    offers: Mapping[str, Mapping[str, Offer]]
    plugins: tuple[Plugin, ...]

    def list_names(self, kind: str) -> list[str]:
        """Return the names of one kind, sorted."""
        return sorted(self.offers[kind])

    def get_offer(self, kind: str, name: str) -> Offer:
        """Return the offer of that kind and name. Raises UnknownName, with the nearest name."""
        try:
            return self.offers[kind][name]
        except KeyError:
            thing = kind.removesuffix("s")
            raise UnknownName(
                f"no plugin offers the {thing} '{printable(name)}': {suggest(name, self.offers[kind])}"
            ) from None

    def make(self, kind: str, name: str, /, **options: Any) -> Any:
        """Make the named thing from options; values given as text are converted by their annotation.

        Raises UnknownName for the name, BadOption for an unknown, missing or invalid option.
        """
        return make(self.get_offer(kind, name), **options)


def make(offer: Offer, /, **options: Any) -> Any:
    """Make a thing from an offer, as `Registry.make` does."""
    known = {option.name: option for option in offer.options}
    title = f"{offer.kind.removesuffix('s')} '{offer.name}'"
    for name in options:
        if name not in known:
            raise BadOption(f"{title} has no option '{printable(name)}': {suggest(name, known)}")
    if missing := [name for name, option in known.items() if option.required and name not in options]:
        raise BadOption(f"{title} needs the option '{missing[0]}'.")
    values = {name: convert(value, known[name], title) for name, value in options.items()}
    try:
        return offer.make(**values)
    except (TypeError, ValueError) as error:
        raise BadOption(f"{title}: {printable(str(error), 400).rstrip('.')}.") from error


@lru_cache(maxsize=256)
def _load_kind(point: EntryPoint, kind: str) -> Registry:
    return load([point], (kind,))


def _make_manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager("composer")
    manager.add_hookspecs(hookspecs)
    return manager


@dataclass
class _Builder:
    """The offers gathered so far; those of one plugin are added whole or not at all."""

    offers: dict[str, dict[str, Offer]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    manager: pluggy.PluginManager = field(default_factory=_make_manager)

    def add(self, plugin: Plugin, module: object, kinds: Sequence[str]) -> None:
        """Add a module's offers of these kinds. Raises LeftOut, with nothing added, for a fault in any of them."""
        self.manager.register(module)
        try:
            self.manager.check_pending()
            found = [offer for kind in kinds for offer in _collect_offers(self.manager, kind, plugin)]
        finally:
            self.manager.unregister(module)
        for offer in found:
            if there := self.offers[offer.kind].get(offer.name):
                raise LeftOut(
                    "clash",
                    f"offers the {offer.kind.removesuffix('s')} '{offer.name}', "
                    f"which the plugin '{there.plugin.name}' ({there.plugin.distribution}) offers already",
                )
        for offer in found:
            self.offers[offer.kind][offer.name] = offer


def _collect_offers(manager: pluggy.PluginManager, kind: str, plugin: Plugin) -> list[Offer]:
    hook = f"register_{kind}"
    offers = []
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        things = implementation.function()
        if not isinstance(things, Mapping):
            raise LeftOut("malformed", f"{hook} returned {type(things).__name__} where {{name: callable}} is asked for")
        for name, thing in things.items():
            if not isinstance(name, str) or not callable(thing):
                raise LeftOut("malformed", f"{hook} offers {name!r}, which is not a name with a callable")
            _check(kind, name, thing)
            offers.append(Offer(kind, name, thing, plugin))
    return offers


def _check(kind: str, name: str, thing: Callable[..., Any]) -> None:
    """Raise LeftOut at import for an unusable offer, rather than later in somebody's help."""
    if kind == "commands":
        _check_command(name, thing)
    elif any(option.name == "name" for option in read_options(thing)) and kind in NAMED:
        raise LeftOut(
            "malformed",
            f"register_{kind} offers {name!r} with an option 'name', which stands for {name!r} in recipes",
        )


def _check_command(name: str, thing: object) -> None:
    """Raise LeftOut for anything but a click command, and for the name of a command of ours."""
    import click

    if not isinstance(thing, click.Command):
        raise LeftOut("malformed", f"register_commands offers {name!r}, which is not a click command")
    if name in BUILT_IN:
        raise LeftOut("clash", f"offers the command '{name}', which composer has itself")


def load(
    points: Sequence[EntryPoint],
    kinds: Sequence[str] = KINDS,
    lost: Mapping[EntryPoint, str] = MappingProxyType({}),
) -> Registry:
    """Import these entry points and register their offers. A plugin with a fault is left out, whole, with its reason.

    Those in `lost`, with their reasons, are not imported.
    """
    gathering = _Builder()
    plugins = []
    for point in points:
        plugin = get_plugin(point)
        try:
            if point in lost:
                raise LeftOut("hangs", lost[point])
            module = point.load()
            built_for = getattr(module, "COMPOSER_API", hookspecs.API_VERSION)
            if built_for != hookspecs.API_VERSION:
                told = printable(str(built_for), 20)
                raise LeftOut("version", f"was made for version {told} of the hooks; this is {hookspecs.API_VERSION}")
            gathering.add(plugin, module, kinds)
        except (Exception, SystemExit) as error:  # a foreign module may do anything at import
            plugin = replace(plugin, fault=_describe_fault(error), cause=_find_cause(error))
        plugins.append(plugin)
    return Registry(gathering.offers, tuple(plugins))


class LeftOut(ValueError):
    """The reason why a plugin is left out. A plugin may raise it itself: `missing`, where it needs a library."""

    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(text)
        self.cause: Cause = cause


def _describe_fault(error: BaseException) -> str:
    text = printable(" ".join(str(error).split()), 300)
    return text if isinstance(error, LeftOut) or type(error) is ValueError else f"{type(error).__name__}: {text}"


def _find_cause(error: BaseException) -> Cause:
    if isinstance(error, LeftOut):
        return error.cause
    if isinstance(error, pluggy.PluginValidationError):  # an unknown or former hook
        return "version"
    return "missing" if isinstance(error, ModuleNotFoundError) else "raises"
