"""Elements with a text in them, and texts that XML can hold; it knows no music."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement

from composer.music import texts


def clean(text: str) -> str:
    """A text on one line, without what no XML may hold, and without spaces in a row."""
    return " ".join(texts.clean(text).split())


def add(parent: Element, tag: str, text: object, /, **attributes: str) -> Element:
    """A new last element in `parent`, with that text."""
    child = SubElement(parent, tag, attributes)
    child.text = str(text)
    return child
