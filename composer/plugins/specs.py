"""Specs as they are typed: `NAME`, `NAME:VALUE` of the first option, or `NAME:OPTION=VALUE,OPTION=VALUE`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from composer.errors import BadOption, printable, suggest
from composer.plugins.offers import Offer
from composer.plugins.options import NO, NONE, YES, convert, make_plain
from composer.plugins.registry import registry
from composer.request import Spec

_NAMED = re.compile(r"\s*([A-Za-z][\w-]*)\s*=(.*)", re.DOTALL)


def parse_spec(text: str, kind: str) -> Spec:
    """Parse a spec of a thing of this kind, such as `quantize:grid=8,strength=0.5`; values become plain ones.

    Text without `=` after the colon is the value of the first option; after a comma, it goes on with the value before,
    as in `drop-voice:alto,tenor`. Raises UnknownName for the name, BadOption for an option; both with the nearest one.
    """
    name, colon, rest = text.partition(":")
    offer = registry().get_offer(kind, name.strip())
    title = f"{kind.removesuffix('s')} '{offer.name}'"
    if colon and not rest.strip():
        raise BadOption(f"{title}: there is nothing after the colon of '{printable(text)}'.")
    values = _split_options(offer, title, rest) if colon else {}
    return Spec(offer.name, convert_options(offer, title, values))


def split_specs(text: str, kind: str) -> list[str]:
    """Split specs of a kind at the commas between them: `polyphony,off-beat:beats=2,4` has two."""
    known, found = registry().offers[kind], [""]
    for part in text.split(","):
        is_next = part.partition(":")[0].strip().replace(" ", "-") in known
        if found[-1] and (is_next or ":" not in found[-1]):
            found.append(part)
        else:
            found[-1] += f",{part}" if found[-1] else part
    return found


def _split_options(offer: Offer, title: str, text: str) -> dict[str, str]:
    """Split the part after the colon into texts by option. Raises BadOption."""
    found: dict[str, str] = {}
    last = ""
    for part in text.split(","):
        if named := _NAMED.fullmatch(part):
            last, value = named[1].replace("-", "_"), named[2].strip()
            if last in found:
                raise BadOption(f"{title}: '{printable(last)}' is given twice.")
            found[last] = value
        elif last:
            found[last] += f",{part.strip()}"
        elif not offer.options:
            raise BadOption(f"{title} has no options, and so takes no '{printable(text)}'.")
        else:
            last = offer.options[0].name
            found[last] = part.strip()
    return found


def convert_options(offer: Offer, title: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert values by option, as typed, to plain ones. Raises BadOption, with `title` before its text."""
    known = offer.known
    for name in values:
        if name not in known:
            raise BadOption(f"{title} has no option '{printable(name)}': {suggest(name, known)}")
    plain = {name: make_plain(convert(value, known[name], title)) for name, value in values.items()}
    # As in JSON with sorted keys, so that what a file says of its request is written alike again.
    return {name: list(value) if isinstance(value, tuple) else value for name, value in sorted(plain.items())}


def format_spec(spec: Spec) -> str:
    """Write a spec as it is typed."""
    options = ",".join(f"{name}={_format_value(value)}" for name, value in spec.options.items())
    return f"{spec.name}:{options}" if options else spec.name


def _format_value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(_format_value, value))
    if isinstance(value, bool):
        return YES[1] if value else NO[1]
    return NONE if value is None else str(value)
