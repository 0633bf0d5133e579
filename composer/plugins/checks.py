"""What a plugin must keep to be registered: mistakes of its author, each found at import and said in one sentence.

A mistake in one thing leaves out that thing, with a `Note`. One that concerns the whole module raises `LeftOut`. Those
in hooks are found in `hooks`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from composer import hookspecs
from composer.errors import printable
from composer.plugins import BUILT_IN
from composer.plugins.discovery import Cause, Note
from composer.plugins.options import read_options

NAMED = ("architectures", "tokenizers", "objectives", "optimisers", "schedules")
"""Kinds whose recipe table holds a name beside the options: no option may be called `name`."""

SUFFIXES = ("readers", "exporters")
"""Kinds whose names are suffixes of files."""

_NAME = re.compile(r"[a-z0-9]+([-_.][a-z0-9]+)*")
_SUFFIX = re.compile(r"(\.[a-z0-9_+-]+)+")


class LeftOut(ValueError):
    """The reason why a plugin is left out. A plugin may raise it itself: `missing`, where it needs a library."""

    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(text)
        self.cause: Cause = cause


def check_version(module: object) -> Iterator[Note]:
    """Yield a note on a version of the hooks that is ours, and is no whole number. Raises LeftOut for another."""
    stated = getattr(module, "COMPOSER_API", hookspecs.API_VERSION)
    if type(stated) is int and stated != hookspecs.API_VERSION:
        told = printable(str(stated), 20)
        raise LeftOut("version", f"was made for version {told} of the hooks; this is {hookspecs.API_VERSION}")
    if type(stated) is not int:
        shown, ours = printable(repr(stated), 20), hookspecs.API_VERSION
        text = f"states COMPOSER_API = {shown}, which is no whole number; write COMPOSER_API = {ours}"
        if str(stated) not in (str(ours), str(float(ours))):
            raise LeftOut("malformed", text)
        yield Note("malformed", text)


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
