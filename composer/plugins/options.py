"""Options of a callable: read from its signature, and converted from text."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from typing import Any

from composer.errors import BadOption, printable


@dataclass(frozen=True)
class Option:
    """One option of a callable, from its signature."""

    name: str
    type: Any
    default: Any = inspect.Parameter.empty
    help: str = ""
    example: str = ""  # a sensible value, as typed

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty


def read_options(thing: Callable[..., Any]) -> tuple[Option, ...]:
    """Read the options of a callable from its signature; `Annotated[type, "help", "example"]` describes one."""
    # Of a dataclass itself, so that annotations of inherited fields are resolved in the module of the base class.
    annotated = thing.__init__ if inspect.isclass(thing) and not is_dataclass(thing) else thing
    hints = typing.get_type_hints(annotated, include_extras=True)
    options = []
    for parameter in inspect.signature(thing).parameters.values():
        annotation = hints.get(parameter.name, str)
        texts: list[str] = []
        if typing.get_origin(annotation) is typing.Annotated:
            annotation, *notes = typing.get_args(annotation)
            texts = [note for note in notes if isinstance(note, str)]
        options.append(Option(parameter.name, annotation, parameter.default, *texts[:2]))
    return tuple(options)


_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def convert(value: Any, option: Option, title: str) -> Any:
    """Convert a value to the option's type: text is parsed, lists become tuples. Raises BadOption."""
    try:
        return _convert_to(value, option.type)
    except (KeyError, TypeError, ValueError, OverflowError):
        wanted = " or ".join(list_choices(option.type)) or getattr(option.type, "__name__", str(option.type))
        raise BadOption(f"{title}: '{option.name}' is {_show(value)}, which is not {wanted}.") from None


def _show(value: Any) -> str:
    try:
        return printable(repr(value))
    except ValueError:  # Python refuses to format thousands of digits
        return "a number of thousands of digits"


def list_choices(annotation: Any) -> tuple[str, ...]:
    """Return the words of a `Literal`, which are all that such an option can be; none for other types."""
    return typing.get_args(annotation) if typing.get_origin(annotation) is typing.Literal else ()


def _convert_to(value: Any, annotation: Any) -> Any:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return arguments[arguments.index(value)]
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return _convert_to(value, next(a for a in arguments if a is not type(None)))
    if origin is tuple:
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(_convert_to(part, arguments[0]) for part in parts)
    if annotation is bool:
        return _WORDS[value.lower()] if isinstance(value, str) else _check_type(value, bool)
    if annotation is int:
        return int(value) if isinstance(value, str) else _check_type(value, int)
    if annotation is float:
        return _check_type(value, float) if isinstance(value, bool) else float(value)
    if annotation is str:
        return _check_type(value, str)
    return value


def _check_type(value: Any, wanted: type) -> Any:
    if isinstance(value, wanted) and not (wanted is int and isinstance(value, bool)):
        return value
    raise TypeError
