"""What a plugin must keep to be registered: mistakes of its author, each found at import and said in one sentence.

A mistake in one thing leaves out that thing, with a `Note`. One that concerns the whole module raises `LeftOut`.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

from composer import hookspecs
from composer.errors import printable, suggest
from composer.plugins import BUILT_IN
from composer.plugins.discovery import Cause, Note
from composer.plugins.options import read_options

NAMED = ("architectures", "tokenizers", "objectives", "optimisers", "schedules")
"""Kinds whose recipe table holds a name beside the options: no option may be called `name`."""

SUFFIXES = ("readers", "exporters")
"""Kinds whose names are suffixes of files."""

_MARK = f"{hookspecs.hookimpl.project_name}_impl"
_HOOK = "register_"
_HOOKS = tuple(name for name in vars(hookspecs) if name.startswith(_HOOK))
_NAME = re.compile(r"[a-z0-9]+([-_.][a-z0-9]+)*")
_SUFFIX = re.compile(r"(\.[a-z0-9_+-]+)+")


class LeftOut(ValueError):
    """The reason why a plugin is left out. A plugin may raise it itself: `missing`, where it needs a library."""

    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(text)
        self.cause: Cause = cause


def check_module(module: object) -> None:
    """Raise LeftOut for a module that was made for other hooks, or that implements a hook that is none."""
    built_for = getattr(module, "COMPOSER_API", hookspecs.API_VERSION)
    if type(built_for) is not int:
        raise LeftOut(
            "malformed",
            f"states COMPOSER_API = {printable(repr(built_for), 20)}, which is no whole number; "
            f"write COMPOSER_API = {hookspecs.API_VERSION}",
        )
    if built_for != hookspecs.API_VERSION:
        told = printable(str(built_for), 20)
        raise LeftOut("version", f"was made for version {told} of the hooks; this is {hookspecs.API_VERSION}")
    for name, marks in _find_implementations(module):
        if name not in _HOOKS and not marks.get("optionalhook"):
            near = _find_nearest_hook(name)
            text = f"implements {printable(name)}, which is not a hook: {suggest(near or name, _HOOKS)}"
            raise LeftOut("malformed" if near else "version", text)


def _find_implementations(module: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the hooks that a module implements, each with what `@hookimpl` was told."""
    for name, value in _list_attributes(module):
        marks = getattr(value, _MARK, None) if inspect.isroutine(value) else None
        if isinstance(marks, dict):
            yield marks.get("specname") or name, marks


def find_forgotten(module: object) -> Iterator[Note]:
    """Find the functions of a module that are called as a hook, or nearly so, and lack `@hookimpl`."""
    for name, value in _list_attributes(module):
        ours = inspect.isfunction(value) and value.__module__ == getattr(module, "__name__", "")
        if ours and not hasattr(value, _MARK) and (near := _find_nearest_hook(name)):
            called = "" if near == name else f" and call it {near}"
            yield Note("malformed", f"{printable(name)} offers nothing without @hookimpl; write it above{called}")


def _list_attributes(module: object) -> list[tuple[str, object]]:
    return [(name, value) for name, value in sorted(getattr(module, "__dict__", {}).items()) if isinstance(name, str)]


def _find_nearest_hook(name: str) -> str:
    """Return the hook that a name means; empty where none is near. What all hooks begin with does not count."""
    if not name.startswith(_HOOK):
        return ""
    kinds = [hook.removeprefix(_HOOK) for hook in _HOOKS]
    close = difflib.get_close_matches(name.removeprefix(_HOOK), kinds, n=1, cutoff=0.75)
    return f"{_HOOK}{close[0]}" if close else ""


def check_offer(kind: str, name: object, thing: object) -> None:
    """Raise LeftOut for an unusable thing of a plugin, rather than later in somebody's help."""
    if not isinstance(name, str) or not callable(thing):
        raise LeftOut("malformed", f"register_{kind} offers {_show(name)}, which is not a name with a callable")
    _check_name(kind, name)
    if kind == "commands":
        _check_command(name, thing)
    else:
        _check_options(kind, name, thing)


def _show(name: object) -> str:
    return printable(repr(name), 60)


def _check_name(kind: str, name: str) -> None:
    if kind in SUFFIXES:
        if not _SUFFIX.fullmatch(name):
            nearest = re.sub(r"[^a-z0-9_+.-]", "", name.lower()).strip(".")
            raise LeftOut(
                "malformed",
                f"register_{kind} offers {_show(name)}: a suffix is a dot and small letters or digits, "
                f"such as '.{nearest or 'abc'}'",
            )
    elif not _NAME.fullmatch(name):
        nearest = "-".join(re.findall(r"[a-z0-9]+", name.lower()))
        raise LeftOut(
            "malformed",
            f"register_{kind} offers {_show(name)}: a name is small letters and digits, with dashes between, "
            f"such as '{nearest or 'my-name'}'",
        )


def _check_options(kind: str, name: str, thing: Callable[..., Any]) -> None:
    try:
        options = read_options(thing)
    except Exception as error:
        text = printable(" ".join(str(error).split()), 200)
        raise LeftOut(
            "malformed", f"register_{kind} offers {_show(name)}, whose signature cannot be read: {text}"
        ) from error
    if kind in NAMED and any(option.name == "name" for option in options):
        raise LeftOut(
            "malformed",
            f"register_{kind} offers {name!r} with an option 'name', which stands for {name!r} in recipes",
        )


def _check_command(name: str, thing: object) -> None:
    """Raise LeftOut for anything but a click command, and for the name of a command of ours."""
    import click

    if not isinstance(thing, click.Command):
        raise LeftOut("malformed", f"register_commands offers {_show(name)}, which is not a click command")
    if name in BUILT_IN:
        raise LeftOut("malformed", f"offers the command '{name}', which composer has itself")
