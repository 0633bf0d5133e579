"""The spelling of pitches, F sharp or G flat, and of drums, as lines and note heads.

The first stage of Meredith's ps13 (Journal of New Music Research 35, 2006). Every tone of the neighbourhood votes, as a
tonic, for the letter in the harmonic chromatic scale on it; the letter with most votes wins. There the tonics are
spelled from the first note on. Here the key signature spells them, and its tones vote, too. Of 15,518 notes of 60 Bach
chorales, eight differ from the edition.

Drum kits are written after Weinberg, Guidelines for Drumset Notation (Percussive Notes 32, 1994); the sounds are those
of General MIDI.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from composer.music.keys import LETTERS, MAJOR_SCALE
from composer_notation.bargrid import find_alteration

# --- pitches ----------------------------------------------------------------------------------------------------------


_CLASSES = np.array(MAJOR_SCALE)
_BEFORE, _AFTER = 10, 42  # notes of the neighbourhood, as in the article
_SCALE = (0, 1, 1, 2, 2, 3, 3, 4, 5, 5, 6, 6)  # letters above the tonic of each semitone above it, the tritone a fourth
_SIGNATURE_VOTES = 2  # of each tone of the signature: for pieces of a few notes
_FLATTEST = -2  # of the twelve tonics, in fifths from the major tonic of the signature: in C from B flat to D sharp


class Spelled(NamedTuple):
    """A pitch as it is written: octave as in C4, index in `LETTERS`, semitones of its accidental."""

    octave: int
    step: int
    alter: int

    @property
    def pitch(self) -> int:
        """The MIDI pitch."""
        return 12 * (self.octave + 1) + int(_CLASSES[self.step]) + self.alter


def spell(pitches: NDArray[np.int64], fifths: NDArray[np.int64]) -> list[Spelled]:
    """Spell the pitches of a piece (N,), in order of time; each under a signature of so many sharps or flats (N,)."""
    classes = pitches % 12
    seen = np.zeros((len(classes) + 1, 12), dtype=np.int64)
    seen[np.arange(1, len(classes) + 1), classes] = 1
    seen = seen.cumsum(axis=0)
    index = np.arange(len(classes))
    votes = seen[np.minimum(index + _AFTER, len(classes))] - seen[np.maximum(index - _BEFORE, 0)]
    votes += _SIGNATURE_VOTES * (((np.arange(12)[None, :] * 7 - fifths[:, None] + 1) % 12) < 7)
    letters = _find_letters(classes, fifths)  # (N, 12)
    counts = np.stack([np.where(letters == letter, votes, 0).sum(axis=1) for letter in range(7)], axis=1)
    return [
        _spell_pitch(pitch, step) for pitch, step in zip(pitches.tolist(), counts.argmax(axis=1).tolist(), strict=True)
    ]


def get_alteration(step: int, fifths: int) -> int:
    """Return the semitones by which a signature alters a letter."""
    return find_alteration(LETTERS[step], fifths)


def _find_letters(classes: NDArray[np.int64], fifths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the letter (N, 12) of each tone over each of twelve tonics."""
    tonic = np.arange(12)
    line = fifths[:, None] + _FLATTEST + (tonic[None, :] * 7 - (fifths[:, None] + _FLATTEST)) % 12
    above = np.array(_SCALE)[(classes[:, None] - tonic[None, :]) % 12]
    return (line * 4 + above) % 7


def _spell_pitch(pitch: int, step: int) -> Spelled:
    alter = (pitch % 12 - int(_CLASSES[step]) + 6) % 12 - 6
    return Spelled((pitch - alter) // 12 - 1, step, alter)


# --- drum kits --------------------------------------------------------------------------------------------------------


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
