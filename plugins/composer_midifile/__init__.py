"""Plugin: Standard MIDI files, read, written and linted.

walking.py     the one walk over the bytes of a file
events.py      the tracks of a file, and the events of each
messages.py    channel messages, as columns
inspection.py  bytes to events
pairing.py     note-ons and note-offs, notes of a Score, bytes of notes
pedal.py       notes sustained by a pedal
programs.py    the program of each note, the channel of each track
conversion.py  events and ticks to those of a Score
omissions.py   what has no counterpart in a Score, or in a file
reading.py     the reader
conductor.py   the first track
writing.py     the exporter
linting/       the linter
"""

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
