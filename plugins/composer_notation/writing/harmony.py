"""Chord symbols in text, parsed: root, kind and bass."""

from __future__ import annotations

import re
from dataclasses import dataclass

_KINDS = {
    **dict.fromkeys(["", "maj", "M"], "major"),
    **dict.fromkeys(["m", "min", "-"], "minor"),
    **dict.fromkeys(["dim", "o", "°"], "diminished"),
    **dict.fromkeys(["aug", "+"], "augmented"),
    **dict.fromkeys(["sus", "sus4"], "suspended-fourth"),
    "sus2": "suspended-second",
    "5": "power",
    "6": "major-sixth",
    **dict.fromkeys(["m6", "min6", "-6"], "minor-sixth"),
    "7": "dominant",
    **dict.fromkeys(["maj7", "M7", "Δ", "Δ7", "ma7"], "major-seventh"),
    **dict.fromkeys(["m7", "min7", "-7"], "minor-seventh"),
    **dict.fromkeys(["mM7", "mmaj7", "m(maj7)", "minmaj7"], "major-minor"),
    **dict.fromkeys(["dim7", "o7", "°7"], "diminished-seventh"),
    **dict.fromkeys(["m7b5", "min7b5", "-7b5", "ø", "ø7"], "half-diminished"),
    **dict.fromkeys(["aug7", "+7", "7#5"], "augmented-seventh"),
    "9": "dominant-ninth",
    **dict.fromkeys(["maj9", "M9"], "major-ninth"),
    **dict.fromkeys(["m9", "min9", "-9"], "minor-ninth"),
    "11": "dominant-11th",
    **dict.fromkeys(["m11", "min11", "-11"], "minor-11th"),
    "13": "dominant-13th",
}
_NAME = re.compile(r"^([A-G])([#b]?)([^/]*?)(?:/([A-G])([#b]?))?$")
_ALTERS = {"#": 1, "b": -1, "": 0}


@dataclass(frozen=True)
class Harmony:
    """A chord symbol: letters with their alterations, and the kind as MusicXML names it, `other` if it has no name."""

    root: tuple[str, int]
    kind: str
    text: str  # of the kind, as it was written
    bass: tuple[str, int] | None = None


def parse_harmony(text: str) -> Harmony | None:
    """Parse a chord symbol such as `Am7b5`, `Bb7` or `D/F#`; None for a text that is none."""
    found = _NAME.match(text.strip())
    if not found:
        return None
    root, sign, kind, bass, bass_sign = found.groups()
    below = (bass, _ALTERS[bass_sign]) if bass else None
    return Harmony((root, _ALTERS[sign]), _KINDS.get(kind, "other"), kind, below)
