"""Scores as notation programs have them: MusicXML, Humdrum kern and ABC read, MusicXML and ABC written."""

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_readers() -> Offers:
    """Offer the suffixes of MusicXML (plain and packed), kern and ABC files."""
    from composer_notation.reader import NotationReader

    return dict.fromkeys((".musicxml", ".xml", ".mxl", ".krn", ".abc"), NotationReader)


@hookimpl
def register_exporters() -> Offers:
    """Offer the suffixes of MusicXML, plain and packed, and of ABC."""
    from composer_notation.writing.exporters import AbcExporter, MusicXmlExporter

    return {**dict.fromkeys((".musicxml", ".xml", ".mxl"), MusicXmlExporter), ".abc": AbcExporter}
