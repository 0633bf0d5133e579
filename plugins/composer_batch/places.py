"""File names of pieces within the folder of a batch, which they never leave."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any

from composer.errors import BadOption, printable, suggest

FOLDER = 1000
"""Pieces that share a folder."""

PATTERN = "{number:06}"
"""The default pattern of file names."""

LONGEST = 120
"""Characters of a name without its suffix."""

OWN = ("number", "index")
"""Fields that differ between the pieces of one cell."""

_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_WIDTH = re.compile(r"0?\d{0,2}")
_ODD = re.compile(r"[^A-Za-z0-9._+#-]+")


@dataclass(frozen=True)
class Names:
    """The file names of the pieces of one cell: only number and index are still to be filled in."""

    template: str  # a %-format with `number` and `index`

    @property
    def has_index(self) -> bool:
        """Whether the names contain the index."""
        return "%(index)" in self.template

    @property
    def are_unique(self) -> bool:
        """Whether no two pieces of the cell share a name.

        Numbers grow with indexes and never get shorter, so that names of equal length contain different numbers.
        """
        return self.template % {"number": 0, "index": 0} != self.template % {"number": 1, "index": 1}

    def make_stem(self, number: int, index: int) -> str:
        """Return the path of a piece in the batch, without suffix. Raises BadOption for an invalid name."""
        name = self.template % {"number": number, "index": index}
        if not name.strip(". ") or name != name.strip(" ") or name.startswith(".") or name.endswith("."):
            raise BadOption(f"invalid file name '{printable(name)}'.")
        if len(name) > LONGEST or len(name.encode()) > 2 * LONGEST:
            raise BadOption(f"'{printable(name)}' has {len(name)} characters; {LONGEST} are the most.")
        if _RESERVED.fullmatch(name):
            raise BadOption(f"'{printable(name)}' is a name that Windows keeps for devices.")
        return f"{name_folder(number)}/{name}"


def name_folder(number: int) -> str:
    """Return the name of the folder of a piece. Raises BadOption for a negative number."""
    if number < 0:
        raise BadOption(f"there is no piece {number}.")
    return f"{number // FOLDER:04}"


def make_names(pattern: str, fields: Mapping[str, Any]) -> Names:
    """Build file names from a pattern.

    Here, file names are made from the words of strangers. Raises BadOption for a pattern that would lead out of its
    folder, and for unknown fields.
    """
    shown = f"the file name '{printable(pattern)}'"
    try:
        parts = list(Formatter().parse(pattern))
    except ValueError as error:
        raise BadOption(f"{shown} is not a pattern: {error}.") from None
    literal = "".join(text for text, *_ in parts)
    if any(letter in '/\\:*?"<>|' or not letter.isprintable() for letter in literal):
        raise BadOption(f"{shown} contains a character that no file name may have, such as '/'.")
    found = []
    for text, name, form, conversion in parts:
        found.append(text.replace("%", "%%"))
        if name is not None:
            found.append(_fill_field(shown, name, form or "", fields, plain=not conversion))
    return Names("".join(found))


def _fill_field(shown: str, name: str, form: str, fields: Mapping[str, Any], *, plain: bool) -> str:
    """Return the template text for one field: its value, or a placeholder for number and index."""
    if name not in fields and name not in OWN:
        raise BadOption(f"{shown} has '{{{printable(name)}}}': {suggest(name, [*fields, *OWN])}")
    if not plain or not _WIDTH.fullmatch(form):
        raise BadOption(f"{shown} may give a width, as in {{index:04}}, and no other format.")
    if name in OWN:
        return f"%({name}){form}d"
    if form:
        raise BadOption(f"{shown} may give a width to {' and '.join(OWN)} alone.")
    value = fields[name]
    return "" if value is None else _ODD.sub("_", str(value))
