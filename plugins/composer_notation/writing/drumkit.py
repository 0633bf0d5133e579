"""The lines and note heads of the sounds of a drum kit.

After Weinberg, Guidelines for Drumset Notation (Percussive Notes 32, 1994); the sounds are those of General MIDI.
"""

from __future__ import annotations

from typing import NamedTuple


class Sound(NamedTuple):
    """A sound by name, the letter and octave of its line as on a treble staff, and its note head (`normal` or `x`)."""

    name: str
    step: str
    octave: int
    head: str = "normal"


KIT = {
    35: Sound("Acoustic Bass Drum", "E", 4),
    36: Sound("Bass Drum", "F", 4),
    37: Sound("Side Stick", "C", 5, "x"),
    38: Sound("Snare Drum", "C", 5),
    39: Sound("Hand Clap", "C", 5, "diamond"),
    40: Sound("Electric Snare", "C", 5, "slash"),
    41: Sound("Low Floor Tom", "G", 4),
    42: Sound("Closed Hi-Hat", "G", 5, "x"),
    43: Sound("High Floor Tom", "A", 4),
    44: Sound("Pedal Hi-Hat", "D", 4, "x"),
    45: Sound("Low Tom", "B", 4),
    46: Sound("Open Hi-Hat", "G", 5, "circle-x"),
    47: Sound("Low-Mid Tom", "D", 5),
    48: Sound("High-Mid Tom", "E", 5),
    49: Sound("Crash Cymbal 1", "A", 5, "x"),
    50: Sound("High Tom", "F", 5),
    51: Sound("Ride Cymbal 1", "F", 5, "x"),
    52: Sound("Chinese Cymbal", "C", 6, "x"),
    53: Sound("Ride Bell", "F", 5, "diamond"),
    54: Sound("Tambourine", "E", 5, "triangle"),
    55: Sound("Splash Cymbal", "B", 5, "x"),
    56: Sound("Cowbell", "E", 5, "x"),
    57: Sound("Crash Cymbal 2", "B", 5, "x"),
    59: Sound("Ride Cymbal 2", "D", 5, "x"),
}

_OTHER = ("A", 4, "diamond")


def sound(pitch: int) -> Sound:
    """Find the notation of a General MIDI drum sound; those without a line of their own share one."""
    step, octave, head = _OTHER
    return KIT.get(pitch) or Sound(f"Percussion {pitch}", step, octave, head)


def sound_of(step: str, octave: int, head: str) -> int | None:
    """Find the number of the drum sound with that line and note head; None if there is none."""
    return next((number for number, its in KIT.items() if its[1:] == (step, octave, head)), None)
