"""Texts from outside: titles, names and words, on one line that every format can hold."""

from __future__ import annotations

import re

_BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""Control characters, and the ends of lines and paragraphs."""

_HIDDEN = re.compile(
    "["
    "\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible, or bidirectional
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f"
    "\ud800-\udfff"  # halves of characters, which no encoding holds
    "\ufdd0-\ufdef" + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(17)) + "]+"
)
"""Invisible characters and bidirectional controls. Joiners stay: Persian, Indic scripts and emoji need them."""


def clean_text(text: str) -> str:
    """Put `text` on one line, without control characters, surrogates and bidirectional controls."""
    if text.isprintable():
        return text
    cleaned = _HIDDEN.sub("", _BREAKS.sub(" ", text))
    return text if cleaned == text else cleaned.strip()
