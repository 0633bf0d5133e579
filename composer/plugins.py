"""Finds plugins, keeps the broken ones out, gathers what they offer by name, and makes it from options.

It knows the hooks and the entry-point group, and no plugin by name. Plugins are found from package metadata; their
modules are imported when something of a plugin is first asked for.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from functools import lru_cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import Any

import pluggy

from composer import hookspecs
from composer.errors import BadOption, UnknownName, nearest, printable

GROUP = "composer"
KINDS = (
    "architectures",
    "tokenizers",
    "samplers",
    "steppers",
    "readers",
    "exporters",
    "datasets",
    "models",
    "executors",
    "metrics",
)

NAMED = ("architectures", "tokenizers")
"""Kinds of which a recipe holds a name and, in the same table, the options: none of these may be called `name`."""


@dataclass(frozen=True)
class Plugin:
    """An installed plugin: who brings it, and, if it was left out, why."""

    name: str
    distribution: str
    version: str
    fault: str = ""


@dataclass(frozen=True)
class Option:
    """One option of an offered thing, read from its signature."""

    name: str
    type: Any
    default: Any = inspect.Parameter.empty
    help: str = ""

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True)
class Later:
    """A thing that a plugin offers, imported when it is first called or asked for anything but its options."""

    point: EntryPoint
    kind: str
    name: str
    options: tuple[Option, ...]
    summary: str

    def thing(self) -> Any:
        """The thing itself. Raises UnknownName for a plugin that is broken now."""
        found = _loaded(self.point, self.kind)
        if self.name not in found.offers[self.kind]:
            fault = found.plugins[0].fault or "it offers this no more"
            raise UnknownName(f"the plugin '{self.point.name}', which offered '{self.name}', is left out: {fault}")
        return found.offers[self.kind][self.name].make

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """What the thing makes."""
        return self.thing()(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        """What the thing has."""
        if name in Later.__dataclass_fields__:  # of one that is only being made
            raise AttributeError(name)
        return getattr(self.thing(), name)


@dataclass(frozen=True)
class Offer:
    """One thing that a plugin offers under a name."""

    kind: str
    name: str
    make: Callable[..., Any]
    plugin: Plugin

    @property
    def options(self) -> tuple[Option, ...]:
        """Its options, from its signature."""
        return self.make.options if isinstance(self.make, Later) else schema(self.make)

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        if isinstance(self.make, Later):
            return self.make.summary
        return (inspect.getdoc(self.make) or "").partition("\n")[0]

    @property
    def text(self) -> str:
        """Its docstring, whole, as lines without indentation; for one of an unread plugin, that is read now."""
        return inspect.getdoc(self.make.thing() if isinstance(self.make, Later) else self.make) or ""


@dataclass(frozen=True)
class Registry:
    """Everything that the installed plugins offer, by kind and name, and the plugins themselves."""

    offers: Mapping[str, Mapping[str, Offer]]
    plugins: tuple[Plugin, ...]

    def names(self, kind: str) -> list[str]:
        """The names offered of one kind, sorted."""
        return sorted(self.offers[kind])

    def offer(self, kind: str, name: str) -> Offer:
        """The offer of that kind and name; UnknownName, with the nearest there is, if none."""
        try:
            return self.offers[kind][name]
        except KeyError:
            thing = kind.removesuffix("s")
            raise UnknownName(
                f"no plugin offers the {thing} '{printable(name)}': {nearest(name, self.offers[kind])}"
            ) from None

    def make(self, kind: str, name: str, /, **options: Any) -> Any:
        """The named thing made from options; values given as text are read as their annotation says.

        Raises UnknownName for the name, BadOption for an option that is unknown, missing or not what it should be.
        """
        return make(self.offer(kind, name), **options)


def make(offer: Offer, /, **options: Any) -> Any:
    """What `Registry.make` does, for an offer in hand."""
    known = {option.name: option for option in offer.options}
    title = f"{offer.kind.removesuffix('s')} '{offer.name}'"
    for name in options:
        if name not in known:
            raise BadOption(f"{title} has no option '{printable(name)}': {nearest(name, known)}")
    if missing := [name for name, option in known.items() if option.required and name not in options]:
        raise BadOption(f"{title} needs the option '{missing[0]}'.")
    values = {name: convert(value, known[name], title) for name, value in options.items()}
    try:
        return offer.make(**values)
    except (TypeError, ValueError) as error:
        raise BadOption(f"{title}: {str(error).rstrip('.')}.") from error


def schema(thing: Callable[..., Any]) -> tuple[Option, ...]:
    """The options of a callable, from its signature; help is the text in `Annotated[type, "help"]`."""
    # A dataclass is asked itself: of a field that it inherits, the annotation is read where its base class stands.
    annotated = thing.__init__ if inspect.isclass(thing) and not is_dataclass(thing) else thing
    hints = typing.get_type_hints(annotated, include_extras=True)
    options = []
    for parameter in inspect.signature(thing).parameters.values():
        annotation = hints.get(parameter.name, str)
        text = ""
        if typing.get_origin(annotation) is typing.Annotated:
            annotation, *notes = typing.get_args(annotation)
            text = next((note for note in notes if isinstance(note, str)), text)
        options.append(Option(parameter.name, annotation, parameter.default, text))
    return tuple(options)


_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def convert(value: Any, option: Option, title: str) -> Any:
    """`value` as the option's annotation asks: text is parsed, lists become tuples. BadOption if it cannot be."""
    try:
        return _as(value, option.type)
    except (KeyError, TypeError, ValueError):
        wanted = getattr(option.type, "__name__", str(option.type))
        raise BadOption(f"{title}: '{option.name}' is {printable(repr(value))}, which is not {wanted}.") from None


def _as(value: Any, annotation: Any) -> Any:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return _as(value, next(a for a in arguments if a is not type(None)))
    if origin is tuple:
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(_as(part, arguments[0]) for part in parts)
    if annotation is bool:
        return _WORDS[value.lower()] if isinstance(value, str) else _exactly(value, bool)
    if annotation is int:
        return int(value) if isinstance(value, str) else _exactly(value, int)
    if annotation is float:
        return _exactly(value, float) if isinstance(value, bool) else float(value)
    if annotation is str:
        return _exactly(value, str)
    return value


def _exactly(value: Any, wanted: type) -> Any:
    if isinstance(value, wanted) and not (wanted is int and isinstance(value, bool)):
        return value
    raise TypeError


_OUR_DISTRIBUTION = "composer-midi"


def find() -> list[EntryPoint]:
    """The installed plugins, from metadata alone: this distribution's own first, then by name."""
    unique = {(point.name, point.value): point for point in entry_points(group=GROUP)}
    return sorted(unique.values(), key=lambda point: (_distribution(point) != _OUR_DISTRIBUTION, point.name))


def _distribution(point: EntryPoint) -> str:
    return _about(point.dist)[0] if point.dist else "?"


@lru_cache(maxsize=256)
def _about(distribution: Distribution) -> tuple[str, str]:
    """Its name and version; each reading of metadata parses the whole file."""
    metadata = distribution.metadata
    return metadata["Name"], metadata["Version"]


@lru_cache(maxsize=1)
def registry() -> Registry:
    """The registry of what is installed, made once; from the catalogue of an earlier run, where it still fits."""
    from composer import catalogue

    points = find()
    if (kept := catalogue.recall(points)) is not None:
        return kept
    loaded = load(points)
    catalogue.keep(points, loaded)
    return loaded


@lru_cache(maxsize=256)
def _loaded(point: EntryPoint, kind: str) -> Registry:
    return load([point], (kind,))


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager("composer")
    manager.add_hookspecs(hookspecs)
    return manager


@dataclass
class _Gathering:
    """What has been gathered so far; one plugin's offers come in whole or not at all."""

    offers: dict[str, dict[str, Offer]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    manager: pluggy.PluginManager = field(default_factory=_manager)

    def add(self, plugin: Plugin, module: object, kinds: Sequence[str]) -> None:
        """Take in what one module offers of these kinds; ValueError, with nothing taken, for a fault in any of it."""
        self.manager.register(module)
        try:
            self.manager.check_pending()
            found = [offer for kind in kinds for offer in _offered(self.manager, kind, plugin)]
        finally:
            self.manager.unregister(module)
        for offer in found:
            if there := self.offers[offer.kind].get(offer.name):
                raise ValueError(
                    f"offers the {offer.kind.removesuffix('s')} '{offer.name}', "
                    f"which the plugin '{there.plugin.name}' ({there.plugin.distribution}) offers already"
                )
        for offer in found:
            self.offers[offer.kind][offer.name] = offer


def _offered(manager: pluggy.PluginManager, kind: str, plugin: Plugin) -> list[Offer]:
    hook = f"register_{kind}"
    offers = []
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        things = implementation.function()
        if not isinstance(things, Mapping):
            raise ValueError(f"{hook} returned {type(things).__name__} where {{name: callable}} is asked for")
        for name, thing in things.items():
            if not isinstance(name, str) or not callable(thing):
                raise ValueError(f"{hook} offers {name!r}, which is not a name with a callable")
            options = schema(thing)  # raises now, and not in the middle of somebody's help
            if kind in NAMED and any(option.name == "name" for option in options):
                raise ValueError(f"{hook} offers {name!r} with an option 'name', which stands for {name!r} in recipes")
            offers.append(Offer(kind, name, thing, plugin))
    return offers


def load(points: Sequence[EntryPoint], kinds: Sequence[str] = KINDS) -> Registry:
    """A registry of these entry points and kinds. A plugin with a fault is left out, whole, and keeps its reason."""
    gathering = _Gathering()
    plugins = []
    for point in points:
        plugin = Plugin(point.name, *(_about(point.dist) if point.dist else ("?", "?")))
        try:
            module = point.load()
            built_for = getattr(module, "COMPOSER_API", hookspecs.API_VERSION)
            if built_for != hookspecs.API_VERSION:
                raise ValueError(f"was made for version {built_for} of the hooks; this is {hookspecs.API_VERSION}")
            gathering.add(plugin, module, kinds)
        except (Exception, SystemExit) as error:  # whatever a stranger's module does at import
            plugin = Plugin(plugin.name, plugin.distribution, plugin.version, _fault(error))
        plugins.append(plugin)
    return Registry(gathering.offers, tuple(plugins))


def _fault(error: BaseException) -> str:
    text = printable(" ".join(str(error).split()), 300)
    return text if type(error) is ValueError else f"{type(error).__name__}: {text}"
