"""Transposition: a score some semitones higher or lower, with its keys and chord symbols. Drums stay."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import replace

from composer.errors import CannotExpress
from composer.music.chords import find_class, write_plain_signs
from composer.music.score import ChordSymbol, KeySignature, Score, Track

_QUALITY = r"(?:m|M|dim|aug|sus|add|alt|o(?![a-z])|[^A-Za-z./\s])[^/]*"
_CHORD = re.compile(rf"([A-G])([#b]*)((?:{_QUALITY})?)(?:/([A-G])([#b]*))?")
_SHARP = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_FLAT = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
_USUAL = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


def find_room(tracks: tuple[Track, ...]) -> tuple[int, int]:
    """Return the semitones by which all pitched notes can move, down (0 or less) and up (0 or more), within 0..127."""
    pitches = [track.notes["pitch"] for track in tracks if not track.is_drum and len(track.notes)]
    lowest = min((int(one.min()) for one in pitches), default=127)
    highest = max((int(one.max()) for one in pitches), default=0)
    return min(-lowest, 0), max(127 - highest, 0)


def transpose_track(track: Track, semitones: int) -> Track:
    """Transpose one part; drums stay. Raises CannotExpress for notes beyond the pitches 0..127."""
    if track.is_drum or not len(track.notes):
        return track
    least, most = find_room((track,))
    if not least <= semitones <= most:
        raise CannotExpress(f"{semitones:+} semitones take notes beyond the MIDI pitches 0 to 127.")
    notes = track.notes.copy()
    notes["pitch"] += semitones
    return replace(track, notes=notes)


def transpose_score(score: Score, semitones: int) -> Score:
    """Transpose notes, key signatures and chord symbols; drums stay. Raises CannotExpress beyond the pitches 0..127."""
    return replace(
        score,
        tracks=tuple(transpose_track(track, semitones) for track in score.tracks),
        key_signatures=tuple(KeySignature(one.tick, one.key.transpose(semitones)) for one in score.key_signatures),
        chords=tuple(_transpose_symbol(score, one, semitones) for one in score.chords),
    )


def _transpose_symbol(score: Score, symbol: ChordSymbol, semitones: int) -> ChordSymbol:
    """Transpose a chord symbol, spelled as the new key is: with sharps or with flats. Other texts stay."""
    found = _CHORD.fullmatch(write_plain_signs(symbol.text))
    if not found or not semitones % 12:
        return symbol
    place = bisect_right([one.tick for one in score.key_signatures], symbol.tick)
    key = score.key_signatures[place - 1].key.transpose(semitones) if place else None
    names = _USUAL if key is None or not key.fifths else _SHARP if key.fifths > 0 else _FLAT
    letter, accidentals, quality, bass, of_bass = found.groups()
    root = names[(find_class(letter + accidentals) + semitones) % 12]
    under = f"/{names[(find_class(bass + of_bass) + semitones) % 12]}" if bass else ""
    return replace(symbol, text=f"{root}{quality}{under}")
