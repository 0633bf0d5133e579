"""Plugin: Standard MIDI files, read and written; it knows the hooks and nothing of what is in a file."""

from __future__ import annotations

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_readers() -> Offers:
    """Offer the three usual suffixes of a Standard MIDI file."""
    from composer_midifile.reading import MidiReader

    return {".mid": MidiReader, ".midi": MidiReader, ".kar": MidiReader}


@hookimpl
def register_exporters() -> Offers:
    """Offer `.mid` and `.midi`."""
    from composer_midifile.writing import MidiExporter

    return {".mid": MidiExporter, ".midi": MidiExporter}
