"""The lines and note heads of the sounds of a drum kit.

After Weinberg, Guidelines for Drumset Notation (Percussive Notes 32, 1994); the sounds are those of General MIDI.
"""

from __future__ import annotations

from typing import NamedTuple


class DrumSound(NamedTuple):
    """A sound by name, the letter and octave of its line as on a treble staff, and its note head (`normal` or `x`)."""

    name: str
    step: str
    octave: int
    head: str = "normal"


KIT = {
    35: DrumSound("Acoustic Bass Drum", "E", 4),
    36: DrumSound("Bass Drum", "F", 4),
    37: DrumSound("Side Stick", "C", 5, "x"),
    38: DrumSound("Snare Drum", "C", 5),
    39: DrumSound("Hand Clap", "C", 5, "diamond"),
    40: DrumSound("Electric Snare", "C", 5, "slash"),
    41: DrumSound("Low Floor Tom", "G", 4),
    42: DrumSound("Closed Hi-Hat", "G", 5, "x"),
    43: DrumSound("High Floor Tom", "A", 4),
    44: DrumSound("Pedal Hi-Hat", "D", 4, "x"),
    45: DrumSound("Low Tom", "B", 4),
    46: DrumSound("Open Hi-Hat", "G", 5, "circle-x"),
    47: DrumSound("Low-Mid Tom", "D", 5),
    48: DrumSound("High-Mid Tom", "E", 5),
    49: DrumSound("Crash Cymbal 1", "A", 5, "x"),
    50: DrumSound("High Tom", "F", 5),
    51: DrumSound("Ride Cymbal 1", "F", 5, "x"),
    52: DrumSound("Chinese Cymbal", "C", 6, "x"),
    53: DrumSound("Ride Bell", "F", 5, "diamond"),
    54: DrumSound("Tambourine", "E", 5, "triangle"),
    55: DrumSound("Splash Cymbal", "B", 5, "x"),
    56: DrumSound("Cowbell", "E", 5, "x"),
    57: DrumSound("Crash Cymbal 2", "B", 5, "x"),
    59: DrumSound("Ride Cymbal 2", "D", 5, "x"),
}

_OTHER = ("A", 4, "diamond")


def find_sound(pitch: int) -> DrumSound:
    """Find the notation of a General MIDI drum sound; those without a line of their own share one."""
    step, octave, head = _OTHER
    return KIT.get(pitch) or DrumSound(f"Percussion {pitch}", step, octave, head)


def find_number(step: str, octave: int, head: str) -> int | None:
    """Find the number of the drum sound with that line and note head; None if there is none."""
    return next((number for number, its in KIT.items() if its[1:] == (step, octave, head)), None)
