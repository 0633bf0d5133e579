"""Options of a callable: read from its signature, converted from text and from plain values, and named for people."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from composer.errors import BadOption, printable
from composer.storage.inside import expand_home

NONE = "none"
"""How the lack of a value is typed."""


@dataclass(frozen=True)
class Option:
    """One option of a callable, from its signature. Its default is a plain value, as `make_plain` makes it."""

    name: str
    type: Any
    default: Any = inspect.Parameter.empty
    help: str = ""
    example: str = ""  # a sensible value, as typed
    is_internal: bool = False  # stated in requests by the program; help leaves it out

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty


def read_options(thing: Callable[..., Any]) -> tuple[Option, ...]:
    """Read the options of a callable from its signature; `Annotated[type, "help", "example"]` describes one."""
    # Of a dataclass itself, so that annotations of inherited fields are resolved in the module of the base class.
    annotated = thing.__init__ if inspect.isclass(thing) and not is_dataclass(thing) else thing
    hints = typing.get_type_hints(annotated, include_extras=True)
    made = dict(_find_made_defaults(thing))
    options = []
    for parameter in inspect.signature(thing).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        annotation = hints.get(parameter.name, str)
        texts: list[str] = []
        is_internal = False
        if typing.get_origin(annotation) is typing.Annotated:
            annotation, *notes = typing.get_args(annotation)
            texts = [note for note in notes if isinstance(note, str)]
            is_internal = any(getattr(note, "is_internal", False) for note in notes)
        default = make_plain(made.get(parameter.name, parameter.default))
        text, example, *_ = (*texts, "", "")
        options.append(Option(parameter.name, annotation, default, text, example, is_internal))
    return tuple(options)


def _find_made_defaults(thing: object) -> Iterator[tuple[str, Any]]:
    """Yield the defaults of a dataclass that are made anew for each object, such as lists; as tuples, if they are."""
    for field in fields(thing) if is_dataclass(thing) else ():
        if field.default_factory is not MISSING:
            value = field.default_factory()
            yield field.name, tuple(value) if isinstance(value, list) else value


# --- plain values -----------------------------------------------------------------------------------------------------


def make_plain(value: Any) -> Any:
    """Return a value as recipes, requests and cards hold it: an `Enum` and a `Path` become text, others stay."""
    if isinstance(value, Enum):
        return _name_member(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {name: make_plain(one) for name, one in value.items()}
    return type(value)(map(make_plain, value)) if type(value) in (list, tuple) else value


def get_values(thing: Any) -> dict[str, Any]:
    """Return the options that a dataclass was made with, as plain values."""
    values: dict[str, Any] = make_plain(asdict(thing))
    return values


def _name_member(member: Enum) -> str:
    """Return how a member of an `Enum` is typed: its value where that is text, its name otherwise."""
    return str(member.value) if isinstance(member.value, str) else member.name


# --- types ------------------------------------------------------------------------------------------------------------


def list_members(annotation: Any) -> tuple[Any, ...]:
    """Return the types of a union; of any other type, itself."""
    if typing.get_origin(annotation) is typing.Annotated:
        return list_members(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return tuple(member for one in typing.get_args(annotation) for member in list_members(one))
    return (annotation,)


def list_choices(annotation: Any) -> tuple[Any, ...]:
    """Return the values that an option of a `Literal` or an `Enum` takes, as plain values; none for other types."""
    if typing.get_origin(annotation) is typing.Literal:
        return typing.get_args(annotation)
    return tuple(map(_name_member, annotation)) if _is_enum(annotation) else ()


def list_words(annotation: Any) -> tuple[str, ...]:
    """Return the choices of a type as they are typed."""
    return tuple(map(_show_word, list_choices(annotation)))


def is_switch(annotation: Any) -> bool:
    """Tell whether an option is on or off, and so typed without a value."""
    return {one for one in list_members(annotation) if one is not type(None)} == {bool}


def takes_several(annotation: Any) -> bool:
    """Tell whether an option takes a list of values."""
    return any(_find_origin(member) in (tuple, list) for member in list_members(annotation))


def name_type(annotation: Any) -> str:
    """Name a type, as in `int`, `float or none`, `several of str`, `late or early`."""
    members = list_members(annotation)
    if len(members) > 1:
        return " or ".join(name_type(member) for member in sorted(members, key=lambda one: one is type(None)))
    (one,) = members
    if _find_origin(one) in (tuple, list):
        parts, several = _split_items(one)
        return f"several of {name_type(parts[0])}" if several else f"{', '.join(map(name_type, parts))} together"
    if words := list_words(one):
        return " or ".join(words)
    return {type(None): NONE, Path: "path"}.get(one) or str(getattr(one, "__name__", one))


def _show_word(word: Any) -> str:
    return NONE if word is None else str(word)


def _is_enum(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Enum)


def _find_origin(annotation: Any) -> Any:
    return typing.get_origin(annotation) or annotation


def _split_items(annotation: Any) -> tuple[tuple[Any, ...], bool]:
    """Return the types of the items of a tuple or list, and whether there may be any number of them."""
    arguments = typing.get_args(annotation) or (str, ...)
    several = _find_origin(annotation) is list or arguments[-1] is ...
    return (arguments[:1] if several else arguments), several


# --- conversion -------------------------------------------------------------------------------------------------------

YES, NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
"""How a switch is typed where it takes a value."""

_WORDS = dict.fromkeys(YES, True) | dict.fromkeys(NO, False)


def convert(value: Any, option: Option, title: str) -> Any:
    """Convert a value to the option's type: text is parsed, lists become tuples. Raises BadOption."""
    try:
        return _convert_to(value, option.type)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise BadOption(
            f"{title}: '{option.name}' is {_show(value)}, which is not {printable(name_type(option.type), 300)}."
        ) from None


def _show(value: Any) -> str:
    try:
        return printable(repr(value))
    except ValueError:  # Python refuses to format thousands of digits
        return "a number of thousands of digits"


def _convert_to(value: Any, annotation: Any) -> Any:
    members = list_members(annotation)
    if len(members) == 1:
        return _convert_to_member(value, members[0])
    textual = bool({str, Path} & set(members))
    if type(None) in members and (value is None or (value == NONE and not textual)):
        return None
    for member in sorted(members, key=lambda one: _rank(one, value)):
        try:
            return _convert_to_member(value, member)
        except (KeyError, TypeError, ValueError, OverflowError):
            continue
    raise TypeError


def _rank(annotation: Any, value: Any) -> int:
    """Rank a member of a union by how little it takes, whatever their order: `int | str` equals `str | int`."""
    if list_choices(annotation):
        return 0
    if _find_origin(annotation) in (tuple, list):
        return 4 if isinstance(value, str) and "," in value else 7
    return {int: 1, float: 2, bool: 3, Path: 5, str: 6}.get(annotation, 8)


def _convert_to_member(value: Any, annotation: Any) -> Any:
    origin = _find_origin(annotation)
    if origin is typing.Literal:
        return _choose(value, {one: one for one in typing.get_args(annotation)})
    if _is_enum(annotation):
        return value if isinstance(value, annotation) else _choose(value, _list_enum(annotation))
    if origin in (tuple, list):
        return origin(_convert_items(value, annotation))
    if annotation is bool:
        return _WORDS[value.lower()] if isinstance(value, str) else _check_type(value, bool)
    if annotation is int:
        return int(value) if isinstance(value, str) else _check_type(value, int)
    if annotation is float:
        return _check_type(value, float) if isinstance(value, bool) else float(value)
    if annotation is Path:
        return value if isinstance(value, Path) else _read_path(value)
    return _check_type(value, annotation) if annotation in (str, type(None)) else value


def _list_enum(annotation: type[Enum]) -> dict[Any, Any]:
    """Map how each member is typed, and what it stands for, to the member."""
    return {one.value: one for one in annotation} | {_name_member(one): one for one in annotation}


def _choose(value: Any, choices: Mapping[Any, Any]) -> Any:
    """Return the choice that is this value, or that is typed so. Raises ValueError for none."""
    for key, chosen in choices.items():
        if (type(key) is type(value) and key == value) or (isinstance(value, str) and _show_word(key) == value):
            return chosen
    raise ValueError


def _convert_items(value: Any, annotation: Any) -> list[Any]:
    if isinstance(value, Mapping):
        raise TypeError
    items = (value.split(",") if value else []) if isinstance(value, str) else list(value)
    parts, several = _split_items(annotation)
    kinds = parts * len(items) if several else parts
    return [_convert_to(item, kind) for item, kind in zip(items, kinds, strict=True)]


def _read_path(value: Any) -> Path:
    if not value:
        raise ValueError
    return expand_home(_check_type(value, str))


def _check_type(value: Any, wanted: type) -> Any:
    if isinstance(value, wanted) and not (wanted is int and isinstance(value, bool)):
        return value
    raise TypeError
