"""Reads scores as notation programs write them, through music21: MusicXML, Humdrum kern and ABC."""

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_readers() -> Offers:
    """Offer the suffixes of MusicXML (plain and packed), kern and ABC files."""
    from composer_notation.reader import NotationReader

    return dict.fromkeys((".musicxml", ".xml", ".mxl", ".krn", ".abc"), NotationReader)
