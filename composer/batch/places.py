"""Places: the file names of pieces within the folder of a batch, which they never leave; it writes nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter
from typing import Any

from composer.errors import BadOption, nearest, printable

FOLDER = 1000
"""Pieces that share a folder."""

PATTERN = "{number:06}"
"""How the files of a piece are called unless a job says otherwise."""

LONGEST = 120
"""Characters of a name without its suffix."""

OWN = ("number", "index")
"""What differs from piece to piece of one cell."""

_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_WIDTH = re.compile(r"0?\d{0,2}")
_ODD = re.compile(r"[^A-Za-z0-9._+#-]+")


def check_pattern(pattern: str, fields: Mapping[str, Any]) -> None:
    """Raise BadOption for a pattern that would lead out of its folder, or names what a piece does not have."""
    shown = f"the file name '{printable(pattern)}'"
    try:
        parts = list(Formatter().parse(pattern))
    except ValueError as error:
        raise BadOption(f"{shown} is no pattern: {error}.") from None
    literal = "".join(text for text, *_ in parts)
    if any(letter in '/\\:*?"<>|' or not letter.isprintable() for letter in literal):
        raise BadOption(f"{shown} holds what no file name may hold; pieces stay in their folder.")
    for _, name, form, conversion in parts:
        if name is None:
            continue
        if name not in fields and name not in OWN:
            raise BadOption(f"{shown} has '{{{printable(name)}}}': {nearest(name, [*fields, *OWN])}")
        if conversion or not _WIDTH.fullmatch(form or ""):
            raise BadOption(f"{shown} may give a width, as in {{index:04}}, and no other format.")
        if form and name not in OWN:
            raise BadOption(f"{shown} may give a width to {' and '.join(OWN)} alone.")


def stem(pattern: str, fields: Mapping[str, Any], number: int, index: int) -> str:
    """The path of a piece without its suffix, from the folder of the batch; of a pattern that was checked.

    Raises BadOption for a name that file systems refuse.
    """
    values = {name: _ODD.sub("_", str(value)) for name, value in fields.items() if value is not None}
    values |= dict.fromkeys((name for name, value in fields.items() if value is None), "")
    name = pattern.format_map({**values, "number": number, "index": index})
    if not name.strip(". ") or name != name.strip(" ") or name.startswith(".") or name.endswith("."):
        raise BadOption(f"'{printable(name)}' is no name for a file.")
    if len(name) > LONGEST or len(name.encode()) > 2 * LONGEST:
        raise BadOption(f"'{printable(name)}' has {len(name)} characters; {LONGEST} are the most.")
    if _RESERVED.fullmatch(name):
        raise BadOption(f"'{printable(name)}' is a name that Windows keeps for devices.")
    return f"{number // FOLDER:04}/{name}"
