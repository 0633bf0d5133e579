"""Plugin: Standard MIDI files, read, written and linted."""

from __future__ import annotations

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_readers() -> Offers:
    """Register the reader for the three usual suffixes."""
    from composer_midifile.reading import MidiReader

    return {".mid": MidiReader, ".midi": MidiReader, ".kar": MidiReader}


@hookimpl
def register_exporters() -> Offers:
    """Register the exporter for `.mid` and `.midi`."""
    from composer_midifile.writing import MidiExporter

    return {".mid": MidiExporter, ".midi": MidiExporter}
