"""Plugin: Standard MIDI files, read and written; it knows the hooks and nothing of what is in a file."""

from __future__ import annotations

from composer import hookimpl
from composer.types import Offers
from composer_midifile.reading import MidiReader
from composer_midifile.writing import MidiExporter


@hookimpl
def register_readers() -> Offers:
    """Offer the three usual suffixes of a Standard MIDI file."""
    return {".mid": MidiReader, ".midi": MidiReader, ".kar": MidiReader}


@hookimpl
def register_exporters() -> Offers:
    """Offer `.mid` and `.midi`."""
    return {".mid": MidiExporter, ".midi": MidiExporter}
