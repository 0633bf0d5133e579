"""Text for XML, and elements with text."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement

from composer.music import score


def clean(text: str) -> str:
    """Clean a text for XML: one line, valid characters, and single spaces."""
    return " ".join(score.clean_text(text).split())


def add(parent: Element, tag: str, text: object, /, **attributes: str) -> Element:
    """Add an element with a text at the end of `parent`."""
    child = SubElement(parent, tag, attributes)
    child.text = str(text)
    return child
