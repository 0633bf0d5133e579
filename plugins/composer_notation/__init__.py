"""Notation files: reads MusicXML, Humdrum kern and ABC, and writes MusicXML and ABC.

reader.py     the reader
musicxml/     MusicXML, read
kern/         Humdrum kern, read
abc/          ABC, read
bargrid.py    bar lines and keys of measures end to end
unfolding.py  the playing order of measures, and the notes that then sound
sections.py   sections of a piece as it is played
owntracks.py  names, provenance and programs of tracks
writing/      MusicXML and ABC, written
"""

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_readers() -> Offers:
    """Register the reader of MusicXML (plain and packed), kern and ABC files."""
    from composer_notation.reader import NotationReader

    return dict.fromkeys((".musicxml", ".xml", ".mxl", ".krn", ".abc"), NotationReader)


@hookimpl
def register_exporters() -> Offers:
    """Register the exporters of MusicXML (plain and packed) and ABC."""
    from composer_notation.writing.exporters import AbcExporter, MusicXmlExporter

    return {**dict.fromkeys((".musicxml", ".xml", ".mxl"), MusicXmlExporter), ".abc": AbcExporter}
