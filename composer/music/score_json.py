"""Scores as plain values for JSON, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from composer.music.keys import Key, parse_key
from composer.music.score import NOTE, KeySignature, Score, Tempo, Text, TimeSignature, Track, make_chord_symbols

LAST_TICK = 2**40
"""The latest tick of a score."""


def score_to_json(score: Score) -> dict[str, Any]:
    """Convert a score to lists of numbers and texts, without its empty fields."""
    values = {
        "tracks": [
            {"name": t.name, "program": t.program, "is_drum": t.is_drum, "notes": [list(n) for n in t.notes.tolist()]}
            for t in score.tracks
        ],
        "tempos": [[tempo.tick, tempo.bpm] for tempo in score.tempos],
        "time_signatures": [[metre.tick, metre.numerator, metre.denominator] for metre in score.time_signatures],
        "key_signatures": [_write_key(signature) for signature in score.key_signatures],
        "upbeat": score.upbeat,
        "markers": [[text.tick, text.text] for text in score.markers],
        "chords": [[text.tick, text.text] for text in score.chords],
        "title": score.title,
        "labels": dict(score.labels),
    }
    return {name: value for name, value in values.items() if value}


def score_from_json(values: Mapping[str, Any]) -> Score:
    """Reverse `score_to_json`. Raises TypeError, KeyError, ValueError or OverflowError for other values."""
    return Score(
        tracks=tuple(_read_track(track) for track in values.get("tracks", ())),
        tempos=tuple(Tempo(_check_tick(tick), _check_bpm(bpm)) for tick, bpm in values.get("tempos", ())),
        time_signatures=tuple(
            TimeSignature(_check_tick(tick), _check_range(top, 64, 1), _check_range(bottom, 64, 1))
            for tick, top, bottom in values.get("time_signatures", ())
        ),
        key_signatures=tuple(
            KeySignature(_check_tick(tick), _read_key(*key)) for tick, *key in values.get("key_signatures", ())
        ),
        upbeat=_check_tick(values.get("upbeat", 0)),
        markers=_read_texts(values.get("markers", ())),
        chords=make_chord_symbols(_read_texts(values.get("chords", ()))),
        title=str(values.get("title", "")),
        labels=tuple((str(name), str(value)) for name, value in dict(values.get("labels", {})).items()),
    )


def _write_key(signature: KeySignature) -> list[Any]:
    """Write a key: its tick, its usual name, and the signs of another spelling."""
    key = signature.key
    usual = [signature.tick, str(key.usual)]
    return usual if key.signature is None else [*usual, key.signature]


def _read_key(name: str, fifths: int | None = None) -> Key:
    signature = None if fifths is None else _check_range(fifths, 7, -7)
    return replace(parse_key(name), signature=signature)


def _read_track(values: Mapping[str, Any]) -> Track:
    notes = np.array([_read_note(*note) for note in values["notes"]], dtype=NOTE)
    return Track(notes, str(values["name"]), _check_range(values["program"], 127), bool(values["is_drum"]))


def _read_note(start: int, duration: int, pitch: int, velocity: int) -> tuple[int, int, int, int]:
    return (
        _check_tick(start),
        _check_range(duration, LAST_TICK, 1),
        _check_range(pitch, 127),
        _check_range(velocity, 127, 1),
    )


def _read_texts(values: Any) -> tuple[Text, ...]:
    return tuple(Text(_check_tick(tick), str(text)) for tick, text in values)


def _check_tick(value: int) -> int:
    return _check_range(value, LAST_TICK)


def _check_bpm(value: float) -> float:
    if not (isinstance(value, int | float) and 0 < value < math.inf):
        raise ValueError(f"invalid tempo {value}")
    return float(value)


def _check_range(value: int, most: int, least: int = 0) -> int:
    if not (isinstance(value, int) and least <= value <= most):
        raise ValueError(f"{value} is not from {least} to {most}")
    return value
