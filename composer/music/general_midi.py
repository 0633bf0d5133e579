"""The instruments of General MIDI: names and pitch ranges.

Source: General MIDI 1 sound set (MMA, 1991). Ranges are sounding pitches of players with good instruments, from books
on orchestration; where instruments of one name differ, the widest.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from composer.errors import printable
from composer.music.keys import name_pitch
from composer.music.score import Score

# fmt: off
NAMES = (
    "Piano", "Bright Piano", "Electric Grand", "Honky-tonk Piano", "Electric Piano", "Electric Piano", "Harpsichord",
    "Clavinet",
    "Celesta", "Glockenspiel", "Music Box", "Vibraphone", "Marimba", "Xylophone", "Tubular Bells", "Dulcimer",
    "Organ", "Percussive Organ", "Rock Organ", "Church Organ", "Reed Organ", "Accordion", "Harmonica", "Bandoneon",
    "Guitar", "Steel Guitar", "Jazz Guitar", "Electric Guitar", "Muted Guitar", "Overdriven Guitar", "Distorted Guitar",
    "Guitar Harmonics",
    "Double Bass", "Electric Bass", "Picked Bass", "Fretless Bass", "Slap Bass", "Slap Bass", "Synth Bass",
    "Synth Bass",
    "Violin", "Viola", "Cello", "Double Bass", "Tremolo Strings", "Pizzicato Strings", "Harp", "Timpani",
    "Strings", "Slow Strings", "Synth Strings", "Synth Strings", "Choir", "Voice", "Synth Voice", "Orchestra Hit",
    "Trumpet", "Trombone", "Tuba", "Muted Trumpet", "Horn", "Brass", "Synth Brass", "Synth Brass",
    "Soprano Saxophone", "Alto Saxophone", "Tenor Saxophone", "Baritone Saxophone", "Oboe", "English Horn", "Bassoon",
    "Clarinet",
    "Piccolo", "Flute", "Recorder", "Pan Flute", "Bottle", "Shakuhachi", "Whistle", "Ocarina",
    "Square Lead", "Saw Lead", "Calliope Lead", "Chiff Lead", "Charang Lead", "Voice Lead", "Fifths Lead", "Bass Lead",
    "New Age Pad", "Warm Pad", "Polysynth Pad", "Choir Pad", "Bowed Pad", "Metallic Pad", "Halo Pad", "Sweep Pad",
    "Rain", "Soundtrack", "Crystal", "Atmosphere", "Brightness", "Goblins", "Echoes", "Sci-fi",
    "Sitar", "Banjo", "Shamisen", "Koto", "Kalimba", "Bagpipe", "Fiddle", "Shanai",
    "Tinkle Bell", "Agogo", "Steel Drums", "Woodblock", "Taiko", "Melodic Tom", "Synth Drum", "Reverse Cymbal",
    "Fret Noise", "Breath Noise", "Seashore", "Bird", "Telephone", "Helicopter", "Applause", "Gunshot",
)
"""By program, from 0."""

_PIANO, _GUITAR, _BASS, _VIOLIN, _TRUMPET = (21, 108), (38, 88), (23, 67), (55, 105), (52, 87)
_RANGES = {
    **dict.fromkeys(range(6), _PIANO), 6: (29, 89), 8: (60, 108), 9: (77, 108), 11: (53, 89), 12: (36, 96),
    13: (65, 108), 14: (60, 79), **dict.fromkeys(range(24, 31), _GUITAR), **dict.fromkeys(range(32, 38), _BASS),
    40: _VIOLIN, 41: (48, 93), 42: (36, 88), 43: (23, 67), 46: (23, 104), 47: (36, 60),
    56: _TRUMPET, 57: (28, 77), 58: (24, 67), 59: _TRUMPET, 60: (29, 78),
    64: (56, 93), 65: (49, 86), 66: (44, 81), 67: (36, 74), 68: (58, 93), 69: (52, 86), 70: (34, 77), 71: (49, 98),
    72: (72, 108), 73: (59, 100), 110: _VIOLIN,
}  # fmt: skip

_ALSO = {
    "acoustic grand piano": 0, "grand piano": 0, "keyboard": 0, "bright acoustic piano": 1, "rhodes": 4,
    "celeste": 8, "bells": 14, "hammond": 16, "hammond organ": 16, "pipe organ": 19, "organ": 19, "harmonium": 20,
    "concertina": 23, "acoustic guitar": 24, "nylon guitar": 24, "overdrive guitar": 29, "distortion guitar": 30,
    "bass": 32, "acoustic bass": 32, "upright bass": 32, "bass guitar": 33, "finger bass": 33, "pick bass": 34,
    "contrabass": 43, "pizzicato": 45, "string ensemble": 48, "string orchestra": 48, "orchestra": 48, "string": 48,
    "choir aahs": 52, "chorus": 52, "voices": 52, "voice oohs": 53, "french horn": 60, "brass section": 61,
    "brass band": 61, "sax": 66, "saxophone": 66, "soprano sax": 64, "alto sax": 65, "tenor sax": 66,
    "baritone sax": 67, "cor anglais": 69, "tin whistle": 78, "panpipes": 75, "synth": 80, "bagpipes": 109,
}
# fmt: on
"""Other names, in small letters: those of the standard, and those that people say. `organ` is that of a church."""

_MOST_NAMED = 3
"""The most tracks to name; a file may have thousands."""


def name_instrument(program: int, *, is_drum: bool = False) -> str:
    """Name the instrument of a track; empty for an unknown program."""
    return "Drums" if is_drum else NAMES[program] if 0 <= program < len(NAMES) else ""


_LOOKED_AT = 100
"""Characters of a name that are compared: the time grows with their square."""


def find_program(text: str) -> int:
    """Find the program of an instrument: a name such as `flute`, or a number from 0 to 127. Raises ValueError."""
    from difflib import get_close_matches  # seldom

    wanted = " ".join(text.replace("-", " ").replace("_", " ").split()).lower()
    if wanted.isdecimal() and int(wanted) < len(NAMES):
        return int(wanted)
    if wanted.lstrip("+-").isdecimal():
        raise ValueError(f"there is no instrument {printable(text)}: programs are from 0 to {len(NAMES) - 1}")
    known = {**{name.lower().replace("-", " "): program for program, name in reversed([*enumerate(NAMES)])}, **_ALSO}
    found = known.get(wanted, known.get(wanted.removesuffix("s")))
    if found is None:
        close = get_close_matches(wanted[:_LOOKED_AT], known, n=1)
        hint = f"the nearest is {close[0]}" if close else "there are piano, organ, strings, choir, flute and others"
        raise ValueError(f"there is no instrument '{printable(text)}'; {hint}")
    return found


def describe_out_of_range(score: Score) -> str:
    """Write a sentence on tracks with notes outside their instruments' ranges; empty if there is none."""
    found = list(islice(_find_out_of_range(score), _MOST_NAMED + 1))
    more = " and other tracks" if len(found) > _MOST_NAMED else ""
    return f"notes that no player reaches: {', '.join(found[:_MOST_NAMED])}{more}." if found else ""


def _find_out_of_range(score: Score) -> Iterator[str]:
    for number, track in enumerate(score.tracks, 1):
        low, high = _RANGES.get(track.program, (0, 127)) if not track.is_drum else (0, 127)
        outside = [int(pitch) for pitch in track.notes["pitch"] if not low <= pitch <= high]
        if outside:
            between = " to ".join(name_pitch(pitch) for pitch in sorted({min(outside), max(outside)}))
            played = f"{NAMES[track.program]}, {name_pitch(low)} to {name_pitch(high)}"
            yield f"{len(outside):,} ({between}) in track {number} ({played})"
