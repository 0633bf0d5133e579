"""What plugins offer, by kind and name: imported, checked against the hooks, and made from options.

A plugin with a fault is left out, whole; a hook or a thing with one, alone. Cached offers import their plugin on first
use.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from importlib.metadata import EntryPoint
from types import MappingProxyType
from typing import Any

from composer.errors import BadOption, UnknownName, printable, suggest
from composer.plugins.checks import LeftOut, check_offer, check_version
from composer.plugins.discovery import Cause, Note, Plugin, get_plugin
from composer.plugins.hooks import EVENTS, HookManager, find_implementations, read_hooks
from composer.plugins.options import Option, convert, read_options

KINDS = (
    "architectures",
    "tokenizers",
    "samplers",
    "transforms",
    "rules",
    "objectives",
    "optimisers",
    "schedules",
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


@dataclass(frozen=True)
class LazyThing:
    """An offer of the cached registry. Its plugin is imported on the first call, or for an attribute."""

    point: EntryPoint
    kind: str
    name: str
    options: tuple[Option, ...]
    summary: str
    is_rule: bool = False

    def load_thing(self) -> Any:
        """Import the thing itself. Raises UnknownName for a plugin that is broken now."""
        found = _load_kind(self.point, self.kind)
        if self.name not in found.offers[self.kind]:
            notes = [note.text for note in found.plugins[0].notes]
            fault = found.plugins[0].fault or "; ".join(notes) or "it offers this no more"
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

    @cached_property
    def known(self) -> Mapping[str, Option]:
        """Its options by name, of the thing itself, imported now: a cached one has the words of an `Enum` alone."""
        return {option.name: option for option in read_options(self.load_thing())}

    @property
    def summary(self) -> str:
        """The first line of its docstring, or what a command says in a list of commands."""
        if isinstance(self.make, LazyThing):
            return self.make.summary
        if self.kind == "commands":
            return str(self.load_thing().get_short_help_str(100))
        return self.text.partition("\n")[0]

    @property
    def is_rule(self) -> bool:
        """Whether it is a sampler that is a constraint."""
        return self.make.is_rule if isinstance(self.make, LazyThing) else hasattr(self.make, "mask")

    @property
    def text(self) -> str:
        """Its docstring, whole, as lines without indentation; for one of an unread plugin, that is read now."""
        thing = self.load_thing()
        return inspect.cleandoc(thing.help or "") if self.kind == "commands" else inspect.getdoc(thing) or ""

    def load_thing(self) -> Any:
        """Return the thing itself, imported now. Raises UnknownName for a plugin that is broken now."""
        return self.make.load_thing() if isinstance(self.make, LazyThing) else self.make


@dataclass(frozen=True, eq=False)
class Registry:
    """The offers of all plugins, by kind and name, the plugins themselves, and offers whose names others have.

    By event, `answering` has the plugins that answer it, in the order of `plugins`.
    """

    offers: Mapping[str, Mapping[str, Offer]]
    plugins: tuple[Plugin, ...]
    clashing: tuple[Offer, ...] = ()
    answering: Mapping[str, tuple[EntryPoint, ...]] = field(default_factory=dict)

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
    known = offer.known
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


@dataclass(frozen=True)
class Contribution:
    """What one plugin offers, whatever others do, and where it is imported from."""

    plugin: Plugin
    offers: tuple[Offer, ...] = ()
    point: EntryPoint | None = None


def read_plugin(point: EntryPoint, kinds: Sequence[str] = KINDS, *, lost: str = "") -> Contribution:
    """Import a plugin and gather its offers of these kinds. It is left out, with its fault, where no hook can be used.

    One that is `lost`, which says why, is not imported.
    """
    plugin = get_plugin(point)
    try:
        if lost:
            raise LeftOut("hangs", lost)
        module = point.load()
        notes = list(check_version(module))
        hooks, mistakes = read_hooks(module)
        answers, failures = _call_hooks(module, hooks, kinds)
        events = tuple(event for event in EVENTS if event in hooks.values())
        if (mistakes or failures) and not (answers or events) and any(find_implementations(module)):
            first = [*failures, *mistakes][0]
            raise LeftOut(first.cause, first.text)
    except (Exception, SystemExit) as error:  # a foreign module may do anything at import
        return Contribution(replace(plugin, fault=_describe_fault(error), cause=_find_cause(error)))
    things, left_out = _collect_things(answers)
    plugin = replace(plugin, notes=(*notes, *mistakes, *failures, *left_out), events=events)
    return Contribution(plugin, tuple(Offer(kind, name, thing, plugin) for kind, name, thing in things), point)


def _call_hooks(
    module: object, hooks: Collection[str], kinds: Sequence[str]
) -> tuple[list[tuple[str, Mapping[Any, Any]]], list[Note]]:
    """Call these hooks of a module. Return what it offers of each kind, and notes on hooks that failed."""
    manager = HookManager(hooks)
    manager.register(module)
    found, notes = [], []
    for kind in kinds:
        hook = f"register_{kind}"
        for implementation in getattr(manager.hook, hook).get_hookimpls():
            try:
                things = implementation.function()
                if not isinstance(things, Mapping):
                    what = type(things).__name__
                    raise LeftOut("malformed", f"{hook} returned {what} where {{name: callable}} is asked for")
                found.append((kind, things))
            except (Exception, SystemExit) as error:
                raised = "" if isinstance(error, LeftOut) else f"{hook} raised "
                notes.append(Note(_find_cause(error), raised + _describe_fault(error)))
    return found, notes


def _collect_things(answers: Iterable[tuple[str, Mapping[Any, Any]]]) -> tuple[list[tuple[str, str, Any]], list[Note]]:
    """Collect the things of a module with kind and name, and notes on those that are left out."""
    found: list[tuple[str, str, Any]] = []
    notes = []
    for kind, things in answers:
        for name, thing in things.items():
            try:
                check_offer(kind, name, thing)
                if any((kind, name) == one[:2] for one in found):
                    raise LeftOut("malformed", f"register_{kind} offers '{name}' twice")
                found.append((kind, name, thing))
            except LeftOut as error:
                notes.append(Note(error.cause, _describe_fault(error)))
    return found, notes


def combine(contributions: Iterable[Contribution]) -> Registry:
    """Register what plugins offer, in their order. A thing whose name is taken is left out, and noted."""
    offers: dict[str, dict[str, Offer]] = {kind: {} for kind in KINDS}
    answering: dict[str, tuple[EntryPoint, ...]] = dict.fromkeys(EVENTS, ())
    plugins, clashing = [], []
    for one in contributions:
        if one.point is not None:
            answering |= {event: (*answering[event], one.point) for event in one.plugin.events}
        taken = [offer for offer in one.offers if offer.name in offers[offer.kind]]
        notes = [_describe_clash(offer, offers[offer.kind][offer.name]) for offer in taken]
        plugin = replace(one.plugin, notes=(*one.plugin.notes, *notes))
        plugins.append(plugin)
        clashing += [replace(offer, plugin=plugin) for offer in taken]
        for offer in one.offers:
            offers[offer.kind].setdefault(offer.name, replace(offer, plugin=plugin))
    return Registry(offers, tuple(plugins), tuple(clashing), answering)


def _describe_clash(offer: Offer, there: Offer) -> Note:
    thing, plugin = offer.kind.removesuffix("s"), there.plugin
    return Note(
        "clash",
        f"the {thing} '{offer.name}' is left out, for the plugin '{plugin.name}' ({plugin.distribution}) "
        "offers that name already",
    )


def load(
    points: Sequence[EntryPoint],
    kinds: Sequence[str] = KINDS,
    lost: Mapping[EntryPoint, str] = MappingProxyType({}),
) -> Registry:
    """Import these entry points and register their offers. A plugin with a fault is left out, whole, with its reason.

    Those in `lost`, with their reasons, are not imported.
    """
    return combine(read_plugin(point, kinds, lost=lost.get(point, "")) for point in points)


def _describe_fault(error: BaseException) -> str:
    text = printable(" ".join(str(error).split()), 300)
    return text if isinstance(error, LeftOut) or type(error) is ValueError else f"{type(error).__name__}: {text}"


def _find_cause(error: BaseException) -> Cause:
    if isinstance(error, LeftOut):
        return error.cause
    return "missing" if isinstance(error, ModuleNotFoundError) else "raises"
