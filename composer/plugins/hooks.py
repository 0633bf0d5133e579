"""The hooks that a plugin's module implements, and the mistakes in them, each said in one sentence.

Offers (`register_*`) are asked once, for things by name; events are called each time that something has happened. A
hook with a mistake is left out alone, with a `Note`.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import pluggy

from composer import hookspecs
from composer.errors import printable, suggest
from composer.plugins.discovery import Note

_IMPLEMENTED = f"{hookspecs.hookimpl.project_name}_impl"
_SPECIFIED = f"{hookspecs.hookspec.project_name}_spec"
_OFFER = "register_"

_HOOKS = tuple(name for name, thing in vars(hookspecs).items() if hasattr(thing, _SPECIFIED))

EVENTS = tuple(name for name in _HOOKS if not name.startswith(_OFFER))
"""The hooks that are called when something has happened."""


class HookManager(pluggy.PluginManager):
    """pluggy's manager, which registers of each module only the hooks that can be used."""

    def __init__(self, names: Collection[str] | None = None) -> None:
        """Take the attributes of these names from a module, and no others; of any name unless given."""
        super().__init__(hookspecs.hookimpl.project_name)
        self._names = names
        self.add_hookspecs(hookspecs)

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        """Return what `@hookimpl` was told of an attribute; None for one to be left out."""
        return super().parse_hookimpl_opts(plugin, name) if self._names is None or name in self._names else None


def read_hooks(module: object) -> tuple[dict[str, str], list[Note]]:
    """Find the hooks of a module, by the names of its functions, and notes on those that are left out."""
    found, notes = {}, list(_find_forgotten(module))
    for name, function, marks in find_implementations(module):
        hook = marks.get("specname") or name
        if hook not in _HOOKS:
            if not marks.get("optionalhook"):
                notes.append(_describe_unknown(hook))
        elif mistakes := list(_find_mistakes(hook, function, marks)):
            notes.append(Note("malformed", mistakes[0]))
        else:
            found[name] = hook
    return found, notes


def find_implementations(module: object) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    """Yield the functions of a module under `@hookimpl`, by name, each with what that was told."""
    for name, value in _list_attributes(module):
        marks = getattr(value, _IMPLEMENTED, None) if inspect.isroutine(value) else None
        if isinstance(marks, dict):
            yield name, value, marks


def is_wrapper(marks: Mapping[str, Any]) -> bool:
    """Tell whether a function is called around the others, by what `@hookimpl` was told."""
    return bool(marks.get("wrapper") or marks.get("hookwrapper"))


def list_arguments(hook: str) -> list[str]:
    """List the arguments of a hook, by its spec."""
    return list(inspect.signature(getattr(hookspecs, hook)).parameters)


def describe_event(event: str) -> str:
    """Return the first line of an event's spec."""
    return (inspect.getdoc(getattr(hookspecs, event)) or "").partition("\n")[0]


def _list_attributes(module: object) -> list[tuple[str, object]]:
    return [(name, value) for name, value in sorted(getattr(module, "__dict__", {}).items()) if isinstance(name, str)]


# --- mistakes ---------------------------------------------------------------------------------------------------------


def _describe_unknown(hook: str) -> Note:
    if near := _find_nearest(hook):
        return Note("malformed", f"{printable(hook)} is not a hook, and is left out: did you mean '{near}'?")
    return Note("version", f"{printable(hook)} is not a hook of this version, and is left out")


def _find_nearest(name: str) -> str:
    """Return the hook that a name means; empty where none is near. What all offers begin with does not count."""
    if name.startswith(_OFFER):
        kinds = [hook.removeprefix(_OFFER) for hook in _HOOKS if hook not in EVENTS]
        close = difflib.get_close_matches(name.removeprefix(_OFFER), kinds, n=1, cutoff=0.75)
        return f"{_OFFER}{close[0]}" if close else ""
    return next(iter(difflib.get_close_matches(name, EVENTS, n=1, cutoff=0.75)), "")


def _find_forgotten(module: object) -> Iterator[Note]:
    """Find the functions of a module that are called as a hook and lack `@hookimpl`; as an offer, also nearly so."""
    for name, value in _list_attributes(module):
        ours = inspect.isfunction(value) and value.__module__ == getattr(module, "__name__", "")
        near = name if name in EVENTS else _find_nearest(name) if name.startswith(_OFFER) else ""
        if ours and near and not hasattr(value, _IMPLEMENTED):
            called = "" if near == name else f" and call it {near}"
            does = "is not called" if near in EVENTS else "offers nothing"
            yield Note("malformed", f"{printable(name)} {does} without @hookimpl; write it above{called}")


def _find_mistakes(hook: str, function: Any, marks: Mapping[str, Any]) -> Iterator[str]:
    """Find why pluggy could not call a function, or would call it in vain."""
    yield from _find_wrong_arguments(hook, inspect.signature(function).parameters.values())
    wraps = is_wrapper(marks)
    if wraps and hook not in EVENTS:
        yield f"{hook} is left out: only events can be wrapped"
    if wraps and not inspect.isgeneratorfunction(function):
        yield f"{hook} is left out: a wrapper has one yield, at which the others are called"
    if not wraps and inspect.isgeneratorfunction(function):
        yield f"{hook} is left out: with a yield it does nothing, unless it is a wrapper: @hookimpl(wrapper=True)"
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        yield f"{hook} is left out: it is async, and nobody would wait for it"


def _find_wrong_arguments(hook: str, parameters: Iterable[inspect.Parameter]) -> Iterator[str]:
    """Find arguments that a hook is not called with. pluggy fills those without a default, by name."""
    known = list_arguments(hook)
    for one in parameters:
        name, needed = printable(one.name), one.default is one.empty
        if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            continue
        if needed and not known:
            yield f"{hook} is left out: it takes no arguments, and here '{name}'"
        elif one.kind is one.KEYWORD_ONLY and (needed or one.name in known):
            yield f"{hook} is left out: it is not given '{name}' after a star; write it before"
        elif needed and one.name not in known:
            yield f"{hook} is left out: it has no argument '{name}': {suggest(one.name, known)}"
        elif one.name in known and not needed:
            yield f"{hook} is left out: it is not given '{name}', which has a default; write it without"
