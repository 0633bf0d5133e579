"""Keys by name, and key estimation.

The estimate correlates duration-weighted pitch classes with the probe-tone profiles of Krumhansl and Kessler
(Psychological Review 89, 1982), and adds a little for the key whose tonic is the lowest final note.

What plugins may rely on is listed in `plugins/README.md`, under the helpers that are stable.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

LETTERS = "CDEFGAB"
MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
MINOR_SCALE = (0, 2, 3, 5, 7, 8, 9, 10, 11)  # the sixth and the seventh both raised and natural
SEMITONES = dict(zip(LETTERS, MAJOR_SCALE, strict=True))
"""Semitones of each letter above C."""

_SHARP_SIDE = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_MAJOR_NAMES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_MINOR_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")
_FIFTHS = ("Fb", "Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#", "G#", "D#", "A#")
_NAME = re.compile(r"^([A-Ga-g])(#|b|[ -]?sharp|[ -]?flat)?[ -]*(m|min|minor|maj|major|M|Minor|Major)?$")
_MODE = re.compile(r"^[A-Ga-g](?:#|b)?[ -]*(dor|phryg|lyd|mixolyd|aeol|ion|locr|blues|penta|harmonic|melodic|chrom)")
_FINAL_NOTE_BONUS = 0.2


@dataclass(frozen=True, order=True)
class Key:
    """A major or minor key; `tonic` is a pitch class, 0 for C. Enharmonic keys are one.

    `signature` is its spelling, if that is not the usual one: the sharps (positive) or flats (negative), -7..7.
    """

    tonic: int
    minor: bool = False
    signature: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        if self.signature is not None:
            return f"{_FIFTHS[self.signature + 8 + 3 * self.minor]}{'m' * self.minor}"
        return _MINOR_NAMES[self.tonic] + "m" if self.minor else _MAJOR_NAMES[self.tonic]

    def transpose(self, semitones: int) -> Key:
        """Return the key that many semitones higher, spelled as usual unless it is the same."""
        if not semitones % 12:
            return self
        return Key((self.tonic + semitones) % 12, self.minor)

    @property
    def usual(self) -> Key:
        """The key in its usual spelling."""
        return Key(self.tonic, self.minor)

    @property
    def scale(self) -> tuple[int, ...]:
        """Semitones of its scale above the tonic."""
        return MINOR_SCALE if self.minor else MAJOR_SCALE

    @property
    def index(self) -> int:
        """Its index in `ALL_KEYS`."""
        return self.tonic + 12 * self.minor

    @property
    def tonic_offset(self) -> int:
        """The tonic offset: semitones from C to the tonic by the shorter way, -5..6."""
        return self.tonic if self.tonic <= 6 else self.tonic - 12

    @property
    def fifths(self) -> int:
        """Sharps (positive) or flats (negative) of the signature, -6..6 unless it is spelled otherwise."""
        if self.signature is not None:
            return self.signature
        major = (self.tonic + 3) % 12 if self.minor else self.tonic
        return (major * 7 + 5) % 12 - 5


ALL_KEYS = tuple(Key(tonic, minor) for minor in (False, True) for tonic in range(12))
"""The 24 keys: the major ones from C up, then the minor ones."""


def parse_key(text: str) -> Key:
    """Parse `"Dm"`, `"F#"` or `"Bb major"`; a lower-case letter alone is minor. Raises ValueError for anything else.

    The key keeps its spelling: six flats for `"Gb"`.
    """
    plain = text.strip().replace("♯", "#").replace("♭", "b")
    found = _NAME.match(plain)
    if not found and _MODE.match(plain.lower()):
        raise ValueError(f"'{text}' is a scale, not a key; type --scale \"{text}\"")
    if not found:
        raise ValueError(f"'{text}' is not a key such as C, F#, Bb or Dm")
    letter, accidental, mode = found.groups()
    sign = {"#": "#", "sharp": "#", "b": "b", "flat": "b"}.get((accidental or "").strip(" -"), "")
    minor = mode in ("m", "min", "minor", "Minor") or (mode is None and letter.islower())
    return _spell_key(letter.upper() + sign, minor)


def _spell_key(name: str, minor: bool) -> Key:
    """Return the key of a tonic's name, which keeps its spelling unless the signature has more than seven signs."""
    key = Key((SEMITONES[name[0]] + name.count("#") - name.count("b")) % 12, minor)
    fifths = _FIFTHS.index(name) - 8 - 3 * minor if name in _FIFTHS else 8
    usual = str(key).removesuffix("m") == name and fifths == key.fifths
    return key if usual or abs(fifths) > 7 else Key(key.tonic, minor, fifths)


def get_signature_key(fifths: int, minor: bool) -> Key:
    """Return the key of a signature with so many sharps (positive) or flats (negative)."""
    major = fifths * 7 % 12
    key = Key((major + 9) % 12 if minor else major, minor)
    return key if key.fifths == fifths or abs(fifths) > 7 else Key(key.tonic, minor, fifths)


_PROFILES = {
    False: (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    True: (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}
_ROLLED = np.array([np.roll(_PROFILES[key.minor], key.tonic) for key in ALL_KEYS])
_STANDARD_PROFILES = (_ROLLED - _ROLLED.mean(axis=1, keepdims=True)) / _ROLLED.std(axis=1, keepdims=True)
_TONICS = np.array([key.tonic for key in ALL_KEYS])


def estimate_key(
    pitches: NDArray[np.integer],
    durations: NDArray[np.integer],
    final: int | None = None,
    among: Sequence[Key] = ALL_KEYS,
) -> Key:
    """Estimate the likeliest key, of those in `among`, of notes with these pitches and durations (any unit).

    `final` is the pitch of the lowest note of the last chord, which is nearly always the tonic.
    """
    weights = np.bincount(np.asarray(pitches) % 12, weights=durations, minlength=12)
    if not (spread := weights.std()):
        return Key(0 if final is None else final % 12) if among is ALL_KEYS else among[0]
    scores = _STANDARD_PROFILES @ weights / (spread * 12)  # rows have mean 0: the mean of the weights does not matter
    if final is not None:
        scores[final % 12 == _TONICS] += _FINAL_NOTE_BONUS
    return among[int(scores[[key.index for key in among]].argmax())]


def name_pitch(pitch: int) -> str:
    """Name a MIDI pitch: 60 is `C4`."""
    return f"{_SHARP_SIDE[pitch % 12]}{pitch // 12 - 1}"


def parse_pitch(text: str) -> int:
    """Parse `C4`, `F#3`, `Bb5` or a MIDI number. Raises ValueError unless it is from 0 to 127."""
    if text.isdecimal() and int(text) < 128:
        return int(text)
    found = re.match(r"^([A-Ga-g])(#|b)?(-?\d)$", text)
    if found:
        letter, accidental, octave = found.groups()
        pitch = SEMITONES[letter.upper()] + {"#": 1, "b": -1}.get(accidental or "", 0) + 12 * (int(octave) + 1)
        if 0 <= pitch < 128:
            return pitch
    raise ValueError(f"'{text}' is not a pitch such as C4, F#3 or 60")
