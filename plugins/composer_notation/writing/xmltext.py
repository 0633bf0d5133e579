"""Elements with a text in them, and texts that XML can hold; it knows no music."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """A text without what no XML may hold, on one line."""
    return " ".join(_NOT_XML.sub("", text).split())


def add(parent: Element, tag: str, text: object, /, **attributes: str) -> Element:
    """A new last element in `parent`, with that text."""
    child = SubElement(parent, tag, attributes)
    child.text = str(text)
    return child
