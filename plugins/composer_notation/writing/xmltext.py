"""Elements with a text in them, and texts that XML can hold; it knows no music."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement

_NOT_XML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TURNS = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")  # the direction in which text is shown


def clean(text: str) -> str:
    """A text on one line, without control characters and what no XML may hold."""
    return " ".join(_TURNS.sub("", _NOT_XML.sub("", text)).split())


def add(parent: Element, tag: str, text: object, /, **attributes: str) -> Element:
    """A new last element in `parent`, with that text."""
    child = SubElement(parent, tag, attributes)
    child.text = str(text)
    return child
