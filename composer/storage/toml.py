"""TOML from anybody: checked for patterns that take long, then read by the standard library."""

from __future__ import annotations

import re
import tomllib
from typing import Any

MOST_PARTS = 8
"""The most parts of a dotted key: parsing takes quadratic time in them."""

MOST_VALUES = 250_000
"""The most values, keys and tables together: each may take a kilobyte."""

LONGEST_WORD = 500
"""The most characters of a number, a date or an unquoted key."""

_QUOTED = re.compile(
    r'"""(?:[^"\\]++|\\.|"{1,2}(?!"))*+(?:"{3,5}|\Z)'
    r"|'''(?:[^']++|'{1,2}(?!'))*+(?:'{3,5}|\Z)"
    r'|"(?:[^"\\\n]++|\\.)*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+",
    re.DOTALL,
)
"""Texts and comments; an unterminated one extends to the end of its line, or of the file."""

_DOTTED = re.compile(rf'(?:\.[ \t]*+[\w"-]*+[ \t]*+){{{MOST_PARTS}}}')
_WORD = re.compile(rf"(?<![\w.+-])[\w.+-]{{{LONGEST_WORD + 1}}}")


def parse(text: str) -> dict[str, Any]:
    """Parse a TOML text, in time and memory bounded by its length.

    Raises ValueError with the reason.
    """
    bare = _QUOTED.sub('"', text)
    if _DOTTED.search(bare):
        raise ValueError(f"a key has more than {MOST_PARTS} parts")
    if _WORD.search(bare):
        raise ValueError(f"a number or a key has more than {LONGEST_WORD} characters")
    if sum(map(bare.count, "[{=,.")) > MOST_VALUES:
        raise ValueError(f"it holds more than {MOST_VALUES:,} values")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
